"""The whole story of one recorded decision: who, what was asked, what was true, why, and its proof."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from mintwarden.app.excepting import exceptions_of
from mintwarden.app.exceptions_told import told
from mintwarden.app.foundation import Foundation
from mintwarden.app.logs import when
from mintwarden.ledger.document import SealedDecision
from mintwarden.ledger.ports import StoredEntry
from mintwarden.ledger.proof_file import verify_proof
from mintwarden.ledger.prove import prove
from mintwarden.ledger.published import PublishedLog
from mintwarden.ledger.reveal import Revealed, reveal
from mintwarden.model.asked import Asked
from mintwarden.model.errors import MintwardenError
from mintwarden.model.exception import ROUTE
from mintwarden.model.facts import Facts
from mintwarden.model.ids import decision_text
from mintwarden.model.values import Entity
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from mintwarden.policy.explain import explain
from mintwarden.policy.plain import plain

Story = dict[str, Any]


async def tell(base: Foundation, decision_id: bytes) -> Story | None:
    """The story of a decision as members for JSON, None when there is no such entry; `why` is an `Explanation`.

    What was sealed and has been erased is left out, and said to be. Raises `MintwardenError(LEDGER)` when the
    entry or what is sealed beside it was changed.
    """
    stored = await base.store.entries.by_decision(decision_id)
    if stored is None:
        return None
    revealed = await reveal(stored, keys=base.store.subject_keys, sealer=base.sealer)
    entry = revealed.entry
    story: Story = {
        "id": decision_text(stored.decision_id),
        "kind": entry["kind"],
        "at": when(entry["at"]),
        "issuer": entry["issuer"],
        "sealed": revealed.state,
    }
    if entry["kind"] == "decision":
        story |= _decision(base.bundle, revealed)
    else:
        story |= {"actor": entry["actor"], "detail": entry.get("detail", {}), "private": dict(revealed.private)}
    excepted = exceptions_in(entry)
    if excepted:
        story["exceptions"] = [await _exception(base, name) for name in excepted]
    story["proof"] = await _proof(base, stored)
    return story


def exceptions_in(entry: Mapping[str, Any]) -> list[str]:
    """The exceptions that a decision stands on, by id."""
    routes = (
        route for scope in entry.get("scopes", ()) for route in (scope.get("route", ""), *scope.get("acting", ()))
    )
    return sorted({route.removeprefix(ROUTE) for route in routes if route.startswith(ROUTE)})


async def _exception(base: Foundation, name: str) -> Story:
    """Who asked for it, why, and who approved it, as the store has it; only its name where the store does not."""
    try:
        return told(await exceptions_of(base).known(name))
    except MintwardenError as error:
        return {"id": name, "problem": error.public}


def _decision(bundle: Bundle, revealed: Revealed) -> Story:
    entry, sealed = revealed.entry, revealed.decision
    story: Story = {
        "outcome": "granted" if entry.get("granted") else "refused",
        "who": {
            "client": entry["client"],
            "method": entry.get("method", ""),
            "subject": revealed.subject or _named(entry["subject"]),
            "actors": [_named(actor) for actor in entry.get("actors", ())],
        },
        "asked": {"grant": entry["grant"], "audience": entry["audience"], "purpose": entry.get("purpose", "")},
        "bundle": bundle_told(bundle, entry["bundle"]),
        "evaluator": entry["evaluator"],
        "mode": entry["mode"],
        "stage": entry.get("stage", ""),
        "scopes": [dict(scope) for scope in entry.get("scopes", ())],
        "details": [dict(detail) for detail in entry.get("details", ())],
        "claims": [dict(claim) for claim in entry.get("claims", ())],
        "lifetime": entry.get("lifetime"),
        "prepared": entry.get("prepared", ""),
    }
    return story if sealed is None else story | _opened(bundle, entry, sealed, story)


def _opened(bundle: Bundle, entry: Mapping[str, Any], sealed: SealedDecision, story: Story) -> Story:
    asked, facts, at = sealed.asked, sealed.facts, entry["at"]
    opened: Story = {
        "who": {**story["who"], "subject": _key(asked.subject), "actors": [_key(actor) for actor in asked.actors]},
        "asked": question(asked),
        "facts": facts_told(facts, at),
        "claims": [{**claim, "value": sealed.claims.get(claim["name"])} for claim in story["claims"]],
    }
    if bundle.digest == entry["bundle"]:
        again = decide(bundle, asked, facts, at)
        decided = [(one.scope, one.granted) for one in (*again.scopes, *again.details)]
        recorded = [(one["scope"], one["granted"]) for one in (*entry.get("scopes", ()), *entry.get("details", ()))]
        same = decided == recorded
        opened["replay"] = "same" if same else "different"
        if again.lifetime is not None and story["lifetime"] is not None:
            opened["lifetime"] = {**story["lifetime"], "bounds": dict(again.lifetime.bounds)}
        opened["why"] = explain(bundle, asked, facts, at, again)
    else:
        opened["replay"] = "another bundle is loaded"
    return opened


def question(asked: Asked) -> Story:
    """What was asked, without what is empty."""
    members: Story = msgspec.to_builtins(asked)
    for name in ("subject", "actors", "client_id", "method"):
        members.pop(name, None)
    if asked.parent is not None:
        members["parent"] = {**msgspec.to_builtins(asked.parent), "expires_at": when(asked.parent.expires_at)}
    if asked.authenticated_at is not None:
        members["authenticated_at"] = when(asked.authenticated_at)
    return {name: value for name, value in members.items() if value not in ("", None, [], (), False)}


def facts_told(facts: Facts, at: int) -> Story:
    """What was true then: each source's answer with its age, the values, and what is limited in time."""
    return {
        "sources": [
            {
                "reading": name,
                "state": reading.state,
                "age": (at - reading.observed_at) // 1000 if reading.observed_at else None,
                "max_age": reading.max_age // 1000 or None,
                "detail": reading.detail,
            }
            for name, reading in sorted(facts.readings.items())
        ],
        "subject": _entity(facts.subject),
        "actors": [_entity(actor) for actor in facts.actors],
        "context": plain(facts.context),
        "ends": {name: {element: when(end) for element, end in ends.items()} for name, ends in facts.ends.items()},
    }


def _entity(entity: Entity) -> Story:
    return {
        "entity": _key(entity.uid),
        "facts": {name: plain(value) for name, value in sorted(entity.attrs.items())},
        "groups": sorted(uid.id for uid in entity.ancestors),
    }


def bundle_told(bundle: Bundle, digest: str) -> Story:
    """Which bundle, and who owns it, as far as it is loaded."""
    if bundle.digest != digest:
        return {"digest": digest, "loaded": False}
    catalogue = bundle.catalogue
    return {
        "digest": digest,
        "loaded": True,
        "name": catalogue.name,
        "owner": catalogue.owner,
        "contact": catalogue.owner_contact,
    }


async def _proof(base: Foundation, stored: StoredEntry) -> Story:
    """The entry's place in the log, its inclusion verified here and now."""
    told: Story = {"leaf": stored.leaf_hash.hex(), "index": stored.index}
    try:
        log = PublishedLog(tree=base.store.tree, entries=base.store.entries)
        proof = await prove(decision_text(stored.decision_id), log=log, entries=base.store.entries)
        proven = verify_proof(proof, keys=base.log_keys(), origin=base.origin)
    except MintwardenError as error:
        return told | {"verified": False, "problem": error.public}
    head = proven.checkpoint.checkpoint
    return told | {"verified": True, "log": head.origin, "size": head.size, "path": len(proof.path)}


def _named(principal: Mapping[str, Any]) -> str:
    return f"{principal.get('type', '')}:{principal.get('id') or principal.get('ref', '')}"


def _key(uid: Any) -> str:
    return f"{uid.type}:{uid.id}"

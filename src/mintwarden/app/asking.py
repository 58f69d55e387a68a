"""A question put by an operator: decided like a real one, over what is true now, and neither recorded nor issued."""

from __future__ import annotations

import contextlib
import time
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from mintwarden.app.excepting import exceptions_of
from mintwarden.app.foundation import Foundation
from mintwarden.app.logs import when
from mintwarden.app.sources import external_sources
from mintwarden.app.story import Story, bundle_told, facts_told, question
from mintwarden.context.assemble import Assembler
from mintwarden.context.exceptions import Ended, HeldExceptions, Ratchet
from mintwarden.model.asked import Asked
from mintwarden.model.catalogue import Catalogue
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.policy.bundle.model import ScenarioDocument
from mintwarden.policy.bundle.problem import Place, Problems, did_you_mean
from mintwarden.policy.bundle.scenarios import GIVEN
from mintwarden.policy.bundle.shape import read_table
from mintwarden.policy.decide import decide
from mintwarden.policy.explain import explain
from mintwarden.review.given import asked_of

LISTS = ("scopes", "actors", "amr", "parent_scopes")
LITERALS = ("lifetime", "impersonate", "now", "details", "parent_details")


async def ask(base: Foundation, words: Sequence[str]) -> Story:
    """What would be decided now, told like the story of a recorded decision, without record and proof.

    `words` are `key=value` as in `[scenario.given]`; the facts are the stored ones. Raises `INVALID_REQUEST`.
    """
    given = read_words(words, base.bundle.catalogue, base.clock.now())
    scenario = ScenarioDocument(id="ask", file="", line=0, why="", given=given, expect={})
    asked, at = asked_of(scenario, base.bundle.catalogue), given["now"]
    async with contextlib.AsyncExitStack() as stack:
        assembler = Assembler(
            catalogue=base.bundle.catalogue,
            facts=base.store.facts,
            external=external_sources(base.config, base.bundle.catalogue, stack),
            exceptions=HeldExceptions(exceptions_of(base), Ended(Ratchet(time.monotonic))),
        )
        facts = (await assembler.assemble(asked, None, at)).facts
    return tell_hypothetical(base, asked, facts, at)


def tell_hypothetical(base: Foundation, asked: Asked, facts: Any, at: int) -> Story:
    """The decision over given facts, as a story."""
    decision = decide(base.bundle, asked, facts, at)
    lifetime = decision.lifetime
    return {
        "id": None,
        "kind": "question",
        "at": when(at),
        "issuer": base.issuer,
        "sealed": "none",
        "outcome": "granted" if decision.granted else "refused",
        "who": {
            "client": asked.client_id,
            "method": asked.method,
            "subject": entity_key(decision.subject),
            "actors": [entity_key(actor) for actor in decision.actors],
        },
        "asked": question(asked),
        "bundle": bundle_told(base.bundle, decision.bundle),
        "evaluator": decision.evaluator,
        "mode": decision.mode,
        "stage": decision.stage,
        "scopes": [
            {"scope": s.scope, "granted": s.granted, "route": s.route, "reason": s.reason or "", "acting": s.acting}
            for s in decision.scopes
        ],
        "details": [
            {"type": d.scope, "granted": d.granted, "route": d.route, "reason": d.reason or "", "acting": d.acting}
            for d in decision.details
        ],
        "claims": [{"name": c.name, "value": c.value, "origin": c.origin, "source": c.source} for c in decision.claims],
        "lifetime": None
        if lifetime is None
        else {"seconds": lifetime.seconds, "bound": lifetime.bounded_by, "bounds": dict(lifetime.bounds)},
        "facts": facts_told(facts, at),
        "why": explain(base.bundle, asked, facts, at, decision),
    }


def read_words(words: Sequence[str], catalogue: Catalogue, now: int) -> Mapping[str, Any]:
    """`key=value` words as a scenario's `given`, complete; raises `INVALID_REQUEST` for what it does not take."""
    raw: dict[str, Any] = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator or name in raw or name == "facts":
            raise _invalid(f"`{word}` is not a `key=value` that a question takes", "such as `client=... audience=...`")
        raw[name] = _value(name, value)
    given_now = "now" in raw
    raw.setdefault("now", "1970-01-01T00:00:00Z")
    problems = Problems()
    given = read_table(GIVEN, raw, Place("ask"), problems)
    found = problems.all()
    if found:
        in_words = {"in `[scenario.given]`": "in the question", " = ...`": "=...`"}
        what, remedy = found[0].message, found[0].remedy
        for written, said in in_words.items():
            what, remedy = what.replace(written, said), remedy.replace(written, said)
        raise _invalid(what, remedy)
    _known("client", given["client"], catalogue.clients)
    _known("audience", given["audience"], catalogue.audiences)
    for scope in given["parent_scopes"] or ():
        _known("scope", scope, catalogue.scopes)
    return given if given_now else {**given, "now": now}


def _value(name: str, value: str) -> Any:
    if name in LISTS:
        parts = [part for part in value.split(",") if part]
        return [_principal(part) for part in parts] if name == "actors" else parts
    if name == "subject":
        return _principal(value)
    if name in LITERALS:
        try:
            return tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            raise _invalid(f"`{value}` is no value for `{name}`", "such as `300`, `true` or a time") from None
    return value


def _principal(text: str) -> str:
    kind, colon, name = text.partition(":")
    return f'{kind}::"{name}"' if colon and not name.startswith(":") else text


def _known(what: str, name: str, names: Mapping[str, object]) -> None:
    if name not in names:
        raise _invalid(f"there is no {what} `{name}`", did_you_mean(name, names, "see the bundle"))


def _invalid(public: str, hint: str) -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_REQUEST, public, hint=hint)

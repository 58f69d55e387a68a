"""What a scenario says is given, as the values that a decision is made from."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from mintwarden.context.assemble import Assembly, SourceAnswer, TokenFacts
from mintwarden.context.ports import FactDocument
from mintwarden.model.asked import Asked, Parent
from mintwarden.model.caller import Binding
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.detail import detail_of
from mintwarden.model.facts import Facts
from mintwarden.model.values import EntityUid
from mintwarden.policy.bundle.model import ScenarioDocument

_PARENT_LIFETIME = 3600
_THUMBPRINT = _PARENT = "scenario"


def asked_of(scenario: ScenarioDocument, catalogue: Catalogue) -> Asked:
    """The request that a scenario describes, completed as the grants complete a real one."""
    given = scenario.given
    client = catalogue.clients[given["client"]]
    own = EntityUid(client.principal, client.id)
    subject = EntityUid(*given["subject"]) if given["subject"] else own
    actors = tuple(EntityUid(*actor) for actor in given["actors"])
    parent = _parent(given, catalogue)
    scopes = given["scopes"] or (() if given["details"] else _defaults(given, catalogue, client, parent))
    hidden = given["impersonate"]
    if hidden is None:
        # As in a real exchange: where nobody is said to act, the client acts, or a rule lets it stay hidden.
        hidden = given["grant"] == "token_exchange" and not actors and subject != own
    age = given["auth_age"]
    return Asked(
        grant=given["grant"],
        client_id=client.id,
        subject=subject,
        actors=actors or ((own,) if hidden else ()),
        impersonate=hidden,
        audience=given["audience"],
        scopes=tuple(scopes),
        defaulted=not (given["scopes"] or given["details"]),
        purpose=given["purpose"],
        environment=given["environment"] or client.environments[0],
        tenant=given["tenant"],
        workspace=given["workspace"],
        project=given["project"],
        lifetime=given["lifetime"],
        acr=given["acr"],
        amr=given["amr"],
        authenticated_at=None if age is None else given["now"] - age * 1000,
        session=given["session"],
        device=given["device"],
        address=given["address"],
        binding=Binding(kind=given["binding"], thumbprint=_THUMBPRINT) if given["binding"] else None,
        method=given["method"] or client.methods[0],
        parent=parent,
        details=tuple(detail_of(said) for said in given["details"]),
    )


def _parent(given: Mapping[str, Any], catalogue: Catalogue) -> Parent | None:
    names, lifetime = given["parent_scopes"], given["parent_expires_in"]
    if names is None and lifetime is None and not given["parent_details"]:
        return None
    scopes: tuple[str, ...] | None = None
    if names is not None:
        carried = (name for own in names for name in (own, *catalogue.scopes[own].carries))
        scopes = tuple(dict.fromkeys(carried))
    expires_at = given["now"] + (_PARENT_LIFETIME if lifetime is None else lifetime) * 1000
    details = tuple(detail_of(said) for said in given["parent_details"])
    if details and scopes is None:
        scopes = ()  # only a token of ours carries details, and one of ours says which scopes it carries
    return Parent(token_id=_PARENT, scopes=scopes, expires_at=expires_at, details=details)


def _defaults(given: Mapping[str, Any], catalogue: Catalogue, client: Client, parent: Parent | None) -> Iterable[str]:
    audience = catalogue.audiences[given["audience"]]
    ceiling = client.ceilings.get(audience.id, ())
    within = parent.scopes if parent is not None and parent.scopes is not None else None
    for scope in audience.scopes.values():
        if scope.default and scope.name in ceiling and (within is None or scope.name in within):
            yield scope.name


def facts_of(scenario: ScenarioDocument, asked: Asked, catalogue: Catalogue, assembly: Assembly) -> Facts:
    """The facts that a scenario describes, assembled as real ones are."""
    now = scenario.given["now"]
    documents: dict[str, dict[str, SourceAnswer]] = {}
    tokens: dict[str, TokenFacts] = {}
    for key, by_source in scenario.given["facts"].items():
        for source, entry in by_source.items():
            at = now - entry["age"] * 1000
            if catalogue.sources[source].kind == "token":
                earlier = tokens.get(key)
                told = {**(earlier.facts if earlier else {}), **plain_facts(entry["facts"])}
                tokens[key] = TokenFacts(told, at)
            else:
                documents.setdefault(key, {})[source] = _answer(entry, at)
    return assembly.build(asked, documents, tokens, now)


def _answer(entry: Mapping[str, Any], observed_at: int) -> SourceAnswer:
    if entry["state"] != "present":
        return SourceAnswer(state=entry["state"], detail="as the scenario says")
    spans = {name: {k: tuple(span) for k, span in spans.items()} for name, spans in entry["spans"].items()}
    document = FactDocument(facts=plain_facts(entry["facts"]), groups=list(entry["groups"]), spans=spans)
    return SourceAnswer(document=document, observed_at=observed_at)


def plain_facts(value: Any) -> Any:
    """TOML as JSON: dates and times in Cedar's spelling."""
    if isinstance(value, dict):
        return {name: plain_facts(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain_facts(item) for item in value]
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            return value.isoformat()
        return value.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value

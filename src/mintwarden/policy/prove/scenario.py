"""An example as a scenario: what to put into `tests/` to run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tomlkit

from mintwarden.model.catalogue import Catalogue
from mintwarden.model.facts import Reading
from mintwarden.model.values import Datetime, Decimal4, Duration, Entity, EntityUid, IpAddress, Record, Value
from mintwarden.policy.amend import Situation
from mintwarden.policy.cedar.render import spell_datetime, spell_duration


def scenario_text(catalogue: Catalogue, name: str, why: str, situations: tuple[Situation, ...]) -> str:
    """TOML for a file in `tests/`: each situation is a scenario that expects what is granted."""
    scenarios = [
        {
            "id": f"{name}-{index}" if len(situations) > 1 else name,
            "why": why,
            "given": given_of(catalogue, situation),
            "expect": {"granted": [*situation.asked.scopes, *(detail.type for detail in situation.asked.details)]},
        }
        for index, situation in enumerate(situations, 1)
    ]
    return scenarios_text(scenarios)


def scenarios_text(scenarios: Sequence[Mapping[str, Any]]) -> str:
    """TOML for a file in `tests/`."""
    return tomlkit.dumps({"scenario": list(scenarios)})


def given_of(catalogue: Catalogue, situation: Situation) -> dict[str, Any]:
    """`[scenario.given]`."""
    asked, now = situation.asked, situation.now
    given: dict[str, Any] = {
        "client": asked.client_id,
        "grant": asked.grant,
        "subject": str(asked.subject),
        "impersonate": asked.impersonate,
        "audience": asked.audience,
        "scopes": list(asked.scopes),
        "now": spell_datetime(now),
        "method": asked.method,
    }
    if asked.details:
        given["details"] = [detail.said for detail in asked.details]
    if asked.actors and not asked.impersonate:
        given["actors"] = [str(actor) for actor in asked.actors]
    for name in ("environment", "purpose", "tenant", "workspace", "project", "acr", "session", "device", "address"):
        if getattr(asked, name):
            given[name] = getattr(asked, name)
    if asked.amr:
        given["amr"] = list(asked.amr)
    if asked.authenticated_at is not None:
        given["auth_age"] = f"{max(0, now - asked.authenticated_at) // 1000}s"
    if asked.binding is not None:
        given["binding"] = asked.binding.kind
    if asked.lifetime is not None:
        given["lifetime"] = asked.lifetime
    given["facts"] = _documents(catalogue, situation)
    return given


def _documents(catalogue: Catalogue, situation: Situation) -> dict[str, Any]:
    asked, facts, _ = situation
    found: dict[str, Any] = {}
    everyone: list[tuple[str, Entity]] = [("subject", facts.subject)]
    everyone += [(f"actor:{index}", actor) for index, actor in enumerate(facts.actors)]
    for role, entity in everyone:
        key = f"{entity.uid.type}:{entity.uid.id}"
        groups = sorted(group.id for group in entity.ancestors)
        told = _of(catalogue, facts.readings, role, entity.uid, entity.attrs, groups)
        _add_ends(catalogue, told, facts.ends, role)
        found.setdefault(key, {}).update(told)
    for space, key in (
        ("client", f"client:{asked.client_id}"),
        ("session", f"session:{asked.session}"),
        ("device", f"device:{asked.device}"),
        ("world", "world:"),
    ):
        record = facts.context.get(space)
        told = _of(catalogue, facts.readings, space, EntityUid(space, ""), record or Record(), [])
        if told:
            found[key] = told
    return found


def _of(
    catalogue: Catalogue, readings: Any, role: str, uid: EntityUid, attrs: Any, groups: list[str]
) -> dict[str, Any]:
    documents: dict[str, Any] = {}
    for source in catalogue.sources.values():
        reading: Reading | None = readings.get(f"{role}/{source.id}")
        if uid.type not in source.about or reading is None or reading.state == "missing":
            continue
        if reading.state == "failing":
            documents[source.id] = {"state": "failing"}
            continue
        document: dict[str, Any] = {"facts": {n: _plain(attrs[n]) for n in source.facts if n in attrs}}
        if named := [group for group in groups if source.names(group)]:
            document["groups"] = named
        if reading.state == "stale":
            document["age"] = f"{source.max_age // 1000 + 1}s"
        documents[source.id] = document
    return documents


def _add_ends(
    catalogue: Catalogue, documents: dict[str, Any], ends: Mapping[str, Mapping[str, int]], role: str
) -> None:
    for name, document in documents.items():
        source = catalogue.sources[name]
        for fact in (*source.facts, *(("groups",) if source.groups else ())):
            spans = {element: ["", spell_datetime(end)] for element, end in ends.get(f"{role}/{fact}", {}).items()}
            if spans:
                document.setdefault("spans", {})[fact] = spans


def _plain(value: Value) -> Any:
    match value:
        case Datetime(millis):
            return spell_datetime(millis)
        case Duration(millis):
            return spell_duration(millis)
        case Decimal4(units):
            sign, digits = ("-" if units < 0 else ""), abs(units)
            return f"{sign}{digits // 10_000}.{digits % 10_000:04d}"
        case IpAddress():
            return value.text
        case frozenset():
            return sorted(value)
        case _:
            return value

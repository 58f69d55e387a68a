"""What an audience's file says about observing and enforcing: the older system's mapping, the canary, the way back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mintwarden.model.modes import Canary, Downgrade, Explained, Readiness
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.kinds import (
    choice,
    entity_id,
    integer,
    matching,
    moment,
    scope_name,
    share,
    text,
)
from mintwarden.policy.bundle.problem import Place
from mintwarden.policy.bundle.shape import Key, Table, each_named, list_of, table_of

CANARY = Table(
    "[canary]",
    (
        Key("share", share, 0.0),
        Key("clients", list_of(entity_id, least=1), ()),
        Key("groups", list_of(entity_id, least=1), ()),
        Key(
            "salt", matching(re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII), "a salt of letters, digits, `.`, `_`"), ""
        ),
    ),
)
DOWNGRADE = Table(
    "[downgrade]",
    (
        Key("reason", text(), "", required=True),
        Key("until", moment, required=True),
        Key("returns", choice("enforce", "canary"), "enforce"),
    ),
)
EXPLAINED = Table(
    "[[readiness.explained]]",
    (
        Key("client", entity_id, ""),
        Key("scope", scope_name, ""),
        Key("reason", text(), "", required=True),
        Key("until", moment, required=True),
    ),
)
READINESS = Table(
    "[readiness]",
    (
        Key("days", integer(1, 3_650), 14),
        Key("min_decisions", integer(0, 10**12), 1000),
        Key("unexplained", integer(0, 10**9), 0),
        Key("max_would_break", integer(0, 10**9)),
        Key("explained", list_of(table_of(EXPLAINED), most=10_000, unique=False), ()),
    ),
)
_LENT = each_named(entity_id, list_of(scope_name, least=1))
KEYS = (
    Key("legacy", _LENT, {}),
    Key("legacy_roles", each_named(text(most=100), _LENT, most=100), {}),
    Key("legacy_clients", _LENT, {}),
    Key("canary", table_of(CANARY)),
    Key("downgrade", table_of(DOWNGRADE)),
    Key("readiness", table_of(READINESS), {key.name: key.default for key in READINESS.keys}),
)
"""Keys of an audience's file that are about its mode."""
TABLES = (CANARY, DOWNGRADE, READINESS, EXPLAINED)


def modes_of(draft: Draft, file: str, mode: str, whole: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `KEYS` as an `Audience` takes them; what is wrong with them goes to the draft's findings."""
    _check(draft, file, mode, whole)
    return {
        "legacy": whole["legacy"],
        "legacy_roles": whole["legacy_roles"],
        "legacy_clients": whole["legacy_clients"],
        "canary": _canary(draft, file, mode, whole["canary"]),
        "downgrade": _downgrade(draft, file, mode, whole),
        "readiness": _readiness(draft, file, whole["readiness"]),
    }


def _check(draft: Draft, file: str, mode: str, whole: Mapping[str, Any]) -> None:
    place = Place(file, ("audience", "mode"))
    mapped = whole["legacy"] or whole["legacy_roles"] or whole["legacy_clients"]
    if mode != "enforce" and not mapped:
        what = f'`mode = "{mode}"` and no mapping of an older system: nothing would be issued'
        draft.problems.add(place, what, "add `[legacy]`, `[legacy_roles]` or `[legacy_clients]`")
    if mode == "canary" and whole["canary"] is None:
        draft.problems.add(
            place, '`mode = "canary"` does not say for whom', "add `[canary]` with a `share` or `clients`"
        )


def _canary(draft: Draft, file: str, mode: str, values: Mapping[str, Any] | None) -> Canary | None:
    if values is None:
        return None
    if not (values["share"] or values["clients"] or values["groups"]) and mode == "canary":
        what = "nobody is in the canary"
        draft.problems.add(Place(file, ("canary",)), what, "add a `share`, `clients` or `groups`, or observe", key=True)
    return Canary(share=values["share"], clients=values["clients"], groups=values["groups"], salt=values["salt"])


def _downgrade(draft: Draft, file: str, mode: str, whole: Mapping[str, Any]) -> Downgrade | None:
    values = whole["downgrade"]
    if values is None:
        return None
    place = Place(file, ("downgrade",))
    if mode == "enforce":
        what = '`[downgrade]` has no meaning with `mode = "enforce"`'
        draft.problems.add(place, what, "remove it: the audience is back", key=True)
    if values["returns"] == "canary" and (whole["canary"] is None or mode == "canary"):
        what = "it cannot return to a canary that is not described, or is what it went to"
        draft.problems.add(place.at("returns"), what, 'write `returns = "enforce"`')
    if values["until"] is None:
        return None
    return Downgrade(reason=values["reason"], until=values["until"], returns=values["returns"])


def _readiness(draft: Draft, file: str, values: Mapping[str, Any]) -> Readiness:
    explained: list[Explained] = []
    for index, entry in enumerate(values["explained"]):
        if not entry["client"] and not entry["scope"]:
            what = "an explanation of everything explains nothing"
            draft.problems.add(
                Place(file, ("readiness", "explained", index)), what, "name a `client` or a `scope`", key=True
            )
        if entry["until"] is not None:
            explained.append(
                Explained(reason=entry["reason"], until=entry["until"], client=entry["client"], scope=entry["scope"])
            )
    return Readiness(
        days=values["days"],
        min_decisions=values["min_decisions"],
        unexplained=values["unexplained"],
        max_would_break=values["max_would_break"],
        explained=tuple(explained),
    )

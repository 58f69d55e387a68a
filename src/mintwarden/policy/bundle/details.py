"""`[details]` of `audiences/*.toml`: types of authorization details (RFC 9396), and what each may say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mintwarden.model.catalogue import Audience
from mintwarden.model.detail import DetailField, DetailType
from mintwarden.model.fact_type import FactType
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.facttypes import FACT_TYPES
from mintwarden.policy.bundle.kinds import boolean, choice, fact_name, identifier, matching, text
from mintwarden.policy.bundle.problem import Place, Problems, quote
from mintwarden.policy.bundle.shape import BAD, Key, Table, each_named, list_of, read_table

DETAIL_TYPES: Mapping[str, FactType] = {
    **{name: FACT_TYPES[name] for name in ("bool", "long", "string", "decimal", "set<string>", "set<long>")},
    "record": FactType(kind="record"),
}
"""What a field may be, by its spelling."""

COMMON: Mapping[str, str] = {
    "actions": "set<string>",
    "locations": "set<string>",
    "datatypes": "set<string>",
    "privileges": "set<string>",
    "identifier": "string",
}
"""Fields whose meaning RFC 9396 section 2.2 fixes: whoever declares one declares it so."""

DEEPEST = 4
"""How many records may lie in one another."""

_NUMBERS = ("long", "decimal")
_LISTED = ("string", "set<string>")
_NAME = re.compile(r"[\x21\x24-\x5b\x5d-\x7e]{1,256}", re.ASCII)

detail_name = matching(_NAME, 'a type of authorization detail: printable ASCII without spaces, `"`, `#` and `\\`')


def _type(value: Any, place: Place, problems: Problems) -> Any:
    if isinstance(value, str) and value in DETAIL_TYPES:
        return value
    problems.add(place, f"unknown type {quote(value)}", problems.near(value, DETAIL_TYPES))
    return BAD


def field(value: Any, place: Place, problems: Problems) -> Any:
    """A field: its type alone, or a table."""
    if isinstance(value, str):
        kind = _type(value, place, problems)
        return BAD if kind is BAD else {**_PLAIN, "type": kind}
    if not isinstance(value, dict):
        problems.add(place, f"`{place.path[-1]}` is neither a type nor a table", 'write `"string"`, for instance')
        return BAD
    if sum(step == "fields" for step in place.path) > DEEPEST:
        problems.add(place, f"records lie more than {DEEPEST} deep in one another", "make it flatter")
        return BAD
    return read_table(FIELD, value, place, problems)


_fields = each_named(fact_name, field, most=100)
_text = text(most=512)

FIELD = Table(
    '[details."<type>".fields.<name>]',
    (
        Key("type", _type, "string", required=True),
        Key("required", boolean, False),
        Key("one_of", list_of(_text, least=1, most=200), ()),
        Key("narrows", choice("at_most"), ""),
        Key("fields", _fields, {}),
    ),
)
_PLAIN = {key.name: key.default for key in FIELD.keys}

DETAIL = Table(
    '[details."<type>"]',
    (
        Key("meaning", text(), "", required=True),
        Key("tier", identifier, "", required=True),
        Key("fields", _fields, {}),
    ),
)
TABLES = (DETAIL, FIELD)


def details_of(draft: Draft, file: str, audience: str, values: Mapping[str, Any]) -> Mapping[str, DetailType]:
    """An audience's types by name."""
    found = {}
    for name, entry in values.items():
        place = Place(file, ("details", name))
        if draft.declare("detail", name, place):
            found[name] = DetailType(
                name=name,
                audience=audience,
                meaning=entry["meaning"],
                tier=entry["tier"],
                fields=_read(draft, entry["fields"], place.at("fields"), top=True),
            )
    return found


def check_names(draft: Draft, audiences: Mapping[str, Audience]) -> None:
    """Types stand at APIs, and at other domains' authorization servers.

    INVARIANT: no type has a scope's name, so that what is said of either is never taken for the other.
    """
    scopes = {name: audience.id for audience in audiences.values() for name in audience.scopes}
    for audience in audiences.values():
        for name in audience.details:
            locations = audience.details[name].fields.get("locations")
            if audience.kind == "domain" and locations is not None and not locations.one_of:
                what = "`locations` at another domain may be anything"
                draft.problems.add(draft.place("detail", name), what, "list its servers in `one_of`", key=True)
            if audience.kind not in ("api", "domain"):
                what = f"tokens for an audience of kind `{audience.kind}` carry no authorization details"
                draft.problems.add(draft.place("detail", name), what, "declare them at the API or domain", key=True)
            if name in scopes:
                what = f"`{name}` is also a scope of audience `{scopes[name]}`"
                draft.problems.add(draft.place("detail", name), what, "give the detail another name", key=True)


def _read(draft: Draft, values: Mapping[str, Any], place: Place, *, top: bool = False) -> Mapping[str, DetailField]:
    found = {}
    for name, entry in values.items():
        _fits(draft, entry, place.at(name))
        if top and name == "type":
            draft.problems.add(place.at(name), "`type` is the name of the type itself", "rename the field", key=True)
        if top and entry["type"] != COMMON.get(name, entry["type"]):
            what = f"`{name}` is `{COMMON[name]}` by RFC 9396"
            draft.problems.add(place.at(name), what, "change its type, or rename the field", key=True)
        found[name] = DetailField(
            name=name,
            type=DETAIL_TYPES[entry["type"]],
            required=entry["required"],
            one_of=entry["one_of"],
            narrows=entry["narrows"],
            fields=_read(draft, entry["fields"], place.at(name, "fields")),
        )
    return found


def _fits(draft: Draft, entry: Mapping[str, Any], place: Place) -> None:
    """What has a meaning for one type of field only."""
    kind = entry["type"]
    if entry["one_of"] and kind not in _LISTED:
        draft.problems.add(place.at("one_of"), f"`one_of` has no meaning for `{kind}`", "remove it", key=True)
    if entry["narrows"] and kind not in _NUMBERS:
        draft.problems.add(place.at("narrows"), f"`narrows` has no meaning for `{kind}`", "remove it", key=True)
    if bool(entry["fields"]) != (kind == "record"):
        what = "a `record` has `fields`, and nothing else has"
        draft.problems.add(place, what, "say what it holds, or change the type", key=True)

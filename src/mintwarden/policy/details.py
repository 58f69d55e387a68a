"""Authorization details against their declared types: what rules see of them, and which are within an earlier token's.

Pure. A detail is read here twice: from the request, where what does not fit is an error, and in the decision, where it
refuses; so that a bundle never decides about fields that it does not declare.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from mintwarden.model.catalogue import Audience
from mintwarden.model.detail import Detail, DetailField, DetailType
from mintwarden.model.values import LONG_MAX, LONG_MIN, Decimal4, Record, Value
from mintwarden.policy.legible import all_seen

MAX_TEXT = 512
"""Characters of one string."""
MAX_ELEMENTS = 100
"""Elements of one set."""

_DECIMAL = re.compile(r"(-?)(0|[1-9][0-9]{0,14})(?:\.([0-9]{1,4}))?", re.ASCII)


class DetailRefused(Exception):
    """A detail that does not fit its type. The text says what, and the hint what to do about it."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


def record_of(of: DetailType, audience: Audience, fields: Mapping[str, Any]) -> Record:
    """The fields as rules see them, `context.detail`. Raises `DetailRefused` for what the type does not declare."""
    record = _members(of.fields, fields, "")
    # INVARIANT: a token for one audience speaks of no other's servers (RFC 9396 section 2.2). Those of another domain
    # are declared one by one (`one_of`): its authorization server, which the assertion is for, is none of them.
    if audience.kind != "domain" and not frozenset(fields.get("locations", ())) <= frozenset(audience.identifiers):
        raise DetailRefused("`locations` names what is not of the audience", f"send `{audience.identifier}`")
    return record


def _members(declared: Mapping[str, DetailField], said: Any, path: str) -> Record:
    if not isinstance(said, dict):
        raise DetailRefused(f"`{path[:-1]}` is not an object", "see the catalogue")
    for name in said:
        if name not in declared:
            raise DetailRefused(f"there is no field `{path}{name[:64]}`", "leave it out: unknown fields are refused")
    for name, field in declared.items():
        if field.required and name not in said:
            raise DetailRefused(f"the field `{path}{name}` is missing", "send it")
    return Record({name: _value(declared[name], value, f"{path}{name}") for name, value in said.items()})


def _value(field: DetailField, said: Any, path: str) -> Value:
    kind = field.type.kind
    if kind == "record":
        return _members(field.fields, said, f"{path}.")
    if kind == "set" and field.type.element is not None:
        return _set(field, field.type.element.kind, said, path)
    return _single(field, kind, said, path)


def _set(field: DetailField, kind: str, said: Any, path: str) -> frozenset[Any]:
    if not isinstance(said, list) or not said:
        raise DetailRefused(f"`{path}` is not an array with elements", "send an array, or leave the field out")
    if len(said) > MAX_ELEMENTS:
        raise DetailRefused(f"`{path}` has more than {MAX_ELEMENTS} elements", "send fewer")
    found = frozenset(_single(field, kind, element, path) for element in said)
    if len(found) != len(said):
        raise DetailRefused(f"`{path}` has an element twice", "send each once")
    return found


def _single(field: DetailField, kind: str, said: Any, path: str) -> Value:
    # `type` tells a number from a boolean, and a whole number from one that was spelled with a point or an exponent.
    if kind == "bool" and type(said) is bool:
        return said
    if kind == "long" and type(said) is int:
        if not LONG_MIN <= said <= LONG_MAX:
            raise DetailRefused(f"`{path}` is out of range", "send a number of 64 bits")
        return said
    if kind == "decimal" and type(said) is str:
        return _decimal(said, path)
    if kind == "string" and type(said) is str:
        return _text(field, said, path)
    raise DetailRefused(f"`{path}` is not {_WANTED[kind]}", _HINTS.get(kind, "see the catalogue"))


_WANTED = {"bool": "a boolean", "long": "a whole number", "decimal": "a decimal in a string", "string": "a string"}
_HINTS = {"decimal": 'send for instance `"123.50"`: a number of JSON is not exact', "long": "without point or exponent"}


def _decimal(said: str, path: str) -> Decimal4:
    found = _DECIMAL.fullmatch(said)
    if found is None:
        raise DetailRefused(f"`{path}` is not a decimal", 'send for instance `"123.50"`: at most four digits after it')
    sign, whole, fraction = found.groups()
    units = int(whole) * 10_000 + int((fraction or "").ljust(4, "0"))
    if units > LONG_MAX or (sign and not units):
        raise DetailRefused(f"`{path}` is not a decimal", "send a smaller one, and no negative zero")
    return Decimal4(-units if sign else units)


def _text(field: DetailField, said: str, path: str) -> str:
    if not 0 < len(said) <= MAX_TEXT:
        raise DetailRefused(f"`{path}` has {len(said)} characters", f"1 to {MAX_TEXT} are taken")
    if not said.isascii() or not said.isprintable():
        # INVARIANT: what two people, or a rule and a person, may read differently is in no token.
        if not all_seen(said):
            raise DetailRefused(f"`{path}` holds characters that are not seen", "leave them out")
        if not unicodedata.is_normalized("NFC", said):
            raise DetailRefused(f"`{path}` is not in normal form", "send it in Unicode's normal form C")
    if field.one_of and said not in field.one_of:
        raise DetailRefused(f"`{path}` is none of those that it may be", f"one of {', '.join(field.one_of)}"[:400])
    return said


def is_within(declared: Mapping[str, DetailField], asked: Record, earlier: Record) -> bool:
    """Whether the one says no more than the other.

    Both have the same fields: one that is left out may be a limit that is left out. A set is a part of the earlier
    one, a number that `narrows = "at_most"` is no greater and not below zero, and everything else is equal.
    """
    if asked.keys() != earlier.keys():
        return False
    return all(_is_less(declared[name], value, earlier[name]) for name, value in asked.items())


def _is_less(field: DetailField, asked: Any, earlier: Any) -> bool:
    if field.type.kind == "record":
        return is_within(field.fields, asked, earlier)
    if isinstance(asked, frozenset):
        return isinstance(earlier, frozenset) and asked <= earlier
    if asked == earlier:
        return True
    if field.narrows != "at_most":
        return False
    one, other = (value.units if isinstance(value, Decimal4) else value for value in (asked, earlier))
    return bool(0 <= one <= other)


def carried(
    audience: Audience, asked: Sequence[Detail], records: Sequence[Record | None], earlier: Sequence[Detail]
) -> frozenset[int]:
    """Which of the details asked for (by place) an earlier token carries; `records` as rules see them, if they fit.

    INVARIANT: each of the earlier token's stands for one at most, so that one payment does not become two. Those that
    are asked for first go first.
    """
    held = [(one.type, read_detail(audience, one)) for one in earlier]

    def fits(place: int, index: int) -> bool:
        kind, record = held[index]
        mine, of = records[place], audience.details.get(asked[place].type)
        if mine is None or record is None or of is None or kind != of.name:
            return False
        return is_within(of.fields, mine, record)

    taken: dict[int, int] = {}

    def find(place: int, tried: set[int]) -> bool:
        for index in range(len(held)):
            if index not in tried and fits(place, index):
                tried.add(index)
                if index not in taken or find(taken[index], tried):
                    taken[index] = place
                    return True
        return False

    for place in range(len(asked)):
        find(place, set())
    return frozenset(taken.values())


def read_detail(audience: Audience, detail: Detail) -> Record | None:
    """The detail as rules see it; None where the audience has no such type, or not with such fields."""
    of = audience.details.get(detail.type)
    if of is None:
        return None
    try:
        return record_of(of, audience, detail.fields)
    except DetailRefused:
        return None

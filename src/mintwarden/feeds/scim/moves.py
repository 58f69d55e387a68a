"""Who comes into a group and who leaves it, as identity providers write it in a PATCH: read and done by ids alone.

Groups have thousands of members, a PATCH names hundreds one by one, and to walk through all members for each of them
takes minutes. Whatever is written in another way is left to the library.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

_GROUP = r"(?:urn:ietf:params:scim:schemas:core:2\.0:group:)?"
_MEMBERS = re.compile(rf"{_GROUP}members", re.IGNORECASE)
_ONE = re.compile(rf'{_GROUP}members\[ *value +eq +"([^"\\]*)" *\]', re.IGNORECASE)
_PARTS = frozenset({"value", "$ref", "type", "display"})
_MOVES: Mapping[str, Literal["add", "replace", "remove"]] = {"add": "add", "replace": "replace", "remove": "remove"}


class Move(Struct, frozen=True):
    """One operation on the members; `members` None with `remove` means all of them."""

    op: Literal["add", "replace", "remove"]
    members: tuple[str, ...] | None


def split(operations: Sequence[Any]) -> tuple[list[Move], list[Any]] | None:
    """The moves, and the other operations; None where one of those may be about members too."""
    moves, rest = [], []
    for operation in operations:
        if not isinstance(operation, dict):
            return None
        given = {key.lower(): value for key, value in operation.items()}
        if len(given) != len(operation):
            return None
        path = given.get("path")
        if isinstance(path, str) and "members" in path.lower():
            move = _move(path, given)
            if move is None:
                return None
            moves.append(move)
            continue
        value = given.get("value")
        if path is None and isinstance(value, dict) and any("members" in key.lower() for key in value):
            return None
        rest.append(operation)
    return moves, rest


def moved(moves: Iterable[Move], before: Iterable[str]) -> dict[str, None]:
    """The members after all `moves`, in order, those that stay first."""
    members = dict.fromkeys(before)
    for move in moves:
        if move.op == "remove":
            for member in members.copy() if move.members is None else move.members:
                members.pop(member, None)
        else:
            if move.op == "replace":
                members = {}
            members |= dict.fromkeys(move.members or ())
    return members


def _move(path: str, given: Mapping[str, Any]) -> Move | None:
    op = given["op"].lower() if isinstance(given.get("op"), str) else ""
    if op not in _MOVES:
        return None
    one = _ONE.fullmatch(path)
    if one is not None:
        return Move("remove", (one[1],)) if op == "remove" and "value" not in given else None
    if not _MEMBERS.fullmatch(path):
        return None
    if op == "remove" and given.get("value") is None:
        return Move("remove", None)
    members = _named(given.get("value"))
    return None if members is None else Move(_MOVES[op], members)


def _named(value: Any) -> tuple[str, ...] | None:
    """The ids of a list of members, where nothing is written but what a member has."""
    if not isinstance(value, list):
        return None
    found = []
    for one in value:
        if not isinstance(one, dict):
            return None
        named = {key.lower(): item for key, item in one.items()}
        if not named.keys() <= _PARTS or not all(isinstance(item, str) for item in named.values()):
            return None
        if not named.get("value") or named.get("type", "User").lower() != "user":
            return None
        found.append(named["value"])
    return tuple(found)

"""Cedar's validator about types, in the words of a bundle: what is compared with what, and how it is written."""

from __future__ import annotations

import re

_EXPECTED = re.compile(r"unexpected type: expected (.+) but saw (.+)")
_TWO = re.compile(r"the types (.+) and (.+) are not compatible")
_NAMES = {"String": "a text", "Long": "a number", "Bool": "`true` or `false`", "ipaddr": "an address"} | {
    "datetime": "a time", "duration": "a duration", "decimal": "a decimal"
}  # fmt: skip
_ENTITY, _SET = "AnyEntity", "Set<"
_IN = 'behind `in` stands an entity such as `Group::"..."`; a text is found by `["a", "b"].contains(...)`'
_ADDRESS = 'write `context.request.address.isInRange(ip("10.0.0.0/8"))`'
_TIME = 'write `datetime("2026-11-24T02:30:00Z")` for a time'
_NUMBER = "write text in quotes; numbers, `true` and `false` without"
_CONDITION = 'compare it, such as `principal.department == "support"`'


def explain_types(error: str) -> tuple[str, str, str] | None:
    """What is wrong, the remedy and the word to point at; None for an error about something else."""
    line = error.splitlines()[0]
    expected, two = _EXPECTED.search(line), _TWO.search(line)
    if expected is not None:
        wanted = expected[1].split(", or ")[0]
        what = f"{_name(expected[2])} stands where {_name(wanted)} is needed"
        return what, _CONDITION if wanted == "Bool" else _remedy(expected[1], expected[2]), "when"
    if two is not None:
        return f"{_name(two[1])} is compared with {_name(two[2])}", _remedy(two[1], two[2]), "when"
    return None


def _name(kind: str) -> str:
    kind = kind.removeprefix("__cedar::internal::")
    if _ENTITY in kind:
        return "an entity"
    if kind.startswith(_SET):
        return "a set"
    if kind[:1].isupper() and kind not in _NAMES:
        return "an entity"
    return _NAMES.get(kind, "a record" if kind.startswith("{") else f"`{kind}`")


def _remedy(one: str, other: str) -> str:
    both = f"{one} {other}"
    if "ipaddr" in both:
        return _ADDRESS
    if _ENTITY in both:
        return _IN
    if _SET in both:
        return 'ask a set by `.contains("...")`, and anything else by `==`'
    if "datetime" in both:
        return _TIME
    return _NUMBER

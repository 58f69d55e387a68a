"""What a receiver says when it polls (RFC 8936 section 2.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from mintwarden.feeds.streams import bad

MOST: Final = 100
"""Events in one answer."""
MOST_ACKNOWLEDGED: Final = 1_000
LONGEST: Final = 200


class PollRequest(Struct, frozen=True, kw_only=True):
    """One poll.

    Attributes:
        most: events that may come back; 0 for one that only acknowledges.
        at_once: it does not wait for one.
        taken: `jti` of those that arrived.
        refused: `jti` of those that the receiver can make nothing of, with its code for why.
    """

    most: int
    at_once: bool
    taken: tuple[str, ...]
    refused: Mapping[str, str]


def read_poll(content: Mapping[str, Any]) -> PollRequest:
    """The request, bounded; raises `INVALID_REQUEST`. What nobody defined is ignored."""
    most = content.get("maxEvents")
    if most is not None and (type(most) is not int or most < 0):
        raise bad("`maxEvents` is no whole number from 0")
    at_once = content.get("returnImmediately", False)
    if type(at_once) is not bool:
        raise bad("`returnImmediately` is neither true nor false")
    taken = content.get("ack", [])
    refused = content.get("setErrs", {})
    if not isinstance(taken, list) or not all(_is_name(one) for one in taken):
        raise bad("`ack` is no list of `jti`s")
    if not isinstance(refused, Mapping) or not all(_is_name(one) for one in refused):
        raise bad("`setErrs` is no object with `jti`s for its members")
    if len(taken) + len(refused) > MOST_ACKNOWLEDGED:
        raise bad(f"more than {MOST_ACKNOWLEDGED} events in one request")
    return PollRequest(
        most=MOST if most is None else min(most, MOST),
        at_once=at_once,
        taken=tuple(taken),
        refused={name: _code(what) for name, what in refused.items()},
    )


def _code(what: object) -> str:
    """INVARIANT: of what a receiver writes, a log gets a code and nothing that could be taken for a line of its own."""
    if not isinstance(what, Mapping) or not isinstance(what.get("err"), str):
        raise bad("a member of `setErrs` says what is wrong by its `err`")
    code: str = what["err"]
    return code if code.isascii() and code.replace("_", "").isalnum() and len(code) <= 40 else "other"


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST

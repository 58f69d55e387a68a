"""What a delegation may cost and how far it may go: `budget` and `max_depth`, extension parameters of `docs/token.md`.

INVARIANT: both only shrink on the way down. Everything that is handed down from one token together is within its
budget (`Memory.draw` keeps count), and no chain grows beyond what an earlier link allowed.
"""

from __future__ import annotations

import re

from msgspec import Struct

from mintwarden.model.budget import Budget
from mintwarden.model.caller import Evidence
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest

LIMITS = ("budget", "max_depth")

_NAMES = frozenset(LIMITS)
_AMOUNT = re.compile(r"[1-9][0-9]{0,11}")
_DEPTH = re.compile(r"0|[1-9][0-9]?")


class Limits(Struct, frozen=True):
    """None where there is no limit. `max_depth`: how many further actors may come after the present one."""

    budget: Budget | None = None
    max_depth: int | None = None


NO_LIMITS = Limits()


def read_limits(request: TokenRequest, earlier: Evidence | None = None, *, grown: bool = False) -> Limits:
    """The limits of a token; `earlier` is what it comes of, `grown` whether the chain has one more actor.

    Raises `INVALID_REQUEST` for what is malformed, or wider than an earlier limit.
    """
    limited = earlier is not None and (earlier.budget is not None or earlier.max_depth is not None)
    if not limited and _NAMES.isdisjoint(request.unverified_form):
        return NO_LIMITS
    return Limits(_budget(request, earlier), _depth(request, earlier, grown))


def granted_limits(request: TokenRequest, pool: str, of: int | None, depth: int | None) -> Limits:
    """The limits of one token of the grant `pool`: what is asked for, within the grant's budget and depth."""
    if of is None and depth is None and _NAMES.isdisjoint(request.unverified_form):
        return NO_LIMITS
    return Limits(_granted_budget(request, pool, of), _granted_depth(request, depth))


def _granted_budget(request: TokenRequest, pool: str, of: int | None) -> Budget | None:
    """The part of a grant's budget that one token of it carries: what is asked for, or all of it."""
    wished = _number(request, "budget", _AMOUNT)
    if of is None:
        return None if wished is None else Budget(amount=wished)
    if wished is not None and wished > of:
        raise _wider("budget")
    return Budget(amount=of if wished is None else wished, pool=pool, of=of)


def _budget(request: TokenRequest, earlier: Evidence | None) -> Budget | None:
    held = earlier.budget if earlier is not None else None
    return _granted_budget(request, earlier.token_id if earlier is not None else "", held)


def _granted_depth(request: TokenRequest, of: int | None) -> int | None:
    """How far one token of a grant may be handed on: what is asked for, or as far as the grant allows."""
    wished = _number(request, "max_depth", _DEPTH)
    if wished is not None and of is not None and wished > of:
        raise _wider("max_depth")
    return of if wished is None else wished


def _depth(request: TokenRequest, earlier: Evidence | None, grown: bool) -> int | None:
    left = None if earlier is None or earlier.max_depth is None else earlier.max_depth - grown
    if left is not None and left < 0:
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST, "the subject token may not be delegated any further", hint="see `max_depth`"
        )
    return _granted_depth(request, left)


def _number(request: TokenRequest, name: str, pattern: re.Pattern[str]) -> int | None:
    text = request.one(name)
    if text is None:
        return None
    if not pattern.fullmatch(text):
        raise MintwardenError(ErrorKind.INVALID_REQUEST, f"`{name}` is not a whole number in range")
    return int(text)


def _wider(name: str) -> MintwardenError:
    return MintwardenError(
        ErrorKind.INVALID_REQUEST, f"`{name}` is more than what it is taken from", hint="ask for less, or leave it out"
    )

"""Reading claims that several kinds of tokens share; `JoseError` for anything malformed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mintwarden.authn.jose import JoseError, decode_segment, numeric_date
from mintwarden.model.caller import Binding
from mintwarden.model.detail import MEMBER, Detail, detail_of

_KINDS = {"jkt": "dpop", "x5t#S256": "mtls"}


def strings(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A claim that is a list of strings, or empty when absent."""
    value = claims.get(name)
    if value is None and name not in claims:
        return ()
    if isinstance(value, list) and all(isinstance(item, str) and item for item in value):
        return tuple(value)
    raise JoseError(f"`{name}` is not a list of strings")


def limit(claims: Mapping[str, Any], name: str) -> int | None:
    """A claim that is a limit; INVARIANT: one that is not understood refuses, so that no limit is shaken off."""
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if type(value) is int and value >= 0:
        return value
    raise JoseError(f"`{name}` is not a whole number")


def binding(claims: Mapping[str, Any]) -> Binding | None:
    """The holder's key in `cnf` (RFC 7800), or None when absent.

    INVARIANT: a confirmation that is not understood refuses, so that a bound token never passes for a bearer token.
    """
    if "cnf" not in claims:
        return None
    value = claims["cnf"]
    if isinstance(value, dict) and len(value) == 1:
        ((member, thumbprint),) = value.items()
        if member in _KINDS and isinstance(thumbprint, str) and thumbprint.isascii() and thumbprint:
            if len(decode_segment(thumbprint.encode())) != 32:
                raise JoseError("`cnf` is not a SHA-256 thumbprint")
            return Binding(kind=_KINDS[member], thumbprint=thumbprint)
    raise JoseError("`cnf` is not one that is understood")


def lifetime(claims: Mapping[str, Any], now: int, *, late: int, early: int) -> tuple[int, int]:
    """`iat` (0 when absent) and `exp` in `Millis`, once `exp`, `nbf` and `iat` hold at `now`.

    `late` milliseconds past `exp`, and `early` before `nbf` or `iat`, are forgiven.
    """
    expires, starts = numeric_date(claims, "exp"), numeric_date(claims, "nbf")
    issued = numeric_date(claims, "iat")
    if expires is None:
        raise JoseError("`exp` is missing")
    within(issued, starts, expires, now, late=late, early=early)
    return issued or 0, expires


def within(issued: int | None, starts: int | None, expires: int, now: int, *, late: int, early: int) -> None:
    """Raises `JoseError` unless a token with these times (`Millis`) holds at `now`; see `lifetime`."""
    if now >= expires + late:
        raise JoseError("the token has expired")
    if (starts is not None and starts > now + early) or (issued is not None and issued > now + early):
        raise JoseError("the token is not valid yet")


def details(claims: Mapping[str, Any]) -> tuple[Detail, ...]:
    """The `authorization_details` (RFC 9396 section 9.1), or empty when absent.

    INVARIANT: where they are not understood the token is not, since they bound what may come of it.
    """
    if MEMBER not in claims:
        return ()
    said = claims[MEMBER]
    if not isinstance(said, list) or not all(
        isinstance(one, dict) and isinstance(one.get("type"), str) for one in said
    ):
        raise JoseError(f"`{MEMBER}` is malformed")
    return tuple(detail_of(one) for one in said)

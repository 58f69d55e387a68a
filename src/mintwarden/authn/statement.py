"""Software statements (RFC 7591 section 2.3): what somebody whose word counts says of a client's software."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mintwarden.authn.jose import (
    JoseError,
    VerificationKey,
    audiences,
    decode_json,
    numeric_date,
    parse,
    verify_signature,
)
from mintwarden.model.catalogue import DEFAULT_ALGORITHMS

LIMIT = 16 * 1024
LEEWAY = 30_000
_TYPES = (None, "jwt", "software-statement+jwt")
_ABOUT_ITSELF = ("iss", "sub", "aud", "exp", "nbf", "iat", "jti", "software_statement")


class StatementUnapproved(Exception):
    """A statement of somebody whose word does not count here."""


def read_statement(
    unverified: str, publishers: Mapping[str, tuple[VerificationKey, ...]], now: int, *, issuer: str
) -> Mapping[str, Any]:
    """The client metadata in a statement. Raises `JoseError` for a bad one, `StatementUnapproved`."""
    token = parse(unverified, LIMIT)
    if token.typ not in _TYPES:
        raise JoseError("the token is of another kind")
    claims = decode_json(token.payload)
    keys = publishers.get(str(claims.get("iss", "")))
    if keys is None:
        raise StatementUnapproved("its issuer is nobody whose statements count")
    verify_signature(token, keys, frozenset({*DEFAULT_ALGORITHMS, "ES384", "RS256"}))
    expires, starts = numeric_date(claims, "exp"), numeric_date(claims, "nbf")
    if (expires is not None and now >= expires + LEEWAY) or (starts is not None and starts > now + LEEWAY):
        raise JoseError("it has ended, or not begun")
    if "aud" in claims and issuer not in audiences(claims):
        raise JoseError("it is for somebody else")
    return {name: value for name, value in claims.items() if name not in _ABOUT_ITSELF}

"""Signed requests (RFC 9101): parameters as claims of a JWT that the client signed with its own key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from mintwarden.authn.jose import (
    JoseError,
    Unverified,
    VerificationKey,
    audiences,
    decode_json,
    numeric_date,
    parse,
    string,
    verify_signature,
)
from mintwarden.authn.replay import once_key
from mintwarden.issue.authorization.request import LONGEST, Parameters
from mintwarden.model.caller import OnceKey
from mintwarden.model.errors import ErrorKind, MintwardenError

LONGEST_LIFE: Final = 3_600_000
"""Longest time, in milliseconds, from now to `exp`, and since `nbf` (FAPI 2.0 Message Signing section 5.3.1)."""
LEEWAY: Final = 30_000

_TYPES = frozenset({None, "jwt", "oauth-authz-req+jwt"})
_OF_THE_TOKEN = frozenset({"iss", "aud", "exp", "nbf", "iat", "jti"})
_OF_THE_FRONT = frozenset({"response_type", "redirect_uri", "code_challenge", "grant_type", "dpop_jkt"})
_NEVER = frozenset({"sub", "request", "request_uri", "client_secret", "client_assertion", "client_assertion_type"})
_AS_JSON = frozenset({"claims", "authorization_details"})
_SEVERAL = frozenset({"resource", "audience"})


def take_apart(unverified: str) -> Unverified:
    """The object's parts, to find the key by. Raises `INVALID_REQUEST_OBJECT`."""
    try:
        return parse(unverified, 2 * LONGEST)
    except JoseError as error:
        raise _refused(str(error)) from None


def read_object(
    token: Unverified,
    *,
    client_id: str,
    keys: tuple[VerificationKey, ...],
    algorithms: frozenset[str],
    issuer: str,
    now: int,
    starts: bool = False,
) -> Parameters:
    """The parameters in a request object of the client's. Raises `INVALID_REQUEST_OBJECT` for every other.

    `starts`: it must say from when on it counts (`nbf`).

    INVARIANT: it is no client assertion, and no client assertion is one: of the other's `typ` it is not taken, and an
    assertion has a `sub`, which no request object may have (RFC 9101 sections 4 and 10.8).
    """
    try:
        if token.typ not in _TYPES:
            raise JoseError("the token is of another kind")
        verify_signature(token, keys, algorithms)
        claims = decode_json(token.payload)
        if starts and "nbf" not in claims:
            raise JoseError("`nbf` is missing")
        _check(claims, client_id, issuer, now)
        return _parameters(claims)
    except JoseError as error:
        raise _refused(str(error)) from None


def read_backchannel_object(
    token: Unverified,
    *,
    client_id: str,
    keys: tuple[VerificationKey, ...],
    algorithms: frozenset[str],
    issuer: str,
    now: int,
) -> tuple[Parameters, OnceKey]:
    """The parameters of a signed request to have somebody asked, and the claim on its one use.

    OpenID CIBA Core 1.0 section 7.1.1: `aud`, `iss`, `exp`, `iat`, `nbf` and `jti` are there, each; it counts once.
    Raises `INVALID_REQUEST` for every other (section 13 has no error of its own).

    INVARIANT: no object for the authorization endpoint is taken here, and none of these there: each has parameters that
    the other may not have, or lacks those that it needs.
    """
    try:
        if token.typ not in _TYPES:
            raise JoseError("the token is of another kind")
        verify_signature(token, keys, algorithms)
        claims = decode_json(token.payload)
        for name in ("aud", "iss", "exp", "iat", "nbf", "jti"):
            if name not in claims:
                raise JoseError(f"`{name}` is missing")
        if barred := _OF_THE_FRONT & claims.keys():
            raise JoseError(f"`{min(barred)}` is no parameter of such a request")
        _check(claims, client_id, issuer, now, named="client_id" in claims)
        token_id, expires = string(claims, "jti"), numeric_date(claims, "exp")
        if not token_id or expires is None:
            raise JoseError("`jti` or `exp` is empty")
        return _parameters(claims), once_key(f"asks {client_id}", token_id, expires + LEEWAY)
    except JoseError as error:
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST, "the signed request is not accepted", hint=str(error)
        ) from None


def _check(claims: Mapping[str, Any], client_id: str, issuer: str, now: int, *, named: bool = True) -> None:
    """`named`: `client_id` is there as well."""
    if barred := _NEVER & claims.keys():
        raise JoseError(f"a request object has no `{min(barred)}`")
    if string(claims, "iss") != client_id or (named and string(claims, "client_id") != client_id):
        raise JoseError("`iss` and `client_id` are not both the client")
    if issuer not in audiences(claims):
        raise JoseError("`aud` is not our issuer identifier")
    expires, starts, issued = (numeric_date(claims, name) for name in ("exp", "nbf", "iat"))
    if expires is None or now >= expires + LEEWAY or expires > now + LONGEST_LIFE + LEEWAY:
        raise JoseError("`exp` is missing, past or too far away")
    if starts is not None and not now - LONGEST_LIFE <= starts <= now + LEEWAY:
        raise JoseError("`nbf` is in the future, or too long ago")
    if issued is not None and issued > now + LEEWAY:
        raise JoseError("`iat` is in the future")


def _parameters(claims: Mapping[str, Any]) -> Parameters:
    found = {}
    for name, value in claims.items():
        if name not in _OF_THE_TOKEN:
            texts = _texts(name, value)
            if not all(text.isprintable() for text in texts):
                raise JoseError(f"`{name}` holds characters that are not printable")
            if texts != ("",):
                found[name] = texts
    return found


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if name in _AS_JSON and isinstance(value, dict | list):
        return (msgspec.json.encode(value).decode(),)
    if name in _SEVERAL and isinstance(value, list) and value and all(isinstance(one, str) and one for one in value):
        return tuple(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return (str(value),)
    raise JoseError(f"`{name}` is of a type that no parameter has")


def _refused(hint: str) -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_REQUEST_OBJECT, "the request object is not accepted", hint=hint)

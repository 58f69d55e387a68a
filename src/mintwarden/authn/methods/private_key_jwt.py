"""`private_key_jwt`: a JWT signed with the client's own key (RFC 7521, RFC 7523 and its update)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from mintwarden.authn.jose import (
    DECOY,
    JoseError,
    Unverified,
    check_signature,
    decode_json,
    numeric_date,
    parse,
    string,
    verify_signature,
)
from mintwarden.authn.methods.method import NotProvenError, Proven, Tools
from mintwarden.authn.registry import KnownClient
from mintwarden.authn.replay import once_key
from mintwarden.authn.spiffe import ASSERTION_TYPE as JWT_SPIFFE
from mintwarden.model.caller import OnceKey
from mintwarden.model.catalogue import Client
from mintwarden.model.request import TokenRequest

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_LIFE: Final = 600_000
"""Longest time, in milliseconds, from now or from `iat` to `exp`."""
LEEWAY: Final = 30_000
"""Clock difference that is forgiven, in milliseconds: more than the 10 s that clients show, less than 60 s."""

LONGEST_ASSERTION: Final = 8 * 1024
_LONGEST_ID = 256
_TYPES = frozenset({None, "jwt", "client-authentication+jwt"})


FOREVER: Final = 2**53 - 1
"""The end of a claim that is never forgotten, in `Millis`."""


def key_use(client: Client) -> OnceKey:
    """The claim on the one use of the keys of a client that may be used once.

    INVARIANT: it depends on the client and its keys alone, so that every proof by them comes with the same claim.
    """
    members = [{name: key.get(name, "") for name in ("kty", "crv", "x", "y", "n", "e")} for key in client.jwks]
    text = json.dumps(["single use", client.id, members], sort_keys=True, separators=(",", ":"))
    return OnceKey(hashlib.sha256(text.encode()).digest()[:16], FOREVER)


class PrivateKeyJwt:
    """`aud` must be our issuer identifier and nothing else; each `jti` counts once, on every node."""

    name = "private_key_jwt"
    shown = True

    def __init__(self, tools: Tools) -> None:
        self._issuer = tools.issuer
        self._registry = tools.registry
        self._replay = tools.replay

    def offered(self, request: TokenRequest) -> bool:
        form = request.unverified_form
        kind = request.one("client_assertion_type")
        return kind != JWT_SPIFFE and ("client_assertion" in form or kind is not None)

    async def prove(self, request: TokenRequest, now: int) -> Proven:
        if request.one("client_assertion_type") != ASSERTION_TYPE:
            raise NotProvenError("`client_assertion_type` is missing or unknown")
        try:
            token = parse(request.one("client_assertion") or "", LONGEST_ASSERTION)
            # Only the subject is believed before the signature, and only to find the key.
            claims = self._read(token)
            client_id = string(claims, "sub")
            known = self._registry.client(client_id)
            if known is None:
                known = await self._registry.find(client_id, now, token, request.address)
            known = self._verified(token, claims, known)
            once = self._checked(claims, now, whole=known.client.rules.audience_string)
        except JoseError as error:
            raise NotProvenError(str(error)) from None
        named = request.one("client_id")
        if named is not None and named != known.client.id:
            raise NotProvenError("`client_id` differs from the assertion's subject")
        used = (once, key_use(known.client)) if known.client.single_use else (once,)
        if any(self._replay.seen(claim, now) for claim in used):
            raise NotProvenError("the assertion was used before")
        return Proven(known, used)

    def _read(self, token: Unverified) -> Mapping[str, Any]:
        if token.typ not in _TYPES:
            raise JoseError("the token is of another kind")
        return decode_json(token.payload)

    def _verified(self, token: Unverified, claims: Mapping[str, Any], known: KnownClient | None) -> KnownClient:
        if known is None:
            check_signature(token, DECOY)
            raise JoseError("unknown client")
        verify_signature(token, known.keys, known.assertion_algorithms)
        if claims.get("iss") != known.client.id:
            raise JoseError("`iss` is not the client")
        return known

    def _checked(self, claims: Mapping[str, Any], now: int, *, whole: bool) -> OnceKey:
        """`whole`: `aud` must be the string itself, and no array of it alone."""
        audience = claims.get("aud")
        if audience != self._issuer and (whole or audience != [self._issuer]):
            raise JoseError("`aud` is not our issuer identifier alone")
        expires, starts, issued = (numeric_date(claims, name) for name in ("exp", "nbf", "iat"))
        if expires is None or now >= expires + LEEWAY:
            raise JoseError("`exp` is missing or past")
        if expires - (now if issued is None else issued) > LONGEST_LIFE or expires - now > LONGEST_LIFE + LEEWAY:
            raise JoseError("the assertion lives longer than ten minutes")
        if (starts is not None and starts > now + LEEWAY) or (issued is not None and issued > now + LEEWAY):
            raise JoseError("`nbf` or `iat` is in the future")
        token_id = string(claims, "jti")
        if not 0 < len(token_id) <= _LONGEST_ID:
            raise JoseError("`jti` is missing or too long")
        return once_key(string(claims, "sub"), token_id, expires + 2 * LEEWAY)

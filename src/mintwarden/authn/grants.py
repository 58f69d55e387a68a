"""JWTs as authorization grants: RFC 7523 section 2.1, and identity assertion authorization grants (a draft)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from mintwarden.authn.claims import details
from mintwarden.authn.issuers.verify import ID_JAG_TYP, LEEWAY, TrustedIssuers
from mintwarden.authn.jose import JoseError, audiences, decode_json, parse, string
from mintwarden.model.caller import Evidence, OnceKey
from mintwarden.model.detail import MEMBER

JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class AssertionGrants:
    """Verifies the `assertion` of the JWT bearer grant. `endpoint` is the token endpoint's URL."""

    def __init__(self, *, issuer: str, endpoint: str, trusted: TrustedIssuers) -> None:
        self._issuer = issuer
        self._addressed = frozenset({issuer, endpoint})
        self._trusted = trusted

    async def verify(self, unverified: str, client_id: str, now: int) -> tuple[Evidence, OnceKey]:
        """What the assertion proves for `client_id`, and the claim by which it counts once.

        Raises `JoseError` for one that is not accepted. Stricter than RFC 7523: it needs a `jti`, and counts once.
        """
        token = parse(unverified)
        claims = decode_json(token.payload)
        if claims.get("iss") == self._issuer:
            raise JoseError("what we issued ourselves is no grant here")
        if token.typ == ID_JAG_TYP:
            self._require_id_jag(claims, client_id)
            evidence = await self._trusted.verify(token, claims, "subject", now, use="id_jag")
            evidence = replace(
                evidence,
                kind="id_jag",
                scopes=_scopes(claims),
                resources=_resources(claims),
                details=details(claims),
            )
        else:
            if self._addressed.isdisjoint(audiences(claims)):
                raise JoseError("`aud` is neither our issuer identifier nor our token endpoint")
            evidence = await self._trusted.verify(token, claims, "subject", now, use="jwt_bearer")
        if not evidence.token_id:
            raise JoseError("`jti` is missing")
        return evidence, _once(evidence)

    def _require_id_jag(self, claims: Mapping[str, Any], client_id: str) -> None:
        """draft-ietf-oauth-identity-assertion-authz-grant-04 section 4.4.1."""
        if audiences(claims) != (self._issuer,):
            raise JoseError("`aud` is not our issuer identifier alone")
        if claims.get("client_id") != client_id:
            raise JoseError("`client_id` is not the client that asks")
        if "iat" not in claims or "sub" not in claims:
            raise JoseError("`iat` or `sub` is missing")


def _scopes(claims: Mapping[str, Any]) -> tuple[str, ...] | None:
    """What the identity provider limited it to; None where it did not.

    INVARIANT: an assertion that says in detail what it is for, and no scope, is for no scope.
    """
    if "scope" not in claims:
        return () if MEMBER in claims else None
    return tuple(string(claims, "scope").split())


def _resources(claims: Mapping[str, Any]) -> tuple[str, ...]:
    value = claims.get("resource", ())
    named = (value,) if isinstance(value, str) else value
    if isinstance(named, list | tuple) and all(isinstance(item, str) and item for item in named):
        return tuple(named)
    raise JoseError("`resource` is malformed")


def _once(evidence: Evidence) -> OnceKey:
    digest = hashlib.sha256(f"{evidence.issuer}|{evidence.token_id}".encode()).digest()[:16]
    return OnceKey(digest, evidence.expires_at + LEEWAY, "grant")

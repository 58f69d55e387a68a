"""A provider's ID token, checked (OpenID Connect Core 1.0 section 3.1.3.7) and turned into a sign-in."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from mintwarden.authn.claims import lifetime, strings
from mintwarden.authn.issuers.verify import LEEWAY, claim_at, principal_id, text_at
from mintwarden.authn.jose import (
    JoseError,
    Unverified,
    audiences,
    decode_json,
    numeric_date,
    parse,
    string,
    verify_signature,
)
from mintwarden.authn.sign_in import SignIn
from mintwarden.authn.upstream.provider import ReadyProvider
from mintwarden.model.values import EntityUid

OLDEST: Final = 600_000
"""Milliseconds since `iat` after which an ID token that we have just been given is none of now."""

_TYPES = frozenset({None, "jwt"})
_HASHES = {"ES256": "sha256", "PS256": "sha256", "RS256": "sha256", "ES384": "sha384", "EdDSA": "sha512"}


class Expected(Struct, frozen=True, kw_only=True):
    """What the ID token must answer.

    Attributes:
        nonce: as sent.
        max_age: seconds, as sent; None when it was not.
        since: the person must have signed in anew since then (`Millis`); 0 for any time.
        access_token: that came with it.
    """

    nonce: str
    access_token: str
    max_age: int | None = None
    since: int = 0


async def verify_id_token(provider: ReadyProvider, compact: str, expected: Expected, now: int) -> SignIn:
    """The sign-in that it proves; raises `JoseError` for every ID token that does not, `UNAVAILABLE` without keys."""
    token = parse(compact)
    claims = decode_json(token.payload)
    data = provider.data
    if token.typ not in _TYPES:
        raise JoseError("the token is of another kind")
    if token.algorithm not in provider.algorithms:
        raise JoseError("the algorithm is not accepted from this provider")
    if claims.get("iss") != data.issuer:
        raise JoseError("`iss` is not the provider that was asked")
    # INVARIANT: for us alone: an audience besides us might show it here in somebody's name.
    if audiences(claims) != (data.client_id,):
        raise JoseError("`aud` is not exactly us")
    if string(claims, "azp") not in ("", data.client_id):
        raise JoseError("`azp` is not us")
    if "nonce" not in claims or not hmac.compare_digest(string(claims, "nonce").encode(), expected.nonce.encode()):
        raise JoseError("`nonce` is not the one that was sent")
    issued_at, _ = lifetime(claims, now, late=LEEWAY, early=LEEWAY)
    if not issued_at or now - issued_at > OLDEST:
        raise JoseError("`iat` is missing or long ago")
    verify_signature(token, await provider.reach.keys(token, now), provider.algorithms)
    _check_hash(token, claims, expected.access_token)
    if provider.conditions.unmet(claims) is not None:
        # Which one is the bundle's affair: the page that tells this is for anybody.
        raise JoseError("a condition of the bundle does not hold")
    return _sign_in(provider, claims, _authenticated_at(claims, expected, now))


def _check_hash(token: Unverified, claims: Mapping[str, Any], access_token: str) -> None:
    """`at_hash`, where there is one (section 3.1.3.6)."""
    if "at_hash" not in claims:
        return
    digest = hashlib.new(_HASHES[token.algorithm], access_token.encode()).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=")
    if not hmac.compare_digest(string(claims, "at_hash").encode(), half):
        raise JoseError("`at_hash` is of another access token")


def _authenticated_at(claims: Mapping[str, Any], expected: Expected, now: int) -> int:
    """`auth_time` in `Millis`, 0 where the provider does not say; raises where it had to."""
    at = numeric_date(claims, "auth_time")
    if at is None:
        if expected.max_age is not None or expected.since:
            raise JoseError("`auth_time` is missing, though `max_age` was sent")
        return 0
    if at > now + LEEWAY:
        raise JoseError("`auth_time` is in the future")
    if expected.since and at < expected.since - LEEWAY:
        raise JoseError("the person did not sign in anew")
    if not expected.since and expected.max_age is not None and now - at > expected.max_age * 1000 + LEEWAY:
        raise JoseError("the sign-in is older than `max_age`")
    return min(at, now)


def _sign_in(provider: ReadyProvider, claims: Mapping[str, Any], authenticated_at: int) -> SignIn:
    data = provider.data
    methods = claim_at(claims, data.amr_claim)
    told = strings({"amr": methods}, "amr") if methods is not None else ()
    return SignIn(
        subject=EntityUid("User", principal_id(data.subject_prefix, claim_at(claims, data.subject))),
        provider=data.id,
        authenticated_at=authenticated_at,
        acr=data.acr.get(text_at(claims, data.acr_claim), ""),
        amr=tuple(dict.fromkeys(data.amr[method] for method in told if method in data.amr)),
        device=text_at(claims, data.device),
        upstream_session=text_at(claims, data.session),
        upstream_subject=upstream_subject(claims),
        facts={name: value for name, path in data.facts.items() if (value := claim_at(claims, path)) is not None},
    )


def upstream_subject(claims: Mapping[str, Any]) -> str:
    """Who the provider means, by its own name; raises `JoseError` where it does not say."""
    return principal_id("", claims.get("sub"))

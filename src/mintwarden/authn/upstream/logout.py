"""A provider's logout token, checked (OpenID Connect Back-Channel Logout 1.0 section 2.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from mintwarden.authn.claims import lifetime
from mintwarden.authn.issuers.verify import LEEWAY
from mintwarden.authn.jose import JoseError, audiences, decode_json, parse, string, verify_signature
from mintwarden.authn.replay import once_key
from mintwarden.authn.upstream.id_token import OLDEST, upstream_subject
from mintwarden.authn.upstream.provider import ReadyProvider
from mintwarden.model.caller import OnceKey

EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"

# `JWT` and none are what providers sent before the type had a name; what they require of the claims is the same.
_TYPES = frozenset({None, "jwt", "logout+jwt"})


class UpstreamLogout(Struct, frozen=True, kw_only=True):
    """Whose sessions a provider has ended, one session there or everything of a person, when, and its claim on once.

    Names are the provider's own, either may be empty.
    """

    subject: str
    session: str
    issued_at: int
    once: OnceKey


async def verify_logout_token(provider: ReadyProvider, compact: str, now: int) -> UpstreamLogout:
    """What the token says; raises `JoseError` for every one that is not accepted, `UNAVAILABLE` without keys."""
    token = parse(compact)
    claims = decode_json(token.payload)
    if token.typ not in _TYPES:
        raise JoseError("the token is of another kind")
    if token.algorithm not in provider.algorithms:
        raise JoseError("the algorithm is not accepted from this provider")
    if claims.get("iss") != provider.data.issuer:
        raise JoseError("`iss` is not this provider")
    if provider.data.client_id not in audiences(claims):
        raise JoseError("`aud` is not us")
    if "nonce" in claims:
        raise JoseError("a logout token has no `nonce`")
    _check_event(claims)
    issued_at, expires_at = lifetime(claims, now, late=LEEWAY, early=LEEWAY)
    if not issued_at or now - issued_at > OLDEST:
        raise JoseError("`iat` is missing or long ago")
    token_id = string(claims, "jti")
    if not token_id:
        raise JoseError("`jti` is missing")
    subject = upstream_subject(claims) if "sub" in claims else ""
    session = string(claims, "sid")
    if not subject and not session:
        raise JoseError("neither `sub` nor `sid` says whose session it is")
    verify_signature(token, await provider.reach.keys(token, now), provider.algorithms)
    # The claim outlives the token: what is read as fresh once must not be read as fresh again.
    once = once_key(f"logout:{provider.data.issuer}", token_id, max(expires_at, issued_at + OLDEST) + LEEWAY)
    return UpstreamLogout(subject=subject, session=session, issued_at=issued_at, once=once)


def _check_event(claims: Mapping[str, Any]) -> None:
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
        raise JoseError("`events` does not say logout")

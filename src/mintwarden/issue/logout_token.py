"""What a client is told when a session has ended (OpenID Connect Back-Channel Logout 1.0 section 2.4)."""

from __future__ import annotations

from typing import Any, Final

from mintwarden.model.values import EntityUid

EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
LIFE: Final = 120
"""Seconds; the specification recommends two minutes at most."""


def logout_claims(
    subject: EntityUid, session: str, client_id: str, *, issuer: str, token_id: str, now: int
) -> dict[str, Any]:
    """The claims of a logout token for a client about a session by its public name; `now` in `Millis`."""
    at = now // 1000
    return {
        "iss": issuer,
        "sub": subject.id,
        "aud": client_id,
        "iat": at,
        "exp": at + LIFE,
        "jti": token_id,
        "events": {EVENT: {}},
        "sid": session,
    }

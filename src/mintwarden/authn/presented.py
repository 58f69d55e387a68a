"""A token of ours that somebody shows us: believed once it is ours, alive and not revoked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from mintwarden.authn.jose import JoseError, decode_json, parse
from mintwarden.authn.own import OwnTokens
from mintwarden.authn.revoked import RevocationCheck
from mintwarden.model.caller import Evidence


class Presented(Struct, frozen=True):
    """What a token proves, and its claims as they stand in it."""

    evidence: Evidence
    claims: Mapping[str, Any]


class LiveTokens:
    """Reads access tokens of ours."""

    def __init__(self, *, own: OwnTokens, revoked: RevocationCheck) -> None:
        self._own = own
        self._revoked = revoked

    async def read(self, unverified: str, now: int) -> Presented:
        """Raises `JoseError` for everything but a live access token of ours; costs one read."""
        presented = self.recognise(unverified, now)
        if await self._revoked.is_revoked(presented.evidence):
            raise JoseError("the token was revoked")
        return presented

    def recognise(self, unverified: str, now: int) -> Presented:
        """The same without a look at whether it was revoked."""
        token = parse(unverified)
        claims = decode_json(token.payload)
        return Presented(self._own.verify(token, claims, now), claims)

    def is_of_another_kind(self, unverified: str) -> bool:
        """It is signed by us, and no access token."""
        try:
            return self._own.is_of_another_kind(parse(unverified))
        except JoseError:
            return False

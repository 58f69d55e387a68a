"""The keys of trusted issuers: found, kept, refreshed when a token names an unknown one."""

from __future__ import annotations

import asyncio
from typing import Final

from mintwarden.authn.jose import JoseError, Unverified, VerificationKey, decode_json, fitting_keys, load_key_set
from mintwarden.authn.ports import DocumentFetcher
from mintwarden.model.catalogue import TrustedIssuer
from mintwarden.model.errors import ErrorKind, MintwardenError

FLOOR: Final = 30_000
"""Least time between two fetches for one issuer, in milliseconds, whatever its tokens say."""
FRESH: Final = 3_600_000
"""Age in milliseconds at which keys are fetched again."""
LAST_GOOD: Final = 86_400_000
"""Age in milliseconds up to which keys are still used while they cannot be fetched again."""

_WELL_KNOWN = "/.well-known/openid-configuration"


class _Kept:
    """What is known of one issuer's keys. The lock makes fetches one at a time; who waited looks again."""

    def __init__(self) -> None:
        self.keys: tuple[VerificationKey, ...] = ()
        self.fetched_at: int | None = None
        self.tried_at: int | None = None
        self.lock = asyncio.Lock()

    def age(self, now: int) -> int | None:
        return None if self.fetched_at is None else abs(now - self.fetched_at)

    def fresh(self, now: int) -> bool:
        age = self.age(now)
        return age is not None and age < FRESH

    def may_fetch(self, now: int) -> bool:
        # `abs`: a clock that was set back must not keep the floor up for ever.
        return self.tried_at is None or abs(now - self.tried_at) >= FLOOR


class KeyFinder:
    """Finds the keys that may have signed a token. Meant to outlive a bundle, so that its change costs no fetch."""

    def __init__(self, *, fetcher: DocumentFetcher) -> None:
        self._fetcher = fetcher
        self._kept: dict[tuple[str, str, str], _Kept] = {}

    async def find(self, issuer: TrustedIssuer, token: Unverified, now: int) -> tuple[VerificationKey, ...]:
        """The issuer's present keys. For a token that none of them fits, fetched anew if the floor allows it.

        Raises `MintwardenError(UNAVAILABLE)` when there are none and none can be had. `issuer.keys` is not
        `inline`.
        """
        kept = self._kept.setdefault((issuer.keys, issuer.issuer, issuer.jwks_uri), _Kept())
        fits = bool(fitting_keys(token, kept.keys))
        # Whoever has a fitting key does not wait for another's fetch; whoever has none does.
        wanted = not fits if kept.lock.locked() else kept.may_fetch(now)
        if wanted and not (fits and kept.fresh(now)):
            async with kept.lock:
                if kept.may_fetch(now) and not (kept.fresh(now) and fitting_keys(token, kept.keys)):
                    await self._fetch(issuer, kept, now)
        age = kept.age(now)
        if age is None or age > LAST_GOOD:
            raise MintwardenError(
                ErrorKind.UNAVAILABLE, "the keys of the token's issuer cannot be fetched", hint=f"issuer `{issuer.id}`"
            )
        return kept.keys

    async def _fetch(self, issuer: TrustedIssuer, kept: _Kept, now: int) -> None:
        try:
            uri = await self._discover(issuer) if issuer.keys == "discovery" else issuer.jwks_uri
            document = decode_json(await self._fetcher.fetch(uri))
            keys = load_key_set(document, "jwt-svid" if issuer.keys == "bundle" else "sig")
        except (JoseError, MintwardenError):
            kept.tried_at = now
            return  # the last good keys stand, up to their age limit
        # An empty set is an answer too: the issuer has withdrawn its keys. A cancelled fetch was no attempt.
        kept.keys, kept.fetched_at, kept.tried_at = keys, now, now

    async def _discover(self, issuer: TrustedIssuer) -> str:
        """`jwks_uri` of the issuer's own document (OpenID Connect Discovery section 4.3)."""
        document = decode_json(await self._fetcher.fetch(issuer.issuer.removesuffix("/") + _WELL_KNOWN))
        uri = document.get("jwks_uri")
        if document.get("issuer") != issuer.issuer or not isinstance(uri, str):
            raise JoseError("the discovery document is another issuer's, or names no keys")
        return uri

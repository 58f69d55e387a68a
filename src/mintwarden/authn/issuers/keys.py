"""The keys of trusted issuers: found, kept, refreshed when a token names an unknown one."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, Final

from cryptography.x509 import Certificate

from mintwarden.authn.certificates import Authorities, CertificateError, read_certificate
from mintwarden.authn.jose import JoseError, Unverified, VerificationKey, decode_json, fitting_keys, load_key_set
from mintwarden.authn.ports import DocumentFetcher
from mintwarden.model.catalogue import TrustedIssuer
from mintwarden.model.errors import ErrorKind, MintwardenError

FLOOR: Final = 30_000
"""Least time between two fetches for one issuer, in milliseconds, whatever its tokens say."""
FRESH: Final = 3_600_000
"""Age in milliseconds at which keys are fetched again, unless a SPIFFE bundle wants it sooner."""
LAST_GOOD: Final = 86_400_000
"""Age in milliseconds up to which keys are still used while they cannot be fetched again."""

_WELL_KNOWN = "/.well-known/openid-configuration"


class _Kept:
    """What is known of one issuer's keys. The lock makes fetches one at a time; who waited looks again."""

    def __init__(self) -> None:
        self.keys: tuple[VerificationKey, ...] = ()
        self.authorities = Authorities(())
        self.fresh_for = FRESH
        self.fetched_at: int | None = None
        self.tried_at: int | None = None
        self.lock = asyncio.Lock()

    def age(self, now: int) -> int | None:
        return None if self.fetched_at is None else abs(now - self.fetched_at)

    def fresh(self, now: int) -> bool:
        age = self.age(now)
        return age is not None and age < self.fresh_for

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
        kept = await self._present(issuer, lambda kept: bool(fitting_keys(token, kept.keys)), now)
        return kept.keys

    async def find_authorities(self, issuer: TrustedIssuer, certificate: Certificate, now: int) -> Authorities:
        """The authorities of a SPIFFE trust domain. For a certificate of none of them, fetched anew as for `find`."""
        kept = await self._present(issuer, lambda kept: kept.authorities.issued(certificate, now), now)
        return kept.authorities

    async def _present(self, issuer: TrustedIssuer, has: Callable[[_Kept], bool], now: int) -> _Kept:
        kept = self._kept.setdefault((issuer.keys, issuer.issuer, issuer.jwks_uri), _Kept())
        fits = has(kept)
        # Whoever has a fitting key does not wait for another's fetch; whoever has none does.
        wanted = not fits if kept.lock.locked() else kept.may_fetch(now)
        if wanted and not (fits and kept.fresh(now)):
            async with kept.lock:
                if kept.may_fetch(now) and not (kept.fresh(now) and has(kept)):
                    await self._fetch(issuer, kept, now)
        age = kept.age(now)
        if age is None or age > LAST_GOOD:
            raise MintwardenError(
                ErrorKind.UNAVAILABLE, "the keys of the token's issuer cannot be fetched", hint=f"issuer `{issuer.id}`"
            )
        return kept

    async def _fetch(self, issuer: TrustedIssuer, kept: _Kept, now: int) -> None:
        try:
            uri = await self._discover(issuer) if issuer.keys == "discovery" else issuer.jwks_uri
            document = decode_json(await self._fetcher.fetch(uri))
            keys = load_key_set(document, "jwt-svid" if issuer.keys == "bundle" else "sig")
            authorities = Authorities(_x509_authorities(document)) if issuer.keys == "bundle" else kept.authorities
        except (JoseError, MintwardenError):
            kept.tried_at = now
            return  # the last good keys stand, up to their age limit
        # An empty set is an answer too: the issuer has withdrawn its keys. A cancelled fetch was no attempt.
        kept.keys, kept.authorities, kept.fetched_at, kept.tried_at = keys, authorities, now, now
        kept.fresh_for = _hint(document) if issuer.keys == "bundle" else FRESH

    async def _discover(self, issuer: TrustedIssuer) -> str:
        """`jwks_uri` of the issuer's own document (OpenID Connect Discovery section 4.3)."""
        document = decode_json(await self._fetcher.fetch(issuer.issuer.removesuffix("/") + _WELL_KNOWN))
        uri = document.get("jwks_uri")
        if document.get("issuer") != issuer.issuer or not isinstance(uri, str):
            raise JoseError("the discovery document is another issuer's, or names no keys")
        return uri


def _hint(document: Mapping[str, Any]) -> int:
    """Milliseconds after which a SPIFFE bundle is fetched again (SPIFFE Trust Domain and Bundle, section 4.1.2).

    What it asks for, between the floor and the usual: keys that it withdraws are to be believed no longer.
    """
    hint = document.get("spiffe_refresh_hint")
    return min(FRESH, max(FLOOR, hint * 1000)) if isinstance(hint, int) and hint > 0 else FRESH


def _x509_authorities(document: Mapping[str, Any]) -> list[Certificate]:
    """The authorities for X.509-SVIDs in a SPIFFE bundle (SPIFFE Trust Domain and Bundle, section 4.2)."""
    found = []
    for jwk in document["keys"]:
        chain = jwk.get("x5c") if isinstance(jwk, dict) and jwk.get("use") == "x509-svid" else None
        if not (isinstance(chain, list) and len(chain) == 1 and isinstance(chain[0], str)):
            continue
        try:
            found.append(read_certificate(base64.b64decode(chain[0], validate=True)))
        except (binascii.Error, ValueError, CertificateError):
            continue
    return found

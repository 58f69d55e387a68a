"""The keys of trusted issuers: found, kept, refreshed when a token names an unknown one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from mintwarden.authn.issuers.federation import (
    is_older,
    name_of,
    proven_by,
    refresh_hint,
    sequence_of,
    serves_itself,
    told_authorities,
    x509_authorities,
)
from mintwarden.authn.jose import JoseError, Unverified, VerificationKey, decode_json, fitting_keys, load_key_set
from mintwarden.authn.ports import DocumentFetcher, KeptBundle, KeptBundles, ProvenFetcher
from mintwarden.authn.svid import SCHEME, Svid, SvidAuthorities, trust_domain_of
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
        self.authorities = SvidAuthorities()
        self.sequence: int | None = None
        self.fresh_for = FRESH
        self.fetched_at: int | None = None
        self.tried_at: int | None = None
        self.why = ""
        self.lock = asyncio.Lock()

    def age(self, now: int) -> int | None:
        return None if self.fetched_at is None else abs(now - self.fetched_at)

    def fresh(self, now: int) -> bool:
        age = self.age(now)
        return age is not None and age < self.fresh_for

    def may_fetch(self, now: int) -> bool:
        # `abs`: a clock that was set back must not keep the floor up for ever.
        return self.tried_at is None or abs(now - self.tried_at) >= FLOOR


class IssuerFetcher(DocumentFetcher, ProvenFetcher, Protocol):
    """Both ways to an issuer's keys."""


class KeyFinder:
    """Finds the keys that may have signed a token. Meant to outlive a bundle, so that its change costs no fetch.

    `proven` fetches from the endpoints of SPIFFE bundles that are known by their trust domain, `bundles` remembers
    what those served; without the one nothing is fetched there, without the other this process alone remembers.
    `own` are the ways to single issuers, by `iss`, where they are reached otherwise than all others.
    """

    def __init__(
        self,
        *,
        fetcher: DocumentFetcher,
        proven: ProvenFetcher | None = None,
        bundles: KeptBundles | None = None,
        own: Mapping[str, IssuerFetcher] | None = None,
    ) -> None:
        self._fetcher = fetcher
        self._proven = proven
        self._bundles = bundles
        self._own = own or {}
        self._kept: dict[tuple[str, str, str, str], _Kept] = {}
        self._domains: Mapping[str, TrustedIssuer] = {}

    def under(self, issuers: Iterable[TrustedIssuer]) -> KeyFinder:
        """The same keys under one bundle version: its trust domains vouch for each other's endpoints."""
        found = KeyFinder(fetcher=self._fetcher, proven=self._proven, bundles=self._bundles, own=self._own)
        found._kept = self._kept
        found._domains = {issuer.issuer: issuer for issuer in issuers if issuer.keys == "bundle"}
        return found

    async def find(self, issuer: TrustedIssuer, token: Unverified, now: int) -> tuple[VerificationKey, ...]:
        """The issuer's present keys. For a token that none of them fits, fetched anew if the floor allows it.

        Raises `MintwardenError(UNAVAILABLE)` when there are none and none can be had. `issuer.keys` is not
        `inline`.
        """
        kept = await self._present(issuer, lambda kept: bool(fitting_keys(token, kept.keys)), now)
        return kept.keys

    async def find_authorities(self, issuer: TrustedIssuer, svid: Svid, now: int) -> SvidAuthorities:
        """The authorities of a SPIFFE trust domain. For an SVID of none of them, fetched anew as for `find`."""
        kept = await self._present(issuer, lambda kept: kept.authorities.stand_for(svid, now), now)
        return kept.authorities

    async def _present(
        self, issuer: TrustedIssuer, has: Callable[[_Kept], bool], now: int, via: tuple[str, ...] = ()
    ) -> _Kept:
        told = name_of(issuer) if issuer.endpoint_spiffe_id else ""
        kept = self._kept.setdefault((issuer.keys, issuer.issuer, issuer.jwks_uri, told), _Kept())
        fits = has(kept)
        # Whoever has a fitting key does not wait for another's fetch; whoever has none does.
        wanted = not fits if kept.lock.locked() else kept.may_fetch(now)
        if wanted and not (fits and kept.fresh(now)):
            async with kept.lock:
                if kept.may_fetch(now) and not (kept.fresh(now) and has(kept)):
                    await self._fetch(issuer, kept, now, via)
        age = kept.age(now)
        if age is None or age > LAST_GOOD:
            hint = f"issuer `{issuer.id}`: {kept.why}" if kept.why else f"issuer `{issuer.id}`"
            raise MintwardenError(ErrorKind.UNAVAILABLE, "the keys of the token's issuer cannot be fetched", hint=hint)
        return kept

    async def _fetch(self, issuer: TrustedIssuer, kept: _Kept, now: int, via: tuple[str, ...]) -> None:
        try:
            if issuer.keys == "bundle":
                await self._fetch_bundle(issuer, kept, now, via)
            else:
                uri = await self._discover(issuer) if issuer.keys == "discovery" else issuer.jwks_uri
                kept.keys = load_key_set(decode_json(await self._way(issuer).fetch(uri)), "sig")
        except (JoseError, MintwardenError) as error:
            kept.tried_at = now
            kept.why = _reason(error)
            return  # the last good keys stand, up to their age limit
        # An empty set is an answer too: the issuer has withdrawn its keys. A cancelled fetch was no attempt.
        kept.fetched_at = kept.tried_at = now

    async def _fetch_bundle(self, issuer: TrustedIssuer, kept: _Kept, now: int, via: tuple[str, ...]) -> None:
        last = (kept.sequence, kept.fetched_at)
        if not issuer.endpoint_spiffe_id:
            content = await self._way(issuer).fetch(issuer.jwks_uri)
        else:
            held = await self._remembered(issuer, now)
            if held is not None:
                last = (sequence_of(decode_json(held.document)), held.at)
            content = await self._served(issuer, kept, held, now, via)
        document = decode_json(content)
        sequence, at = last
        # A number that went back for good, as when a trust domain is set up anew, is believed after a day.
        if is_older(document, sequence) and at is not None and abs(now - at) <= LAST_GOOD:
            raise JoseError("the bundle is older than the one that is known")
        keys, authorities = load_key_set(document, "jwt-svid"), x509_authorities(document)
        if issuer.endpoint_spiffe_id and self._bundles is not None:
            await self._bundles.keep(name_of(issuer), KeptBundle(content, now))
        kept.keys, kept.authorities, kept.sequence = keys, authorities, sequence_of(document)
        kept.fresh_for = refresh_hint(document, least=FLOOR, most=FRESH)

    async def _served(
        self, issuer: TrustedIssuer, kept: _Kept, held: KeptBundle | None, now: int, via: tuple[str, ...]
    ) -> bytes:
        """What an endpoint serves that proves to be the issuer's (SPIFFE Federation section 5.2.2.4).

        INVARIANT: one that serves its own trust domain is known by the latest bundle of that, once there was one, and
        never again by what the issuer's file says; any other by the present bundle of its own, or by its file alone.
        """
        proven = self._own.get(issuer.issuer, self._proven)
        if proven is None:
            raise MintwardenError(ErrorKind.SOURCE, "no endpoint is asked that is known by its trust domain")
        if serves_itself(issuer) and held is not None:
            authorities = x509_authorities(decode_json(held.document))
        elif serves_itself(issuer) and kept.fetched_at is not None:
            authorities = kept.authorities
        elif issuer.endpoint_authorities:
            authorities = told_authorities(issuer)
        else:
            domain = self._domains.get(SCHEME + trust_domain_of(issuer.endpoint_spiffe_id))
            if domain is None or domain.issuer in (issuer.issuer, *via):
                raise MintwardenError(ErrorKind.SOURCE, "nobody vouches for the bundle endpoint")
            there = await self._present(domain, lambda known: bool(known.authorities), now, (*via, issuer.issuer))
            authorities = there.authorities
        return await proven.fetch_proven(issuer.jwks_uri, proven_by(issuer, authorities, now))

    def _way(self, issuer: TrustedIssuer) -> DocumentFetcher:
        return self._own.get(issuer.issuer, self._fetcher)

    async def _remembered(self, issuer: TrustedIssuer, now: int) -> KeptBundle | None:
        return None if self._bundles is None else await self._bundles.load(name_of(issuer), now)

    async def _discover(self, issuer: TrustedIssuer) -> str:
        """`jwks_uri` of the issuer's own document (OpenID Connect Discovery section 4.3)."""
        document = decode_json(await self._way(issuer).fetch(issuer.issuer.removesuffix("/") + _WELL_KNOWN))
        uri = document.get("jwks_uri")
        if document.get("issuer") != issuer.issuer or not isinstance(uri, str):
            raise JoseError("the discovery document is another issuer's, or names no keys")
        return uri


def _reason(error: JoseError | MintwardenError) -> str:
    """For whoever runs this: what kept the keys from being fetched."""
    if isinstance(error, MintwardenError):
        return f"{error.public} ({error.hint})" if error.hint else error.public
    return str(error)

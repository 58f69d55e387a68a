"""Security event tokens of transmitters (RFC 8417, SSF 1.0): their envelope and signature, and where the keys are."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

from mintwarden.authn.issuers.keys import FLOOR, FRESH, LAST_GOOD, KeyFinder
from mintwarden.authn.issuers.verify import LEEWAY
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
from mintwarden.authn.ports import DocumentFetcher
from mintwarden.authn.replay import once_key
from mintwarden.model.caller import OnceKey
from mintwarden.model.catalogue import TrustedIssuer
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.signals import SignalRefused, Transmitter

TYP: Final = "secevent+jwt"
OLDEST: Final = 14 * 86_400_000
"""Milliseconds since its `iat` after which a token is not taken any more: for so long it is remembered."""
WAITING: Final = 16
"""Tokens that wait for one transmitter's keys at once."""
WELL_KNOWN: Final = "/.well-known/ssf-configuration"


class SignedEvent(Struct, frozen=True, kw_only=True):
    """A token whose signature and envelope are good. INVARIANT: only `verify_event_token` builds one.

    Attributes:
        claims: all of them, those that say what happened not yet looked at.
        digest: SHA-256 of the whole token, in hexadecimal.
        token_id: its `jti`.
        issued_at: its `iat`, `Millis`.
        once: the claim on its `jti`, and on what it says.
    """

    claims: Mapping[str, Any]
    digest: str
    token_id: str
    issued_at: int
    once: OnceKey


class TransmitterReach:
    """Where a transmitter's keys are, as it says itself (SSF 1.0 section 7) or the bundle does; outlives a bundle."""

    def __init__(self, *, issuer: str, jwks_uri: str, fetcher: DocumentFetcher) -> None:
        self._issuer = issuer
        self._fetcher = fetcher
        self._finder = KeyFinder(fetcher=fetcher)
        self._jwks_uri = jwks_uri
        self._told = bool(jwks_uri)
        self._fetched_at: int | None = None
        self._tried_at: int | None = None
        self._lock = asyncio.Lock()
        self._waiting = 0

    async def keys(self, token: Unverified, now: int) -> tuple[VerificationKey, ...]:
        """The keys that may have signed `token`, fetched anew when none fits.

        Raises `UNAVAILABLE` without any. INVARIANT: tokens that nobody has signed hold a few requests while keys are
        fetched for them, and never all that may be worked on: one too many is `OVERLOADED`.
        """
        if self._waiting >= WAITING:
            raise MintwardenError(ErrorKind.OVERLOADED, "too many tokens wait for the transmitter's keys")
        self._waiting += 1
        try:
            issuer = TrustedIssuer(
                id=self._issuer,
                issuer=self._issuer,
                keys="jwks_uri",
                jwks_uri=await self._where(now),
                audiences=(),
                principal="User",
            )
            return await self._finder.find(issuer, token, now)
        finally:
            self._waiting -= 1

    async def _where(self, now: int) -> str:
        if self._told or (self._jwks_uri and self._lock.locked()):  # whoever knows where does not wait
            return self._jwks_uri
        async with self._lock:
            fresh = self._fetched_at is not None and abs(now - self._fetched_at) < FRESH
            if not fresh and (self._tried_at is None or abs(now - self._tried_at) >= FLOOR):
                await self._discover(now)
        if self._fetched_at is None or abs(now - self._fetched_at) > LAST_GOOD:
            raise MintwardenError(
                ErrorKind.UNAVAILABLE, "the transmitter's own description cannot be fetched", hint=f"`{self._issuer}`"
            )
        return self._jwks_uri

    async def _discover(self, now: int) -> None:
        self._tried_at = now
        try:
            document = decode_json(await self._fetcher.fetch(metadata_url(self._issuer)))
        except (JoseError, MintwardenError):
            return  # what it last said stands, up to its age limit
        uri = document.get("jwks_uri")
        # INVARIANT: whose description it is it says itself; the fetcher looks at where the keys are to come from.
        if document.get("issuer") == self._issuer and isinstance(uri, str):
            self._jwks_uri, self._fetched_at = uri, now


def metadata_url(issuer: str) -> str:
    """Where a transmitter describes itself; the well-known path stands before the issuer's own (SSF 1.0 section 7)."""
    parts = urlsplit(issuer)
    return f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}{parts.path.rstrip('/')}"


async def verify_event_token(transmitter: Transmitter, reach: TransmitterReach, compact: str, now: int) -> SignedEvent:
    """The token, if it is one of the transmitter's and for us. Raises `SignalRefused`, and `UNAVAILABLE` without keys.

    What costs nothing is checked before a key is fetched for it. What it says is not looked at.
    """
    algorithms = frozenset(transmitter.algorithms)
    try:
        token = parse(compact)
        claims = decode_json(token.payload)
        token_id, issued_at = string(claims, "jti"), numeric_date(claims, "iat")
        named = audiences(claims)
    except JoseError as error:
        raise SignalRefused("invalid_request", str(error)) from None
    # INVARIANT: `typ` alone tells it from an ID token or a logout token of the same issuer, which have the same keys.
    if token.typ != TYP:
        raise SignalRefused("invalid_request", f"`typ` is not `{TYP}`")
    if token.algorithm not in algorithms:
        raise SignalRefused("invalid_key", "the algorithm is not accepted from this transmitter")
    if claims.get("iss") != transmitter.issuer:
        raise SignalRefused("invalid_issuer", "`iss` is not the transmitter that is listened to here")
    if not set(named) & set(transmitter.audiences):
        raise SignalRefused("invalid_audience", "`aud` is not us")
    if not token_id:
        raise SignalRefused("invalid_request", "`jti` is missing")
    _in_time(issued_at, now)
    try:
        verify_signature(token, await reach.keys(token, now), algorithms)
    except JoseError as error:
        raise SignalRefused("invalid_key", str(error)) from None
    issued = issued_at or 0
    # INVARIANT: another token by the same `jti` is another entry: nothing follows from what was not written down.
    said = hashlib.sha256(token.payload).hexdigest()
    once = once_key(f"signal:{transmitter.issuer}", f"{token_id} {said}", issued + OLDEST + 2 * LEEWAY)
    return SignedEvent(
        claims=claims,
        digest=hashlib.sha256(compact.encode()).hexdigest(),
        token_id=token_id,
        issued_at=issued,
        once=OnceKey(once.digest, once.expires_at, "signal"),
    )


def _in_time(issued_at: int | None, now: int) -> None:
    if issued_at is None:
        raise SignalRefused("invalid_request", "`iat` is missing")
    if issued_at > now + LEEWAY:
        raise SignalRefused("invalid_request", "`iat` lies ahead")
    if now - issued_at > OLDEST:
        raise SignalRefused("invalid_request", "`iat` is longer ago than tokens are remembered here")


def peeked_id(compact: str) -> str:
    """The `jti` that a token says it has, unverified; empty where it says none."""
    try:
        return string(decode_json(parse(compact).payload), "jti")
    except JoseError:
        return ""

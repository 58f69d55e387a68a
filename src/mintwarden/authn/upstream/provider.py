"""A provider made ready: its data, its conditions, its addresses and keys, and how we prove there who we are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from mintwarden.authn.issuers.conditions import Conditions
from mintwarden.authn.issuers.keys import FLOOR, FRESH, LAST_GOOD, KeyFinder
from mintwarden.authn.jose import JoseError, Unverified, VerificationKey, decode_json
from mintwarden.authn.ports import FormPoster
from mintwarden.model.catalogue import Provider, TrustedIssuer
from mintwarden.model.errors import ErrorKind, MintwardenError

Secret = Callable[[], str]
"""Reads the secret that we share with a provider; empty when the configuration has none."""
AssertionSigner = Callable[[Mapping[str, Any]], Awaitable[str]]
"""Signs a client assertion (RFC 7523) with a key of ours."""

_WELL_KNOWN: Final = "/.well-known/openid-configuration"


class Fetcher(FormPoster, Protocol):
    """The guarded way to a provider."""

    async def fetch(self, url: str) -> bytes: ...


class Addresses(Struct, frozen=True, kw_only=True):
    """What a provider says of itself (OpenID Connect Discovery 1.0 section 3), as far as we need it.

    Attributes:
        names_itself: its responses carry `iss` (RFC 9207).
    """

    authorization: str
    token: str
    jwks: str
    names_itself: bool


class Reach:
    """A provider's addresses and keys, found and kept. Meant to outlive a bundle, like `KeyFinder`."""

    def __init__(self, *, issuer: str, fetcher: Fetcher) -> None:
        self.issuer = issuer
        self.fetcher = fetcher
        self._finder = KeyFinder(fetcher=fetcher)
        self._addresses: Addresses | None = None
        self._fetched_at = 0
        self._tried_at: int | None = None
        self._lock = asyncio.Lock()

    async def addresses(self, now: int) -> Addresses:
        """Where it is; raises `UNAVAILABLE` when that is not known and cannot be found out."""
        async with self._lock:
            fresh = self._addresses is not None and abs(now - self._fetched_at) < FRESH
            if not fresh and (self._tried_at is None or abs(now - self._tried_at) >= FLOOR):
                await self._discover(now)
        if self._addresses is None or abs(now - self._fetched_at) > LAST_GOOD:
            raise MintwardenError(
                ErrorKind.UNAVAILABLE, "the provider's own description cannot be fetched", hint=f"`{self.issuer}`"
            )
        return self._addresses

    async def keys(self, token: Unverified, now: int) -> tuple[VerificationKey, ...]:
        """The keys that may have signed `token`; fetched anew when none of those that are known fits."""
        addresses = await self.addresses(now)
        keys = TrustedIssuer(
            id=self.issuer, issuer=self.issuer, keys="jwks_uri", jwks_uri=addresses.jwks, audiences=(), principal="User"
        )
        return await self._finder.find(keys, token, now)

    async def _discover(self, now: int) -> None:
        try:
            document = decode_json(await self.fetcher.fetch(self.issuer.removesuffix("/") + _WELL_KNOWN))
            found = _addresses(document, self.issuer)
        except (JoseError, MintwardenError):
            self._tried_at = now
            return
        self._addresses, self._fetched_at, self._tried_at = found, now, now


class ReadyProvider:
    """A provider of the bundle, ready to be used. Raises `BUNDLE` for a condition that does not compile."""

    def __init__(self, data: Provider, *, reach: Reach, secret: Secret, sign: AssertionSigner) -> None:
        self.data = data
        self.reach = reach
        self.conditions = Conditions(data.conditions)
        self.algorithms = frozenset(data.algorithms)
        self._secret = secret
        self._sign = sign

    @property
    def secret(self) -> str:
        """What we share with it; raises `CONFIG` when nobody told us."""
        found = self._secret()
        if not found:
            raise MintwardenError(
                ErrorKind.CONFIG,
                f"there is no secret for the provider `{self.data.id}`",
                hint=f"set `secret_file` or `secret_env` in `[upstreams.{self.data.id}]`",
            )
        return found

    async def sign(self, claims: Mapping[str, Any]) -> str:
        """A client assertion with these claims."""
        return await self._sign(claims)


def _addresses(document: Mapping[str, Any], issuer: str) -> Addresses:
    if document.get("issuer") != issuer:
        raise JoseError("the discovery document is another issuer's")
    found = {}
    for ours, theirs in (
        ("authorization", "authorization_endpoint"),
        ("token", "token_endpoint"),
        ("jwks", "jwks_uri"),
    ):
        url = document.get(theirs)
        if not isinstance(url, str) or not _may_be_at(url, issuer):
            raise JoseError(f"`{theirs}` is missing or no address that may be used")
        found[ours] = url
    return Addresses(**found, names_itself=document.get("authorization_response_iss_parameter_supported") is True)


def _may_be_at(url: str, issuer: str) -> bool:
    """https, unless the issuer itself is not (on loopback, in development); the fetcher looks more closely."""
    if not (url.isascii() and url.isprintable()) or " " in url or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    schemes = ("https", "http") if issuer.startswith("http:") else ("https",)
    return parts.scheme in schemes and bool(parts.hostname) and "@" not in parts.netloc and not parts.fragment

"""The issuer's keys on the consumer's side: discovered, kept, fetched again for an unknown `kid` above a floor."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from mintwarden.consumer.fetch import fetched

FRESH: Final = 3600.0
"""Age in seconds at which keys are fetched again."""
FLOOR: Final = 30.0
"""Least time in seconds between two fetches, whatever tokens say."""
LAST_GOOD: Final = 86_400.0
"""Age in seconds up to which keys are used while new ones cannot be had."""
_LIMIT = 64 * 1024

Fetch = Callable[[str], Awaitable[bytes]]
"""An address to the body of its 200 answer; raises any exception for anything else."""


class NoKeys(Exception):
    """There are no keys, and none can be had now: the fault is not the token's."""


class KeyCache:
    """The public keys of one issuer.

    `jwks_uri` is found in the issuer's metadata (RFC 8414) unless it is given. One fetch at a time; whoever
    finds a fitting key does not wait for another's.
    """

    def __init__(
        self,
        issuer: str,
        *,
        jwks_uri: str = "",
        fetch: Fetch | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._uri = jwks_uri
        self._fetch = fetch or fetch_document
        self._monotonic = monotonic
        self._keys: tuple[Mapping[str, Any], ...] = ()
        self._fetched: float | None = None
        self._tried: float | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str) -> Sequence[Mapping[str, Any]]:
        """The keys of that name. Raises `NoKeys` when there are none at all."""
        if not self._fitting(kid, FRESH):
            first = self._fetching is None and self._may_fetch()
            if first:
                # A task of its own: whoever asked may go away, and the others go on waiting for it.
                self._fetching = asyncio.create_task(self._refresh())
            if self._fetching is not None and (first or not self._fitting(kid, LAST_GOOD)):
                await asyncio.shield(self._fetching)
        if self._age() >= LAST_GOOD:
            raise NoKeys("the issuer's keys cannot be fetched")
        return self._fitting(kid, LAST_GOOD)

    def _fitting(self, kid: str, oldest: float) -> list[Mapping[str, Any]]:
        return [key for key in self._keys if key.get("kid") == kid] if self._age() < oldest else []

    def _age(self) -> float:
        return float("inf") if self._fetched is None else self._monotonic() - self._fetched

    def _may_fetch(self) -> bool:
        return self._tried is None or self._monotonic() - self._tried >= FLOOR

    async def _refresh(self) -> None:
        self._tried = self._monotonic()
        try:
            uri = self._uri or await self._discover()
            keys = _decoded(await self._fetch(uri))["keys"]
            self._keys = tuple(key for key in keys if isinstance(key, dict))
        except Exception:  # noqa: BLE001 - whatever it was: the last good keys stand, up to their age limit
            return
        finally:
            self._fetching = None
        self._fetched = self._tried

    async def _discover(self) -> str:
        parts = urlsplit(self._issuer)
        path = parts.path.rstrip("/")
        address = f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{path}"
        document = _decoded(await self._fetch(address))
        if document.get("issuer") != self._issuer:
            raise ValueError("the metadata is another issuer's")
        return str(document["jwks_uri"])


def _decoded(body: bytes) -> dict[str, Any]:
    value = json.loads(body)
    if not isinstance(value, dict):
        raise TypeError("not a JSON object")
    return value


async def fetch_document(url: str) -> bytes:
    """The body of a 200 answer: at most 64 kB, as `fetched` has it."""
    return (await fetched(url, accept="application/json, application/jwk-set+json", most=_LIMIT)).body

"""What is read with GET and changes seldom or never: metadata, keys, checkpoint, tiles, health, metrics."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from mintwarden.ledger.ports import Head
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.reply import JSON, NO_STORE, NOSNIFF, TEXT, Header, Reply, json_reply

PUBLIC: Header = (b"access-control-allow-origin", b"*")
METADATA_CACHE: Header = (b"cache-control", b"public, max-age=300")
KEYS_CACHE: Header = (b"cache-control", b"public, max-age=300, stale-if-error=86400")
CHECKPOINT_CACHE: Header = (b"cache-control", b"public, max-age=1")
TILE_CACHE: Header = (b"cache-control", b"public, max-age=31536000, immutable")
OCTETS: Header = (b"content-type", b"application/octet-stream")
KEYS_TYPE: Header = (b"content-type", b"application/jwk-set+json")

_GROUPS = r"(?:x[0-9]{3}/)*[0-9]{3}"
_WIDTH = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9][0-9]?)"
_TILE = re.compile(rf"tile/(?:entries|[0-9]|[1-5][0-9]|6[0-3])/{_GROUPS}(?:\.p/{_WIDTH})?")


class TreeReader(Protocol):
    """The part of the ledger's store that the public may read."""

    async def head(self) -> Head:
        """The published head."""
        ...

    async def tile(self, path: str) -> bytes | None:
        """A tile by its path, or None."""
        ...


def document_reply(body: bytes, *, etag_of: bytes | None, kind: Header = JSON, cache: Header = METADATA_CACHE) -> Reply:
    """A public document with its entity tag; 304 when `etag_of` (`If-None-Match`) already names it."""
    etag = b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode()
    headers = (kind, cache, PUBLIC, NOSNIFF, (b"etag", etag))
    if etag_of is not None and etag in [tag.strip().removeprefix(b"W/") for tag in etag_of.split(b",")]:
        return Reply(304, headers[1:], b"")
    return Reply(200, headers, body)


async def checkpoint_reply(tree: TreeReader) -> Reply:
    """The latest checkpoint (C2SP tlog-tiles): the size-zero log has none yet."""
    head = await tree.head()
    if not head.checkpoint:
        raise MintwardenError(ErrorKind.NOT_FOUND, "there is no checkpoint yet")
    return Reply(200, (TEXT, CHECKPOINT_CACHE, PUBLIC, NOSNIFF), head.checkpoint)


async def tile_reply(tree: TreeReader, path: str) -> Reply:
    """A tile (`tile/<L>/<N>[.p/<W>]`) or an entry bundle (`tile/entries/...`); never changes, so cached for long."""
    if _TILE.fullmatch(path) is None:
        raise MintwardenError(ErrorKind.NOT_FOUND, "there is no such tile")
    tile = await tree.tile(path)
    if not tile:
        raise MintwardenError(ErrorKind.NOT_FOUND, "there is no such tile")
    return Reply(200, (OCTETS, TILE_CACHE, PUBLIC, NOSNIFF), tile)


Check = Callable[[], Awaitable[None]]
"""Returns if its part works; raises otherwise."""


class Readiness:
    """Asks every part of the service whether it can do its work, within a time limit."""

    def __init__(
        self, *, checks: Mapping[str, Check], timeout: float, report: Callable[[str, BaseException], None]
    ) -> None:
        self._checks = dict(checks)
        self._timeout = timeout
        self._report = report

    async def reply(self) -> Reply:
        """200 when everything works, 503 otherwise; each part is listed, why one fails is in the log alone."""
        names = list(self._checks)
        results = await asyncio.gather(*(self._ask(name) for name in names))
        good = all(results)
        parts = {name: "ok" if result else "failing" for name, result in zip(names, results, strict=True)}
        return json_reply(200 if good else 503, {"status": "ready" if good else "not ready", "parts": parts})

    async def _ask(self, name: str) -> bool:
        try:
            async with asyncio.timeout(self._timeout):
                await self._checks[name]()
        except Exception as error:  # noqa: BLE001 - any failure of a part means that it is not ready
            self._report(name, error)
            return False
        return True


class MetricsReader:
    """Serves the metrics to the networks that may see them; to anyone else there is nothing here."""

    def __init__(self, *, render: Callable[[], tuple[str, bytes]], networks: Sequence[str]) -> None:
        self._render = render
        self._networks = tuple(ipaddress.ip_network(network) for network in networks)

    def reply(self, address: str) -> Reply:
        """The exposition in the format that Prometheus reads; raises `NOT_FOUND` for strangers."""
        if not address or not any(ipaddress.ip_address(address) in network for network in self._networks):
            raise MintwardenError(ErrorKind.NOT_FOUND, "there is nothing here")
        kind, body = self._render()
        return Reply(200, ((b"content-type", kind.encode()), NO_STORE, NOSNIFF), body)

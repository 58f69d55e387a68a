"""What is read with GET and changes seldom or never: metadata, keys, checkpoint, tiles, health, metrics."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.reply import JSON, NO_STORE, NOSNIFF, TEXT, Header, Reply, json_reply

PUBLIC: Header = (b"access-control-allow-origin", b"*")
METADATA_CACHE: Header = (b"cache-control", b"public, max-age=300")
CHECKPOINT_CACHE: Header = (b"cache-control", b"public, max-age=1")
TILE_CACHE: Header = (b"cache-control", b"public, max-age=31536000, immutable")
MAX_LOG_PATH = 128
OCTETS: Header = (b"content-type", b"application/octet-stream")


class LogReader(Protocol):
    """The part of the ledger that the public may read."""

    async def checkpoint(self) -> bytes:
        """The present checkpoint as a signed note; raises `NOT_FOUND` before the first."""
        ...

    async def tile(self, path: str) -> bytes | None:
        """The tile or entry bundle at `tile/...` (C2SP tlog-tiles), or None when there is nothing of that name."""
        ...


class KeySet(Protocol):
    """The published keys, ready to be served."""

    @property
    def body(self) -> bytes: ...

    @property
    def etag(self) -> str: ...

    @property
    def cache_control(self) -> str: ...


def document_reply(body: bytes, none_match: bytes | None) -> Reply:
    """A public JSON document with its entity tag."""
    etag = b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode()
    return _unless_known(Reply(200, (JSON, METADATA_CACHE, PUBLIC, NOSNIFF, (b"etag", etag)), body), etag, none_match)


def _unless_known(reply: Reply, etag: bytes, none_match: bytes | None) -> Reply:
    """304 when `If-None-Match` names the entity already (RFC 9110 section 13.1.2)."""
    if none_match is not None and etag in [tag.strip().removeprefix(b"W/") for tag in none_match.split(b",")]:
        return Reply(304, reply.headers[1:], b"")
    return reply


def key_set_reply(keys: KeySet, none_match: bytes | None) -> Reply:
    """The key set (RFC 7517 section 5), to be kept no longer than its rotation allows."""
    etag = keys.etag.encode()
    headers = (JSON, (b"cache-control", keys.cache_control.encode()), PUBLIC, NOSNIFF, (b"etag", etag))
    return _unless_known(Reply(200, headers, keys.body), etag, none_match)


async def log_reply(log: LogReader, path: str) -> Reply:
    """The checkpoint, a tile (`tile/<L>/<N>[.p/<W>]`) or an entry bundle (`tile/entries/...`).

    A tile never changes, so it may be kept for long; a checkpoint is followed by another within a second.
    """
    if path == "checkpoint":
        return Reply(200, (TEXT, CHECKPOINT_CACHE, PUBLIC, NOSNIFF), await log.checkpoint())
    body = await log.tile(path) if len(path) <= MAX_LOG_PATH else None
    if not body:
        raise MintwardenError(ErrorKind.NOT_FOUND, "there is nothing of that name in the log")
    return Reply(200, (OCTETS, TILE_CACHE, PUBLIC, NOSNIFF), body)


FRESH = 0.05
"""Seconds for which an answer about readiness serves whoever asks next."""

Check = Callable[[], Awaitable[None]]
"""Returns if its part works; raises otherwise."""


class Readiness:
    """Asks every part of the service whether it can do its work, within a time limit.

    One look serves all who ask while it lasts and `FRESH` seconds after: anyone may ask, and a look costs a commit.
    """

    def __init__(
        self,
        *,
        checks: Mapping[str, Check],
        timeout: float,
        report: Callable[[str, BaseException], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checks = dict(checks)
        self._timeout = timeout
        self._report = report
        self._monotonic = monotonic
        self._look: asyncio.Task[Reply] | None = None
        self._looked_at = 0.0

    async def reply(self) -> Reply:
        """200 when everything works, 503 otherwise; each part is listed, why one fails is in the log alone."""
        look = self._look
        if look is None or (look.done() and self._monotonic() - self._looked_at >= FRESH):
            look = self._look = asyncio.create_task(self._asked())
        return await asyncio.shield(look)

    async def _asked(self) -> Reply:
        names = list(self._checks)
        results = await asyncio.gather(*(self._ask(name) for name in names))
        self._looked_at = self._monotonic()
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

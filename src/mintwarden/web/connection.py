"""The HTTP/1.1 connection: uvicorn's, with limits on slow and oversized heads, and on the number of connections."""

from __future__ import annotations

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 32 * 1024
MAX_HEADERS = 64
HEAD_TIMEOUT = 10.0
MAX_CONNECTIONS = 10_000


class JoinedWrites:
    """A transport that sends what is written in one turn of the event loop with one system call.

    uvicorn writes head and body of a response one after the other; sent alone, each costs as much as a decision.
    """

    __slots__ = ("_loop", "_parts", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send `data` at the end of this turn."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        """Send what is left, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        parts = self._parts
        if parts:
            self._parts = []
            if not self._transport.is_closing():
                self._transport.write(b"".join(parts))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class LimitedConnection(HttpToolsProtocol):
    """Closes a connection whose request head is too large or too slow in coming.

    One timer per connection looks after it, so that a request costs no timer of its own.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._head_since: float | None = None
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(JoinedWrites(transport, self.loop))  # type: ignore[arg-type]
        self._head_since = self.loop.time()
        self._watch = self.loop.call_later(HEAD_TIMEOUT, self._look)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_since is None and self.cycle.response_complete:
            self._head_since = self.loop.time()
        if self._head_since is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_since is not None and self._head_bytes > MAX_HEAD:
            self._refuse(431)

    def on_url(self, url: bytes) -> None:
        if len(self.url) + len(url) > MAX_HEAD:
            raise httptools.HttpParserError("the target is too long")
        super().on_url(url)

    def on_headers_complete(self) -> None:
        self._head_since = None
        self._head_bytes = 0
        if len(self.headers) > MAX_HEADERS:
            raise httptools.HttpParserError("too many headers")
        super().on_headers_complete()

    def _look(self) -> None:
        waited = 0.0 if self._head_since is None else self.loop.time() - self._head_since
        if waited >= HEAD_TIMEOUT:
            self._refuse(408)
            return
        self._watch = self.loop.call_later(HEAD_TIMEOUT - waited, self._look)

    def _refuse(self, status: int) -> None:
        if self.transport.is_closing():
            return
        phrase = {408: b"Request Timeout", 431: b"Request Header Fields Too Large"}[status]
        if self._head_bytes:
            self.transport.write(b"HTTP/1.1 %d %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % (status, phrase))
        self.transport.close()

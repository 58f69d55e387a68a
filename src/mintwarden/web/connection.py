"""The HTTP/1.1 connection: uvicorn's, with limits on slow and oversized heads, on answers that nobody takes, and on the
number of connections.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from mintwarden.authn.certificates import chain_of
from mintwarden.web.certificate import CHAIN_IN_SCOPE, IN_SCOPE

MAX_HEAD = 32 * 1024
MAX_HEADERS = 64
HEAD_TIMEOUT = 10.0
TAKE_TIMEOUT = 30.0
LEAST_TAKEN = 16 * 1024
"""Bytes of an answer that a client takes in `TAKE_TIMEOUT` seconds at the least: half a KiB a second."""
MAX_CONNECTIONS = 10_000


class JoinedWrites:
    """A transport that sends what is written in one turn of the event loop with one system call.

    uvicorn writes head and body of a response one after the other; sent alone, each costs as much as a decision.
    Answers of one turn go out one right after the other: whoever takes many of them is woken once, and not by each.
    """

    __slots__ = ("_loop", "_parts", "_transport", "written")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self.written = 0

    def write(self, data: bytes) -> None:
        """Send `data` at the end of this turn."""
        self.written += len(data)
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


class Cycle(RequestResponseCycle):
    """One request and its response; takes a response whole, with one write and no look at each header.

    INVARIANT: `respond` is for headers that our own code wrote: no byte of them comes from a request.
    """

    def respond(self, status: int, headers: tuple[tuple[bytes, bytes], ...], body: bytes) -> bool:
        """Send the response if it can be sent at once; False leaves everything as it was."""
        if self.response_started or self.disconnected or self.flow.write_paused or self.scope["method"] == "HEAD":
            return False
        head, closes = _head(status, headers)
        if closes or self._unasked():
            self.keep_alive = False
        parts = [head]
        parts += [b"%s: %s\r\n" % header for header in self.default_headers]
        parts.append(b"content-length: %d\r\n" % len(body))
        parts.append(b"\r\n" if self.keep_alive or closes else b"connection: close\r\n\r\n")
        parts.append(body)
        self.transport.write(b"".join(parts))
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return True

    def take_body(self) -> bytes | None:
        """What `receive` would give, if the whole body is here: then nobody has to wait for it."""
        if self.more_body or self.disconnected or self.response_complete:
            return None
        self.flow.resume_reading()
        self.message_event.clear()
        body, self.body = bytes(self.body), bytearray()
        return body

    async def send(self, message: Any) -> None:
        """An ASGI message."""
        if not self.response_started and self._unasked():
            self.keep_alive = False
        await super().send(message)

    def _unasked(self) -> bool:
        """Does the client wait to be asked for the body: then an answer tells it to send none.

        INVARIANT: such an answer ends the connection; whatever came next would be taken for the body
        (RFC 9110 section 10.1.1).
        """
        return self.waiting_for_100_continue and self.more_body


@functools.lru_cache(maxsize=256)
def _head(status: int, headers: tuple[tuple[bytes, bytes], ...]) -> tuple[bytes, bool]:
    """The head's beginning, and whether it says that the connection closes."""
    return (
        STATUS_LINE[status] + b"".join([b"%s: %s\r\n" % header for header in headers]),
        (b"connection", b"close") in headers,
    )


class LimitedConnection(HttpToolsProtocol):
    """Closes a connection whose request head or trailers are too large or too slow in coming, or whose answer is left.

    One timer per connection looks after it, so that a request costs no timer of its own. `_head_bytes` counts what
    has come since the last head, piece of a body or end of a message, `_in_body` says where in a message we are.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._in_body = False
        self._certificate = b""
        self._chain: tuple[bytes, ...] = ()
        self._head_since: float | None = None
        self._idle_since = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._writes: JoinedWrites | None = None
        self._taken = 0
        self._taken_at: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._writes = JoinedWrites(transport, self.loop)
        super().connection_made(self._writes)  # type: ignore[arg-type]
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self._certificate = tls.getpeercert(binary_form=True) or b""
            self._chain = chain_of(tls) if self._certificate else ()
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
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD:
            self._refuse(431)

    def on_url(self, url: bytes) -> None:
        if len(self.url) + len(url) > MAX_HEAD:
            raise httptools.HttpParserError("the target is too long")
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        # INVARIANT: what follows the body is no header (RFC 9110 section 6.5.1): a proxy has checked the headers.
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_since = None
        self._head_bytes = 0
        self._in_body = True
        if len(self.headers) > MAX_HEADERS:
            raise httptools.HttpParserError("too many headers")
        super().on_headers_complete()
        if self._certificate:
            self.scope[IN_SCOPE] = self._certificate  # type: ignore[literal-required]
            self.scope[CHAIN_IN_SCOPE] = self._chain  # type: ignore[literal-required]
        # The cycle's task has been made but does not run before this turn of the loop ends.
        if type(self.cycle) is RequestResponseCycle:
            self.cycle.__class__ = Cycle

    def on_body(self, body: bytes) -> None:
        if not self.cycle.response_complete:
            self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        self._head_bytes = 0
        if self.cycle.response_complete:  # what came after the answer was the rest of the body
            self._head_since = None
            self._idle_since = self.loop.time()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if self._may_answer():
            super().send_400_response(msg)
        else:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Start what was pipelined; without a timer of its own: `_look` ends connections that idle."""
        self._idle_since = self.loop.time()
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)

    def _look(self) -> None:
        """Look again until the connection is lost: one that is closed stays for as long as its answer is not taken."""
        if self._left():
            self.transport.abort()
            return
        waited = 0.0 if self._head_since is None else self.loop.time() - self._head_since
        if waited >= HEAD_TIMEOUT:
            self._refuse(408)
            waited = 0.0
        elif self._idles() and self.loop.time() - self._idle_since >= self.timeout_keep_alive:
            self.transport.close()
        self._watch = self.loop.call_later(HEAD_TIMEOUT - waited, self._look)

    def _left(self) -> bool:
        """Has the client taken next to nothing of what waits for it, for so long."""
        waiting = self.transport.get_write_buffer_size()
        if not waiting or self._writes is None:
            self._taken_at = None
            return False
        now, taken = self.loop.time(), self._writes.written - waiting
        if self._taken_at is None or taken - self._taken >= LEAST_TAKEN:
            self._taken, self._taken_at = taken, now
            return False
        return now - self._taken_at >= TAKE_TIMEOUT

    def _idles(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return self._head_since is None and cycle is not None and cycle.response_complete

    def _refuse(self, status: int) -> None:
        if self.transport.is_closing():
            return
        phrase = {408: b"Request Timeout", 431: b"Request Header Fields Too Large"}[status]
        if self._head_bytes and self._may_answer():
            self.transport.write(b"HTTP/1.1 %d %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % (status, phrase))
        self.transport.close()

    def _may_answer(self) -> bool:
        """Is it the turn of the message that is being read: one request, one answer, in order."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None:
            return True
        if self._in_body:
            return not (self.pipeline or cycle.response_started)
        return cycle.response_complete

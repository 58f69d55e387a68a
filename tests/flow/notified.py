"""A client's notification endpoint (OpenID CIBA Core 1.0 section 4), over real HTTP on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any


class NotificationEndpoint:
    """Answers with `status`; what it heard stands in `heard`, in order, and comes out of `next`."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.heard: list[bytes] = []
        self.url = ""
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()

    async def next(self) -> tuple[str, dict[str, Any]]:
        """The head and the JSON document of the next request; waits for it, but not for ever."""
        head, _, body = (await asyncio.wait_for(self._queue.get(), 20)).partition(b"\r\n\r\n")
        return head.decode(), json.loads(body)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        heard = head + await reader.readexactly(length)
        where = b"location: /elsewhere\r\n" if self.status in (302, 307) else b""
        writer.write(b"HTTP/1.1 %d X\r\n%scontent-length: 0\r\nconnection: close\r\n\r\n" % (self.status, where))
        await writer.drain()
        writer.close()
        self.heard.append(heard)
        self._queue.put_nowait(heard)


@contextlib.asynccontextmanager
async def client_server(status: int) -> AsyncIterator[NotificationEndpoint]:
    """One that runs."""
    made = NotificationEndpoint(status)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    async with server:
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/cb"
        yield made

"""A real HTTP server on loopback that answers byte for byte what a test tells it."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self

Answer = Callable[[str, bytes, bytes], Awaitable[bytes]]
"""Path, request head and request body to the whole answer as it goes over the wire."""


def answer(status: str = "200 OK", body: bytes = b"{}", kind: str = "application/json", **headers: str) -> bytes:
    """A complete answer; `headers` with underscores for hyphens."""
    lines = [f"HTTP/1.1 {status}", f"content-type: {kind}", f"content-length: {len(body)}", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def json_answer(value: object) -> bytes:
    return answer(body=json.dumps(value).encode())


class Loopback:
    """Serves until the block is left. `seen` holds (path, head, body) of each request."""

    def __init__(
        self, routes: Mapping[str, bytes | Answer], *, tls: ssl.SSLContext | None = None, port: int = 0
    ) -> None:
        self.routes = dict(routes)
        self.seen: list[tuple[str, bytes, bytes]] = []
        self.port = port
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = 0
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            body = await reader.readexactly(length)
            path = head.split(b" ")[1].decode()
            self.seen.append((path, head, body))
            route = self.routes.get(path, answer("404 Not Found"))
            writer.write(route if isinstance(route, bytes) else await route(path, head, body))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()


async def never(_path: str, _head: bytes, _body: bytes) -> bytes:
    """Takes the request and says nothing."""
    await asyncio.Event().wait()
    return b""

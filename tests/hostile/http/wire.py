"""Bytes over a socket, as no well-behaved client would send them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import NamedTuple


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


async def talk(base: str, *pieces: bytes, pause: float = 0.0) -> Answer | None:
    """Send the pieces, read one answer; None when the connection is closed without one."""
    host, _, port = base.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            if pause:
                await asyncio.sleep(pause)
        return await asyncio.wait_for(read(reader), 15)
    except ConnectionError:
        return None
    finally:
        await hang_up(writer)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a connection, and wait until it is."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def read(reader: asyncio.StreamReader) -> Answer | None:
    """One answer."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(first.split(" ")[1]), headers, body)


def post(body: bytes, *headers: bytes, length: int | None = None, path: bytes = b"/token") -> bytes:
    """A POST with these further header lines."""
    lines = [
        b"POST " + path + b" HTTP/1.1",
        b"host: localhost",
        b"content-type: application/x-www-form-urlencoded",
        b"content-length: %d" % (len(body) if length is None else length),
        *headers,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body

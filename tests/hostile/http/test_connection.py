"""What two programs that speak HTTP/1.1 could understand differently: where a request ends, whose an answer is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from mintwarden.app.server import serving
from mintwarden.web.reply import Receive, Reply, Scope, Send, send_reply
from tests.hostile.http.wire import hang_up, post, read

FORM = b"grant_type=client_credentials"
EXPECTING = b"POST /early HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 30\r\n\r\n"
CHUNKED = b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"


class Seen:
    """A server that answers everything, and what it took for requests."""

    def __init__(self) -> None:
        self.base = ""
        self.paths: list[str] = []
        self.headers: list[list[tuple[bytes, bytes]]] = []
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.paths.append(scope["path"])
        if scope["path"] == "/wait":
            await self.go_on.wait()
        if scope["path"] == "/read":
            while (await receive()).get("more_body"):
                pass
        self.headers.append(list(scope["headers"]))
        headers = ((b"connection", b"close"),) if scope["path"] == "/close" else ()
        if scope["path"] == "/early/long":  # as an application that knows nothing of whole answers
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        await send_reply(send, Reply(200, headers, b"seen"))

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, _, port = self.base.removeprefix("http://").partition(":")
        return await asyncio.open_connection(host, int(port))


@pytest.fixture
async def seen() -> AsyncIterator[Seen]:
    made = Seen()
    async with serving(made, socket.create_server(("127.0.0.1", 0))) as made.base:
        yield made
        made.go_on.set()


async def everything(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server closes the connection; fails when it does not."""
    found = b""
    try:
        while piece := await asyncio.wait_for(reader.read(65536), 5):
            found += piece
    except ConnectionError:
        pass
    return found


async def flood(writer: asyncio.StreamWriter, total: int) -> int:
    """Write up to so many bytes; how many were taken before the server closed the connection."""
    sent = 0
    try:
        while sent < total and not writer.transport.is_closing():
            writer.write(b"a" * 65536)
            await asyncio.wait_for(writer.drain(), 5)
            sent += 65536
            await asyncio.sleep(0)
    except ConnectionError:
        pass
    return sent


async def test_trailers_are_no_headers(seen: Seen) -> None:
    reader, writer = await seen.connect()
    writer.write(CHUNKED + b"X-Forwarded-For: 10.0.0.1\r\nAuthorization: Basic YTpi\r\n\r\n")
    answer = await read(reader)
    assert answer is not None
    assert answer.status == 200
    assert {name for name, _ in seen.headers[0]} == {b"host", b"transfer-encoding"}
    await hang_up(writer)


async def test_trailers_without_end_are_cut_off(seen: Seen) -> None:
    reader, writer = await seen.connect()
    writer.write(CHUNKED + b"x: ")
    assert await flood(writer, 1 << 26) < 1 << 25
    assert (await everything(reader)).count(b"HTTP/1.1") <= 1
    await hang_up(writer)


async def test_a_head_without_end_behind_a_waiting_request_is_cut_off(seen: Seen) -> None:
    reader, writer = await seen.connect()
    writer.write(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\nGET /b HTTP/1.1\r\nx: ")
    assert await flood(writer, 1 << 26) < 1 << 25
    assert await everything(reader) == b""  # no answer may stand where that of the first request belongs
    await hang_up(writer)


async def test_nonsense_behind_a_waiting_request_is_not_answered_in_its_place(seen: Seen) -> None:
    reader, writer = await seen.connect()
    writer.write(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n\x00\x00\x00\r\n\r\n")
    assert await everything(reader) == b""
    await hang_up(writer)


@pytest.mark.parametrize("path", [b"/early", b"/early/long"])
async def test_a_body_that_was_never_asked_for_is_not_looked_for(seen: Seen, path: bytes) -> None:
    """Whoever expects `100 Continue` and gets an answer sends no body: what follows is another request."""
    reader, writer = await seen.connect()
    writer.write(EXPECTING.replace(b"/early", path))
    answer = await read(reader)
    assert answer is not None
    assert answer.headers["connection"] == "close"
    writer.write(b"GET /of-somebody-else?" + b"a" * 8 + b"GET /smuggled HTTP/1.1\r\nhost: y\r\n\r\n")
    assert await everything(reader) == b""
    assert seen.paths == [path.decode()]
    await hang_up(writer)


async def test_a_body_that_was_asked_for_is_taken(seen: Seen) -> None:
    reader, writer = await seen.connect()
    writer.write(EXPECTING.replace(b"/early", b"/read"))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"x" * 30)
    answer = await read(reader)
    assert answer is not None
    assert "connection" not in answer.headers
    writer.write(b"GET /next HTTP/1.1\r\nhost: y\r\n\r\n")
    assert await read(reader) is not None
    assert seen.paths == ["/read", "/next"]
    await hang_up(writer)


async def test_a_connection_that_is_said_to_close_closes(seen: Seen) -> None:
    reader, writer = await seen.connect()
    writer.write(b"POST /close HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc")
    assert (await everything(reader)).count(b"connection: close") == 1
    await hang_up(writer)


async def test_one_request_has_one_answer_however_long_its_body(seen: Seen) -> None:
    reader, writer = await seen.connect()
    writer.write(b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nabc")
    assert await read(reader) is not None
    await flood(writer, 500_000)
    assert await everything(reader) == b""
    await hang_up(writer)


async def test_what_is_left_of_a_body_is_no_head(seen: Seen) -> None:
    reader, writer = await seen.connect()
    for _ in range(3):  # each leaves less than the limit behind, all of them together more
        writer.write(b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 20003\r\n\r\nabc")
        assert await read(reader) is not None
        writer.write(b"x" * 20_000)
        await writer.drain()
    writer.write(post(FORM, path=b"/after"))
    assert await read(reader) is not None
    assert seen.paths == ["/early", "/early", "/early", "/after"]
    await hang_up(writer)

from __future__ import annotations

import asyncio
import gc
import socket

import uvloop

from mintwarden.app.config import Config
from mintwarden.app.server import ACCEPTS, Program, serving
from mintwarden.model.errors import ErrorKind, MintwardenError


async def test_a_start_that_fails_says_why_and_leaves_the_collector_as_it_was():
    collecting: list[bool] = []
    sent: list[dict[str, object]] = []

    async def opener(_config):
        collecting.append(gc.isenabled())
        raise MintwardenError(ErrorKind.KEYS, "there is no signing key")

    async def receive():
        return {"type": "lifespan.startup"}

    async def send(message):
        sent.append(message)

    program = Program(Config(), opener)
    await program({"type": "lifespan"}, receive, send)
    assert sent == [{"type": "lifespan.startup.failed", "message": "there is no signing key"}]
    assert isinstance(program.failure, MintwardenError)
    assert collecting == [False]
    assert gc.isenabled()


def test_new_connections_are_taken_many_at_a_time():
    """Each turn of the loop lasts long on a busy server: taking one connection a turn would starve who comes new."""
    waiting = 3 * ACCEPTS
    seen: list[int] = []

    async def app(_scope, _receive, send):
        seen.append(1)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def count() -> int:
        async with serving(app, socket.create_server(("127.0.0.1", 0), backlog=2 * waiting)) as base:
            address = ("127.0.0.1", int(base.rsplit(":", 1)[1]))
            clients = [socket.create_connection(address) for _ in range(waiting)]  # the loop does not turn meanwhile
            for client in clients:
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            for _ in range(8):
                await asyncio.sleep(0)
            found = len(seen)
            for client in clients:
                client.close()
        return found

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(count()) == waiting

"""Clients that take their time: bounded, without one of them holding up another."""

from __future__ import annotations

import asyncio

from mintwarden.web import connection
from tests.hostile.http.wire import hang_up, post, read, talk

FORM = b"grant_type=client_credentials"

IN_FLIGHT = QUEUED = 8
"""What the gate of `served` lets through and lets wait."""


async def test_a_slow_body_is_timed_out_and_others_are_served(served):
    slow = asyncio.ensure_future(talk(served.base, post(FORM, length=1000)))
    while served.bench.gate.begun == 0:
        await asyncio.sleep(0.005)
    other = await talk(served.base, post(FORM))
    assert other is not None
    assert other.status == 200
    served.bench.monotonic.seconds = 60.0
    served.bench.gate.sweep()
    answer = await slow
    assert answer is not None
    assert answer.status == 408
    assert answer.headers["connection"] == "close"
    assert served.bench.gate.begun == 0


async def test_however_many_send_slowly_others_are_served(served):
    """More of them than may be worked on and may wait: they hold connections, and nobody's place."""
    gate = served.bench.gate
    crowd = [asyncio.ensure_future(talk(served.base, post(FORM, length=1000))) for _ in range(IN_FLIGHT + QUEUED + 1)]
    while gate.begun < len(crowd):
        await asyncio.sleep(0.005)
    assert (gate.in_flight, gate.waiting) == (0, 0)
    other = await talk(served.base, post(FORM))
    assert other is not None
    assert other.status == 200
    served.bench.monotonic.seconds = 60.0
    gate.sweep()
    answers = await asyncio.gather(*crowd)
    assert [answer.status for answer in answers if answer is not None] == [408] * len(crowd)
    assert (gate.begun, len(gate._expired)) == (0, 0)


async def test_a_head_that_does_not_end_is_closed():
    class Transport(asyncio.Transport):
        written = b""
        closed = False

        def write(self, data):
            self.written += bytes(data)

        def close(self):
            self.closed = True

        def is_closing(self):
            return self.closed

        def get_extra_info(self, name, default=None):
            return default

    watched = connection.LimitedConnection.__new__(connection.LimitedConnection)
    watched.loop = asyncio.get_running_loop()
    watched.transport = Transport()
    watched._head_since = watched.loop.time() - connection.HEAD_TIMEOUT
    watched._head_bytes = 10
    watched._in_body = False
    watched.cycle = None  # type: ignore[assignment]
    watched._watch = None
    watched._look()
    assert watched.transport.closed
    assert watched.transport.written.startswith(b"HTTP/1.1 408 ")


async def test_a_connection_that_was_answered_stays_open(served):
    host, _, port = served.base.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for _ in range(3):
        writer.write(post(FORM))
        answer = await read(reader)
        assert answer is not None
        assert answer.status == 200
    await hang_up(writer)


async def test_a_client_that_leaves_takes_nothing_with_it(served):
    host, _, port = served.base.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(post(FORM, length=500))
    while served.bench.gate.begun == 0:
        await asyncio.sleep(0.005)
    writer.transport.abort()
    await hang_up(writer)
    while served.bench.gate.begun:
        await asyncio.sleep(0.005)
    answer = await talk(served.base, post(FORM))
    assert answer is not None
    assert answer.status == 200

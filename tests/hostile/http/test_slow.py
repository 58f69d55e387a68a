"""Clients that take their time: bounded, without one of them holding up another."""

from __future__ import annotations

import asyncio
import types

import pytest

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
    assert (gate.arriving, gate.in_flight, gate.waiting) == (len(crowd), 0, 0)
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

        def get_write_buffer_size(self):
            return 0

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


class Unread(asyncio.Transport):
    """The connection of a client that takes `pace` bytes a second of an answer, from the first second on."""

    def __init__(self, seconds, pace):
        self.seconds, self.pace, self.written, self.aborted = seconds, pace, 0, False

    def write(self, data):
        self.written += len(data)

    def get_write_buffer_size(self):
        return max(0, self.written - int(self.pace * self.seconds()))

    def is_closing(self):
        return False

    def abort(self):
        self.aborted = True

    def close(self):
        """It stays until all of it was sent."""


class Clock:
    """Time for a connection, and who wants to be woken."""

    def __init__(self):
        self.seconds = self.due = 0.0
        self.soon = []

    def time(self):
        return self.seconds

    def call_soon(self, what):
        self.soon.append(what)

    def call_later(self, delay, what):
        self.due = self.seconds + delay
        return what


@pytest.mark.parametrize(("pace", "lasts"), [(0, 40.0), (100, 40.0), (1000, None)])
async def test_an_answer_that_is_not_taken_holds_no_connection(pace, lasts):
    """A client that reads nothing, or byte by byte, would keep its connection for ever, and all of them with enough."""
    clock = Clock()
    transport = Unread(clock.time, pace)
    watched = connection.LimitedConnection.__new__(connection.LimitedConnection)
    watched.loop = clock  # type: ignore[assignment]
    watched._writes = watched.transport = connection.JoinedWrites(transport, clock)  # type: ignore[assignment, arg-type]
    watched._head_since = watched._taken_at = None
    watched.cycle = types.SimpleNamespace(response_complete=True)  # type: ignore[assignment]
    watched.timeout_keep_alive = 5
    watched._idle_since = 0.0
    watched.transport.write(bytes(200_000))
    clock.soon.pop()()
    clock.due = connection.HEAD_TIMEOUT
    while not transport.aborted and transport.get_write_buffer_size():
        clock.seconds = clock.due
        watched._look()
    assert clock.seconds == (lasts or 200.0)
    assert transport.aborted == (lasts is not None)


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

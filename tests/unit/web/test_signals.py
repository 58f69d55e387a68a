"""Where transmitters push, apart from what follows: what is answered when it does not go as it should."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.admit import Gate
from mintwarden.web.peer import PeerReader
from mintwarden.web.signals import PushedEvents
from tests.unit.web.stand_ins import Monotonic, Recorder, speak

TYPE = (b"content-type", b"application/secevent+jwt")


class Desk:
    """The endpoint, and what it was given."""

    def __init__(self, take: Callable[[], Awaitable[None]]) -> None:
        self.take = take
        self.taken: list[tuple[str, str, str]] = []
        self.monotonic, self.recorder = Monotonic(), Recorder()
        self.gate = Gate(in_flight=1, queued=8, timeout=10.0, monotonic=self.monotonic)
        self.app = PushedEvents(
            self._take,
            path="/tenant/ssf/events",
            gate=self.gate,
            peer=PeerReader(proxies=()),
            observer=self.recorder,
            references=lambda: "ref",
        )

    async def _take(self, transmitter: str, token: str, authorization: str) -> None:
        self.taken.append((transmitter, token, authorization))
        await self.take()


async def nothing() -> None:
    """It is taken."""


async def test_what_was_pushed_is_handed_on() -> None:
    desk = Desk(nothing)
    answer = await speak(
        desk.app, b"a.b.c", path="/tenant/ssf/events/corp", headers=(TYPE, (b"authorization", b"Bearer x"))
    )
    assert (answer.status, answer.body, desk.taken) == (202, b"", [("corp", "a.b.c", "Bearer x")])
    twice = ((b"authorization", b"Bearer x"), (b"authorization", b"Bearer y"))
    await speak(desk.app, b"a.b.c", path="/tenant/ssf/events/corp", headers=(TYPE, *twice))
    assert desk.taken[-1][2] == "", "one of two would be a choice"
    assert [(line.route, line.outcome) for line in desk.recorder.lines] == [("signals", "accepted")] * 2


async def test_an_error_that_nobody_foresaw_is_told_by_reference_alone() -> None:
    async def wrong() -> None:
        raise ValueError("a secret")

    desk = Desk(wrong)
    answer = await speak(desk.app, b"a.b.c", path="/tenant/ssf/events/corp", headers=(TYPE,))
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert b'"reference":"ref"' in answer.body
    assert [reference for reference, _ in desk.recorder.errors] == ["ref"]


async def test_what_is_not_its_fault_is_to_be_sent_again() -> None:
    async def away() -> None:
        raise MintwardenError(ErrorKind.STORE, "the store does not answer")

    desk = Desk(away)
    answer = await speak(desk.app, b"a.b.c", path="/tenant/ssf/events/corp", headers=(TYPE,))
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


async def test_one_that_takes_too_long_and_one_that_had_no_turn_are_to_be_sent_again() -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def hang() -> None:
        await never

    desk = Desk(hang)
    tasks = [
        asyncio.create_task(speak(desk.app, b"a.b.c", path="/tenant/ssf/events/corp", headers=(TYPE,)))
        for _ in range(2)
    ]
    while not (desk.taken and desk.gate.waiting):
        await asyncio.sleep(0)
    desk.monotonic.seconds = 11.0
    desk.gate.sweep()
    assert [answer.status for answer in await asyncio.gather(*tasks)] == [503, 503]
    assert (desk.gate.in_flight, len(desk.taken)) == (0, 1)


async def test_whoever_goes_away_is_not_answered() -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def hang() -> None:
        await never

    desk = Desk(hang)
    task = asyncio.create_task(speak(desk.app, b"a.b.c", path="/tenant/ssf/events/corp", headers=(TYPE,)))
    while not desk.taken:
        await asyncio.sleep(0)
    task.cancel()
    assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
    assert (desk.gate.in_flight, desk.recorder.lines) == (0, [])

"""Streams that change while they are told something, that are full, and that leave out too much."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from mintwarden.feeds.security_events import SESSION_REVOKED, STREAM_UPDATED
from mintwarden.feeds.streams import POLL, PUSH, Stream, Terms
from mintwarden.feeds.subject_ids import iss_sub
from mintwarden.feeds.transmitter import FULL, LARGEST_WITHOUT, MOST_WAITING, Transmitter, Waiting, goes_out
from mintwarden.model.caller import Evidence
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid

ALICE = iss_sub("https://tokens.example.com", "alice")
STREAM = Stream(id="s", client_id="shop", requested=(SESSION_REVOKED,))
PUSHED = replace(STREAM, method=PUSH, push_url="https://shop.example.com/events")
WHO: Any = type("Who", (), {"client_id": "shop", "principal": EntityUid("Workload", "shop"), "token_id": "t"})()


class Memory:
    """One stream and what waits for it. `all` shows it as it was before `becomes`."""

    def __init__(self, stream: Stream, *, becomes: Stream | None = None) -> None:
        self.seen = stream
        self.stream = becomes or stream
        self.events: list[Waiting] = []
        self.pushed: list[str] = []

    async def find(self, client_id: str) -> Stream | None:
        return self.stream

    async def all(self) -> Sequence[Stream]:
        return [self.seen]

    async def add(self, stream: Stream) -> bool:
        raise AssertionError("no stream is made here")

    async def replace(self, old: Stream, new: Stream) -> bool:
        if old != self.stream:
            return False
        self.seen = self.stream = new
        return True

    async def put(self, stream: Stream, event: Waiting) -> None:
        self.events.append(event)
        if stream.method == PUSH and goes_out(stream, event):
            self.pushed.append(event.token_id)

    async def oldest(self, stream_id: str, most: int) -> Sequence[Waiting]:
        return [one for one in self.events if one.event != STREAM_UPDATED][:most]

    async def about(self, stream_id: str) -> Sequence[Waiting]:
        return [one for one in self.events if one.event == STREAM_UPDATED]

    async def count(self, stream_id: str) -> int:
        return len(await self.oldest(stream_id, MOST_WAITING))

    async def remove(self, stream_id: str, token_ids: Iterable[str] = ()) -> None:
        gone = set(token_ids)
        self.events = [one for one in self.events if one.token_id not in gone]

    async def send(self, stream: Stream) -> None:
        self.pushed += [one.token_id for one in self.events if one.token_id not in self.pushed]


def transmitter(memory: Memory) -> Transmitter:
    numbers = iter(range(10_000))
    store: Any = memory

    async def record(who: Evidence, what: str, detail: Mapping[str, object]) -> None:
        return None

    def check(_url: str) -> None:
        return None

    terms = Terms(issuer="https://tokens.example.com", poll_url=lambda name: f"https://t/{name}", check_url=check)
    return Transmitter(
        streams=store, events=store, terms=terms, record=record, now=lambda: 1_000, random=lambda: f"r{next(numbers)}"
    )


def tell(memory: Memory, cause: str) -> None:
    told = transmitter(memory).tell(SESSION_REVOKED, ALICE, {}, cause=cause, hears=lambda _client: True)
    assert asyncio.run(told) == 1


@pytest.mark.parametrize("was", [replace(PUSHED, status="paused"), STREAM, PUSHED])
def test_what_is_told_while_a_stream_comes_to_be_pushed_is_pushed(was: Stream) -> None:
    """It was paused, or polled, when it was looked at; whoever changed it sent what was there before this."""
    memory = Memory(was, becomes=PUSHED)
    tell(memory, "one")
    assert memory.pushed == [one.token_id for one in memory.events]
    assert len(memory.pushed) == 1


@pytest.mark.parametrize("becomes", [replace(PUSHED, status="paused"), replace(STREAM, method=POLL)])
def test_what_is_told_while_a_stream_is_held_is_held(becomes: Stream) -> None:
    memory = Memory(replace(becomes, description="before"), becomes=becomes)
    tell(memory, "one")
    assert (len(memory.events), memory.pushed) == (1, [])


@pytest.mark.parametrize("stream", [STREAM, replace(STREAM, status="paused", reason="at night")])
def test_whoever_misses_something_hears_of_it(stream: Stream) -> None:
    """Also a receiver that had its stream paused: it thinks that everything is held."""
    memory = Memory(stream)
    for number in range(MOST_WAITING + 3):
        tell(memory, str(number))
    assert (memory.stream.status, memory.stream.reason) == ("paused", FULL)
    (heard,) = [one for one in memory.events if one.event == STREAM_UPDATED]
    assert heard.content == {"status": "paused", "reason": FULL}
    assert len(memory.events) == MOST_WAITING + 1


def test_what_is_left_out_is_bounded_as_a_whole() -> None:
    """Every stream is read whenever anything is told."""
    memory = Memory(STREAM)
    at, sent = transmitter(memory), 0
    with pytest.raises(MintwardenError) as caught:
        for number in range(500):
            names = [{"format": "opaque", "id": f"{number} {part} {'x' * 950}"} for part in range(16)]
            subject = {"format": "aliases", "identifiers": names}
            asyncio.run(at.remove_subject(WHO, {"stream_id": "s", "subject": subject}))
            sent += 16 * 950
    assert caught.value.kind is ErrorKind.INVALID_REQUEST
    assert sent < LARGEST_WITHOUT

"""Anyone may read the log: however many do, they are few at once, and those who come for tokens notice nothing of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from mintwarden.app.config import load_config
from mintwarden.app.wiring import open_service
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.asgi import Asked, Surface
from mintwarden.web.documents import log_reply
from mintwarden.web.peer import PeerReader
from mintwarden.web.reads import AT_ONCE, EACH, QUEUED, Reads
from mintwarden.web.reply import Reply
from tests.flow.company import furnish, write_company
from tests.unit.web.stand_ins import Answer, Monotonic, Recorder, bench, speak

TILE = "/ledger/tile/0/000"
HERE, THERE = "203.0.113.7", "198.51.100.1"
SECONDS = 10.0


class Log:
    """Tiles that are read once it is enough; `most` is how many were read at once."""

    def __init__(self) -> None:
        self.enough = asyncio.Event()
        self.reading = 0
        self.most = 0

    async def checkpoint(self) -> bytes:
        return b"origin\n1\nAAAA\n"

    async def tile(self, path: str) -> bytes | None:
        self.reading += 1
        self.most = max(self.most, self.reading)
        try:
            await self.enough.wait()
            if path.endswith("999"):
                raise MintwardenError(ErrorKind.STORE, "the disk is on fire")
            return b"x" * 32 if path.endswith("000") else None
        finally:
            self.reading -= 1


class Place:
    """A surface with the log and the token endpoint."""

    def __init__(self) -> None:
        self.log = Log()
        self.monotonic = Monotonic()
        self.recorder = Recorder()
        self.reads = Reads(timeout=SECONDS, monotonic=self.monotonic)

        async def page(asked: Asked) -> Reply:
            return await log_reply(self.log, asked.path)

        self.surface = Surface(
            posts={"/token": bench().endpoint},
            pages={},
            trees=[("/ledger/", "ledger", self.reads.admitted(page))],
            mounts=[],
            peer=PeerReader(proxies=()),
            observer=self.recorder,
            references=lambda: "ref",
            monotonic=self.monotonic,
        )

    def flood(self, addresses: Sequence[str], path: str = TILE) -> list[asyncio.Task[Answer]]:
        return [asyncio.create_task(self.get(path, address)) for address in addresses]

    async def get(self, path: str = TILE, address: str = THERE) -> Answer:
        return await speak(self.surface, method="GET", path=path, client=(address, 1))


async def settled(tasks: Sequence[asyncio.Task[Answer]]) -> list[asyncio.Task[Answer]]:
    """Those that are answered once nothing moves any more."""
    for _ in range(20):
        await asyncio.sleep(0)
    return [task for task in tasks if task.done()]


async def test_whoever_reads_the_whole_log_at_once_is_told_to_come_back_and_nobody_else() -> None:
    place = Place()
    flood = place.flood([HERE] * 1000)
    told = await settled(flood)
    assert len(flood) - len(told) == EACH
    for task in told:
        answer = await task
        assert (answer.status, answer.headers["cache-control"]) == (503, "no-store")
        assert int(answer.headers["retry-after"]) >= 1
    other = asyncio.create_task(place.get())
    assert (await speak(place.surface, b"grant_type=client_credentials")).status == 200, "tokens have their own places"
    place.log.enough.set()
    assert (await other).status == 200
    assert {(await task).status for task in flood if task not in told} == {200}
    assert place.log.most == AT_ONCE
    assert place.recorder.errors == [], "what is too much is no error of ours"
    assert (await place.get(address=HERE)).status == 200


async def test_an_ipv6_network_is_one_reader() -> None:
    place = Place()
    flood = place.flood([f"2001:db8:1:2::{number:x}" for number in range(1000)])
    assert len(flood) - len(await settled(flood)) == EACH
    place.log.enough.set()
    await asyncio.gather(*flood)


async def test_however_many_they_are_only_so_many_wait_and_those_who_come_for_tokens_do_not() -> None:
    place = Place()
    flood = place.flood([f"10.0.{number // 250}.{number % 250}" for number in range(1000)])
    assert len(flood) - len(await settled(flood)) == AT_ONCE + QUEUED
    assert (await place.get()).status == 503
    assert (await speak(place.surface, b"grant_type=client_credentials")).status == 200
    place.log.enough.set()
    await asyncio.gather(*flood)
    assert place.log.most == AT_ONCE
    assert (place.reads.gate.in_flight, place.reads.gate.waiting, place.reads.gate.begun) == (0, 0, 0)


async def test_a_read_that_takes_too_long_ends_and_so_does_one_that_waited_for_it() -> None:
    place = Place()
    flood = place.flood([HERE] * (AT_ONCE + 3))
    assert await settled(flood) == []
    place.monotonic.seconds = SECONDS
    place.reads.gate.sweep()
    answers = await asyncio.gather(*flood)
    assert {(answer.status, answer.headers["cache-control"]) for answer in answers} == {(503, "no-store")}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
    assert (place.reads.gate.in_flight, place.reads.gate.waiting, place.reads.gate.begun) == (0, 0, 0)
    assert place.log.reading == 0
    place.log.enough.set()
    assert (await place.get(address=HERE)).status == 200, "their share is theirs again"


async def test_whoever_hangs_up_gives_the_place_back() -> None:
    place = Place()
    flood = place.flood([HERE] * EACH)
    await settled(flood)
    for task in flood:
        task.cancel()
    await asyncio.gather(*flood, return_exceptions=True)
    assert (place.reads.gate.in_flight, place.reads.gate.waiting, place.reads.gate.begun) == (0, 0, 0)
    place.log.enough.set()
    assert (await place.get(address=HERE)).status == 200


async def test_what_is_there_may_be_kept_for_ever_and_what_is_not_not_at_all() -> None:
    place = Place()
    place.log.enough.set()
    found, checkpoint = await place.get(), await place.get("/ledger/checkpoint")
    assert found.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert checkpoint.headers["cache-control"] == "public, max-age=1"
    for path, status in (("/ledger/tile/0/001", 404), ("/ledger/tile/0/999", 503)):
        answer = await place.get(path)
        assert (answer.status, answer.headers["cache-control"]) == (status, "no-store")
    assert len(place.recorder.errors) == 1, "what is wrong with us is told"


@pytest.mark.parametrize("path", ["/ledger/tile/entries/000.p/1", "/ledger/tile/0/000.p/1", "/status", "/status/1"])
async def test_the_whole_service_admits_what_is_read(tmp_path: Path, path: str) -> None:
    config = write_company(tmp_path, ECKey.generate_key("P-256"), ECKey.generate_key("P-256"))
    await furnish(config, people=("alice",))
    service = await open_service(load_config(config, environ={}))
    try:
        asked = (speak(service.surface, method="GET", path=path, client=(HERE, 1)) for _ in range(EACH + 20))
        answers = await asyncio.gather(*asked)
        assert [answer.status for answer in answers].count(503) == 20
        assert (await speak(service.surface, method="GET", path=path, client=(HERE, 1))).status != 503
    finally:
        await service.close()

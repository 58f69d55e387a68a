"""Four times what fits: those admitted are answered well, the others told when to come back, and nothing piles up."""

from __future__ import annotations

import asyncio
import contextlib
import json
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from tests.flow.company import Company
from tests.hostile.http.wire import Answer, hang_up, post, read
from tests.reliability.deployment import Site, audit, site
from tests.reliability.fateful import fateful, hang, keep
from tests.reliability.inside import service
from tests.reliability.load import check_recorded
from tests.reliability.sabotage import is_ready, issued

IN_FLIGHT, QUEUED = 4, 8
CLIENTS = 4 * (IN_FLIGHT + QUEUED)
LIMITS = f"max_in_flight = {IN_FLIGHT}\nmax_queued = {QUEUED}"
GROWTH = 24 * 1024
"""KiB that a server may grow by in rounds that all do the same."""


class Crowd:
    """Clients that all ask at the same moment, each on a connection of its own."""

    def __init__(self, company: Company, connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> None:
        basic = b64encode(f"batch:{company.secrets['batch']}".encode())
        self._request = post(b"grant_type=client_credentials", b"authorization: Basic " + basic)
        self._connections = connections

    async def ask(self) -> list[Answer]:
        """One answer to each."""
        for _, writer in self._connections:
            writer.write(self._request)
        answers = await asyncio.gather(*(read(reader) for reader, _ in self._connections))
        assert None not in answers, "a connection was closed without an answer"
        return [answer for answer in answers if answer is not None]


@contextlib.asynccontextmanager
async def crowd(company: Company) -> AsyncIterator[Crowd]:
    host, _, port = company.base.removeprefix("http://").partition(":")
    connections = [await asyncio.open_connection(host, int(port)) for _ in range(CLIENTS)]
    try:
        yield Crowd(company, connections)
    finally:
        await asyncio.gather(*(hang_up(writer) for _, writer in connections))


def told_to_come_back(answer: Answer) -> None:
    content = json.loads(answer.body)
    assert answer.headers["retry-after"] in ("1", "2", "3", "4", "5", "6")
    assert (content["error"], "access_token" in content) == ("temporarily_unavailable", False)


def resident(pid: int) -> int:
    """Resident memory in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


async def gauges(company: Company) -> tuple[float, float]:
    lines = (await company.http.get("/metrics")).text.splitlines()
    values = dict(line.split(" ") for line in lines if line.startswith("mintwarden_requests_") and "{" not in line)
    return float(values["mintwarden_requests_in_flight"]), float(values["mintwarden_requests_waiting"])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="explained: needs /proc to see the server's memory")
async def test_four_times_its_capacity(tmp_path: Path, free_port: Callable[[], int]) -> None:
    async with site(tmp_path) as where:
        node = where.node(free_port(), server=LIMITS)
        await node.start()
        company = where.ask(node)
        counts: Counter[int] = Counter()
        tokens: list[str] = []
        async with crowd(company) as many:
            sizes = []
            for _ in range(4):
                for _ in range(15):
                    for answer in await many.ask():
                        counts[answer.status] += 1
                        if answer.status == 200:
                            tokens.append(json.loads(answer.body)["access_token"])
                        else:
                            told_to_come_back(answer)
                    assert (await company.http.get("/healthz")).status_code == 200
                sizes.append(resident(node.pid))
        print(f"{dict(counts)} answers, resident {[size >> 10 for size in sizes]} MiB after each round")
        assert set(counts) == {200, 503}
        assert counts[200] >= 60 * IN_FLIGHT, "those who fit in are served all the while"
        assert sizes[-1] - sizes[0] < GROWTH, sizes
        tokens.append(await issued(company))
        await is_ready(company)
        await quiet(company)
        assert await node.stop() == 0
        await audit(node.config)
        async with foundation(load_config(node.config, environ={}), read_only=True) as base:
            await check_recorded(base, tokens)


async def quiet(company: Company) -> None:
    """Return once nobody is worked on or waits: no place was lost."""
    async with asyncio.timeout(10):
        while await gauges(company) != (0.0, 0.0):
            await asyncio.sleep(0.05)


async def test_a_store_that_hangs_does_not_pile_up_requests(tmp_path: Path) -> None:
    """Who is admitted waits for no longer than a request may take; who is not is told so at once."""
    limits = f'{LIMITS}\nrequest_timeout = "500ms"'
    async with site(tmp_path) as where, service(where, fateful, server=limits) as (company, base):
        appender: Any = base.recorder._appender
        await issued(company)
        appender.fate = hang
        async with crowd(company) as many:
            for _ in range(3):
                answers = await asyncio.wait_for(many.ask(), 20)
                for answer in answers:
                    assert answer.status == 503
                    told_to_come_back(answer)
                assert base.recorder.waiting <= 3 * (IN_FLIGHT + QUEUED), "what was given up still waits, and no more"
            appender.released.set()
            appender.fate = keep
            # what had been written down by then is there, and nobody was given a token for it
            assert {answer.status for answer in await many.ask()} == {200, 503}
        await issued(company)
        assert base.recorder.waiting == 0


async def test_connections_that_say_nothing_keep_nobody_out(where: Site, free_port: Callable[[], int]) -> None:
    node = where.node(free_port(), server=LIMITS)
    await node.start()
    company = where.ask(node)
    async with crowd(company):
        await issued(company)
        assert await gauges(company) == (0.0, 0.0)


@pytest.fixture
async def where(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path) as made:
        yield made

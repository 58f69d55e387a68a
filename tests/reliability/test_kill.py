"""`kill -9` under load: whatever a client was given is in the ledger, and the server comes up again by itself."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from tests.flow.company import Company
from tests.reliability.deployment import SQLITE, Node, Site, audit, site
from tests.reliability.load import Load, check_recorded, check_replays, claims_of
from tests.reliability.sabotage import is_ready, issued, needs_linux

KILLS = 20 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 4
REPLAYS = 25


async def load_and_kill(where: Site, node: Node, load: Load, chance: random.Random, *, patient: bool) -> None:
    """One life: started, asked by everyone, killed after some number of answers, in the middle of the next.

    With `patient`, only once this life publishes checkpoints, so that the sequencer dies at work as well.
    """
    before = len(load.tokens)
    await node.start()
    company = where.ask(node)
    asking = asyncio.create_task(load.run(company))
    if patient:
        await published(company, beyond=before)
    await load.received(len(load.tokens) + chance.randrange(1, 120))
    # Somewhere within the next requests: the number of turns of the loop decides it, no clock does.
    for _ in range(chance.randrange(50)):
        await asyncio.sleep(0)
    await node.kill()
    await asyncio.wait_for(asking, 60)


async def published(company: Company, *, beyond: int) -> None:
    """Return once a checkpoint covers more than `beyond` entries, which the sequencer of a process that died delays."""
    async with asyncio.timeout(30):
        while True:
            answer = await company.http.get("/ledger/checkpoint")
            if answer.status_code == 200 and int(answer.text.split("\n")[1]) > beyond:
                return
            await asyncio.sleep(0.02)


async def survive(where: Site, port: int) -> None:
    chance, load, node = random.Random(KILLS), Load(), where.node(port)
    for number in range(KILLS):
        await load_and_kill(where, node, load, chance, patient=number % 2 == 0)
    assert load.refused == {}, load.refused
    await node.start()
    company = where.ask(node)
    async with asyncio.timeout(30):
        await company.token("batch", grant_type="client_credentials")
        await check_replays(company, load.spent[-REPLAYS:])
        assert (await company.http.get("/readyz")).status_code == 200
        await published(company, beyond=len(load.tokens))
    assert await node.stop() == 0
    report = await audit(node.config)
    async with foundation(load_config(node.config, environ={}), read_only=True) as base:
        await check_recorded(base, load.tokens)
        assert await base.store.entries.count() == report["size"] + report["waiting"] > len(load.tokens)
    ids = [claims_of(token)["jti"] for token in load.tokens]
    assert len(set(ids)) == len(ids)
    print(f"{KILLS} kills, {len(load.tokens)} tokens received, {report['size']} entries, each token has its own")


async def test_kill_9_under_load_on_sqlite(tmp_path: Path, free_port: Callable[[], int]) -> None:
    async with site(tmp_path, SQLITE) as where:
        await survive(where, free_port())


@pytest.mark.xdist_group("postgres")
async def test_kill_9_under_load_on_postgresql(
    tmp_path: Path, free_port: Callable[[], int], new_database: Callable[[], str]
) -> None:
    async with site(tmp_path, new_database()) as where:
        await survive(where, free_port())


@needs_linux
async def test_workers_do_not_outlive_their_parent(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """They would keep the port, and the next start would fail."""
    async with site(tmp_path) as where:
        node = where.node(free_port(), server="workers = 2")
        await node.start()
        await is_ready(where.ask(node))
        load = Load()
        asking = asyncio.create_task(load.run(where.ask(node)))
        await load.received(50)
        workers = children(node.pid)
        assert len(workers) == 2
        await node.kill()
        await asyncio.wait_for(asking, 30)
        async with asyncio.timeout(10):
            while [worker for worker in workers if Path(f"/proc/{worker}").exists()]:
                await asyncio.sleep(0.05)
        await node.start()
        await is_ready(where.ask(node))
        await issued(where.ask(node))
        assert await node.stop() == 0
        await audit(node.config)
        async with foundation(load_config(node.config, environ={}), read_only=True) as base:
            await check_recorded(base, load.tokens)


def children(pid: int) -> list[int]:
    """The workers of a server."""
    found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [child for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]

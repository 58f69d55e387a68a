"""The disk under a running service: a clear error, no signature, nothing lost, and on it goes once the cause is gone."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from tests.flow.company import Company
from tests.reliability.deployment import Node, Site, audit, command, site
from tests.reliability.load import Load, check_recorded
from tests.reliability.sabotage import (
    edit,
    files_limited_to,
    is_ready,
    issued,
    mounted,
    needs_linux,
    needs_mounts,
    refused,
)

STORE = "sqlite:///store/mintwarden.db"


@pytest.fixture
async def where(tmp_path: Path) -> AsyncIterator[Site]:
    (tmp_path / "store").mkdir()
    async with site(tmp_path, STORE) as made:
        yield made


@pytest.fixture
async def node(where: Site, free_port: Callable[[], int]) -> Node:
    node = where.node(free_port())
    await node.start()
    return node


async def nothing_is_lost(node: Node, tokens: list[str]) -> None:
    """Every token that a client ever got has its entry, in a ledger without a fault."""
    await audit(node.config)
    async with foundation(load_config(node.config, environ={}), read_only=True) as base:
        await check_recorded(base, tokens)


async def settled(folder: Path) -> None:
    """Return once a checkpoint covers every entry: from then on the store changes only when it is asked for something."""
    async with asyncio.timeout(30):
        while edit(folder, "SELECT size - (SELECT count(*) FROM entries) FROM head") != [(0,)]:
            await asyncio.sleep(0.02)


async def fill(company: Company, load: Load) -> None:
    """Ask until something is refused."""
    full = asyncio.Event()
    asking = asyncio.create_task(load.run(company, until=full))
    async with asyncio.timeout(60):
        while not load.refused:
            await asyncio.sleep(0.01)
    full.set()
    await asking


async def until_refused(company: Company) -> list[str]:
    """Ask, one request after another, until one is refused; what was issued until then.

    A store on a full disk may go on for a while in the space of its write-ahead log, once that was moved into the file.
    """
    tokens: list[str] = []
    for _ in range(3_000):
        answer = await company.ask("batch", grant_type="client_credentials")
        if answer.status_code != 200:
            assert (answer.status_code, answer.headers.get("retry-after")) == (503, "1"), answer.text
            assert answer.json().keys() == {"error", "error_description", "reference"}
            return tokens
        tokens.append(answer.json()["access_token"])
    raise AssertionError("a full disk was never noticed")


def fill_up(disk: Path, ballast: Path, but_for: int = 65_536) -> None:
    """Leave `but_for` bytes or less; a page at a time, for the store writes while we do."""
    with ballast.open("wb", buffering=0) as file:
        while shutil.disk_usage(disk).free > but_for:
            file.write(bytes(4096))


@needs_mounts
async def test_a_full_disk(tmp_path: Path, free_port: Callable[[], int]) -> None:
    disk = tmp_path / "store"
    disk.mkdir()
    with mounted(disk, "-t", "tmpfs", "-o", "size=4m", "tmpfs"):
        async with site(tmp_path, STORE) as where:
            node, load = where.node(free_port()), Load()
            await node.start()
            company = where.ask(node)
            tokens = [await issued(company)]
            ballast = disk / "ballast"
            fill_up(disk, ballast)
            await fill(company, load)
            assert load.refused.keys() == {503}
            tokens += await until_refused(company)
            await node.tells("the store's disk is full")
            ballast.unlink()
            tokens.append(await issued(company))
            await is_ready(company)
            assert await node.stop() == 0
            await nothing_is_lost(node, [*tokens, *load.tokens])


@needs_linux
async def test_a_disk_that_takes_no_more_writes(where: Site, node: Node) -> None:
    company, load = where.ask(node), Load()
    tokens = [await issued(company)]
    written = max(file.stat().st_size for file in (where.folder / "store").iterdir())
    with files_limited_to(node.pid, written + 20_000):
        await fill(company, load)
        with files_limited_to(node.pid, 1):
            await refused(company)
    assert load.refused.keys() == {503}
    tokens.append(await issued(company))
    await is_ready(company)
    assert await node.stop() == 0
    assert "the store's disk" in node.told()
    await nothing_is_lost(node, [*tokens, *load.tokens])


async def test_a_store_that_goes_away_and_comes_back(where: Site, node: Node) -> None:
    company = where.ask(node)
    tokens = [await issued(company)]
    home, away = where.folder / "store", where.folder / "away"
    home.rename(away)
    await refused(company)
    away.rename(home)
    tokens.append(await issued(company))
    await is_ready(company)
    assert await node.stop() == 0
    assert "the store is gone" in node.told()
    await nothing_is_lost(node, tokens)


@needs_mounts
async def test_a_store_that_is_read_only_for_a_while(where: Site, node: Node) -> None:
    company, home, copy = where.ask(node), where.folder / "store", where.folder / "copy"
    tokens = [await issued(company)]
    await settled(home)
    shutil.copytree(home, copy)
    with mounted(home, "--bind", "-o", "ro", str(copy)):
        await refused(company)
        other = where.node(0)
        code, _, err = await command("serve", "--config", str(other.config))
        assert code == 3, err
        assert "mintwarden: the store" in err
        assert "Traceback" not in err
    tokens.append(await issued(company))
    await is_ready(company)
    assert await node.stop() == 0
    await nothing_is_lost(node, tokens)


async def test_a_log_that_somebody_removed(where: Site, node: Node) -> None:
    company = where.ask(node)
    tokens = [await issued(company) for _ in range(20)]
    for file in (where.folder / "store").glob("*.db-*"):
        file.unlink()
    await refused(company)
    assert await node.stop() == 0
    assert "end every process of the service with SIGTERM" in node.told()
    await node.start()
    tokens.append(await issued(where.ask(node)))
    assert await node.stop() == 0
    await nothing_is_lost(node, tokens)


async def test_an_older_copy_in_the_place_of_the_store(where: Site, node: Node) -> None:
    """Nothing is issued from what would become a second history; the true store goes on after a restart."""
    company, home = where.ask(node), where.folder / "store"
    tokens = [await issued(company)]
    backup = where.folder / "backup.db"
    code, _, err = await command("store", "backup", str(backup), "--config", str(node.config))
    assert code == 0, err
    tokens += [await issued(company) for _ in range(20)]
    await settled(home)
    true = where.folder / "true"
    home.rename(true)
    home.mkdir()
    backup.rename(home / "mintwarden.db")
    async with asyncio.timeout(30):
        while (await company.ask("batch", grant_type="client_credentials")).status_code == 200:
            await asyncio.sleep(0.01)
    await refused(company, part="ledger")
    await node.stop()
    assert "set back or replaced" in node.told()
    shutil.rmtree(home)
    true.rename(home)
    await node.start()
    tokens.append(await issued(where.ask(node)))
    assert await node.stop() == 0
    await nothing_is_lost(node, tokens)

"""A PostgreSQL that stops, crashes and hangs under a running service: refused meanwhile, nothing lost, no restart."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.store.migrate import migrate
from mintwarden.store.postgres.embedded import EmbeddedPostgres
from tests.reliability.deployment import audit, command, site
from tests.reliability.load import Load, check_recorded
from tests.reliability.sabotage import halted, is_ready, issued, mounted, needs_linux, needs_mounts, refused

pytestmark = pytest.mark.xdist_group("postgres")


@pytest.fixture
def own() -> Iterator[EmbeddedPostgres]:
    """A server that nobody else needs."""
    with EmbeddedPostgres() as server:
        migrate(server.url())
        yield server


@needs_linux
async def test_a_database_that_stops_crashes_and_hangs(
    tmp_path: Path, free_port: Callable[[], int], own: EmbeddedPostgres
) -> None:
    async with site(tmp_path, own.url()) as where:
        node, load = where.node(free_port(), server='request_timeout = "1s"'), Load()
        await node.start()
        company = where.ask(node)
        for hard in (False, True):
            until = asyncio.Event()
            asking = asyncio.create_task(load.run(company, until=until))
            await load.received(len(load.tokens) + 50)
            await asyncio.to_thread(own.stop, hard=hard)
            await refused(company)
            until.set()
            await asking
            if hard:
                code, out, err = await command("serve", "--config", str(where.node(0).config))
                assert (code, out) == (3, "")
                assert err.startswith("mintwarden: the store does not answer\n")
                assert "Traceback" not in err
            await asyncio.to_thread(own.start)
            load.tokens.append(await issued(company))
            await is_ready(company)
        begun = time.monotonic()
        with halted(int((own._home / "data" / "postmaster.pid").read_text().split("\n")[0])):
            await refused(company)
        assert time.monotonic() - begun < 20, (
            "a database that hangs must not hold requests for longer than they may take"
        )
        load.tokens.append(await issued(company))
        await is_ready(company)
        assert await node.stop() == 0
        assert "the store does not answer" in node.told()
        assert set(load.refused) <= {503}
        await audit(node.config)
        async with foundation(load_config(node.config, environ={}), read_only=True) as base:
            await check_recorded(base, load.tokens)


@needs_mounts
async def test_a_database_whose_disk_is_full(tmp_path: Path, free_port: Callable[[], int]) -> None:
    with contextlib.ExitStack() as stack:
        disk = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mintwarden-disk-")))
        disk.chmod(0o755)  # the server does not run as root
        stack.enter_context(mounted(disk, "-t", "tmpfs", "-o", "size=128m,mode=755", "tmpfs"))
        own = stack.enter_context(EmbeddedPostgres(folder=disk))
        migrate(own.url())
        async with site(tmp_path, own.url()) as where:
            node, load, full = where.node(free_port()), Load(), asyncio.Event()
            await node.start()
            company = where.ask(node)
            ballast = disk / "ballast"
            with contextlib.suppress(OSError):  # the last page may be somebody else's
                ballast.write_bytes(bytes(shutil.disk_usage(disk).free))
            asking = asyncio.create_task(load.run(company, until=full))
            async with asyncio.timeout(60):
                while not load.refused:
                    await asyncio.sleep(0.01)
            full.set()
            await asking
            assert set(load.refused) == {503}
            ballast.unlink()
            load.tokens.append(await issued(company))
            await is_ready(company)
            assert await node.stop() == 0
            assert "the store's disk is full" in node.told()
            await audit(node.config)
            async with foundation(load_config(node.config, environ={}), read_only=True) as base:
                await check_recorded(base, load.tokens)

"""What one process does for all: who takes over, and when nobody may."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mintwarden.app.config import load_config
from mintwarden.app.foundation import SELF, Foundation, foundation
from mintwarden.app.sequencing import Sequencing
from mintwarden.app.wiring import ensure_keys
from mintwarden.model.errors import FatalLedgerError
from tests.reliability.deployment import site
from tests.reliability.sabotage import edit


class Heard:
    """What went wrong behind the requests."""

    def __init__(self) -> None:
        self.tasks: list[str] = []

    def stumbled(self, task: str, error: BaseException) -> None:
        self.tasks.append(f"{task}: {error}")


@contextlib.asynccontextmanager
async def opened(config: Path) -> AsyncIterator[tuple[Foundation, Sequencing, Heard]]:
    async with foundation(load_config(config, environ={})) as base:
        await ensure_keys(base)
        heard = Heard()
        yield base, Sequencing(base, watch=heard), heard  # type: ignore[arg-type]


async def note(base: Foundation, text: str) -> None:
    await base.recorder.record_act(
        entry_id=base.new_id(), kind="configuration", at=base.clock.now(), actor=SELF, detail={"note": text}
    )


async def test_whoever_leaves_publishes_what_is_left_and_the_next_need_not_wait(tmp_path: Path) -> None:
    async with site(tmp_path) as where:
        config = where.node(0).config
        async with opened(config) as (base, first, _), opened(config) as (_, second, _):
            await note(base, "one")
            await first.run()
            size = first.size
            await note(base, "two")
            await second.run()
            assert second.size == size, "the first is elected"
            await first.finish()
            await note(base, "three")
            await second.run()
            assert second.size == size + 2


async def test_a_head_that_was_set_back_stops_everyone_who_saw_more(tmp_path: Path) -> None:
    async with site(tmp_path) as where:
        config = where.node(0).config
        async with opened(config) as (base, elected, heard), opened(config) as (other, waiting, _):
            await note(base, "one")
            await elected.run()
            earlier = edit(tmp_path, "SELECT size, root, checkpoint FROM head")
            await note(base, "two")
            await elected.run()
            await waiting.run()
            assert waiting.size == elected.size
            edit(tmp_path, "UPDATE head SET size = ?, root = ?, checkpoint = ?", *earlier[0])
            edit(tmp_path, "DELETE FROM leases")
            for which, its in ((waiting, other), (elected, base)):
                await which.run()
                with pytest.raises(FatalLedgerError):
                    which.check()
                with pytest.raises(FatalLedgerError):
                    await note(its, "three")
            assert (await other.store.tree.head()).size == earlier[0][0], "no second history was published"
            assert heard.tasks == ["sequencer: the stored head was set back or replaced"]
            await elected.finish()
            await elected.run()


async def test_a_node_that_died_making_keys_holds_up_nobody(tmp_path: Path) -> None:
    async with site(tmp_path) as where, foundation(load_config(where.node(0).config, environ={})) as base:
        assert await base.store.leases.acquire("key-rotation", "dead", 30)
        async with asyncio.timeout(10):
            await ensure_keys(base)
        assert sorted(key.state for key in base.ring.keys) == ["active", "active", "next"]

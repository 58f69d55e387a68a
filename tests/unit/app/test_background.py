from __future__ import annotations

import asyncio

from mintwarden.app.background import Background, Task


async def test_each_task_runs_again_and_again_and_a_failure_is_told():
    runs = {"good": 0, "bad": 0}
    told = []
    enough = asyncio.Event()

    async def good():
        runs["good"] += 1
        if runs["good"] >= 5:
            enough.set()

    async def bad():
        runs["bad"] += 1
        if runs["bad"] == 1:
            raise ValueError("once")

    background = Background(
        [Task("good", 0.001, good), Task("bad", 0.001, bad)], stumbled=lambda name, error: told.append((name, error))
    )
    background.start()
    await enough.wait()
    while runs["bad"] < 2:
        await asyncio.sleep(0)
    await background.stop()
    assert [name for name, _ in told] == ["bad"]


async def test_a_run_under_way_is_finished_before_the_end():
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work():
        begun.set()
        await asyncio.sleep(0.02)
        ended.set()

    background = Background([Task("work", 60.0, work)], stumbled=lambda _name, _error: None)
    background.start()
    await begun.wait()
    await background.stop()
    assert ended.is_set()


async def test_stop_without_start():
    await Background([], stumbled=lambda _name, _error: None).stop()

"""The thread that does one thing after the other."""

from __future__ import annotations

import functools
import os
import threading

import pytest

from mintwarden.store.sqlite.thread import DedicatedThread


async def test_calls_run_in_order_and_a_failure_is_the_callers_alone():
    thread = DedicatedThread(name="test")
    order: list[int] = []
    calls = [thread.run(functools.partial(order.append, number)) for number in range(3)]
    failing = thread.run(lambda: 1 // 0)
    for call in calls:
        await call
    with pytest.raises(ZeroDivisionError):
        await failing
    assert await thread.run(lambda: tuple(order)) == (0, 1, 2)
    await thread.stop()


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="explained: a call of Linux")
async def test_it_stands_behind_nobody():
    """A commit waits for whatever this thread waits for (`docs/adr/0007-hot-path.md`)."""
    thread = DedicatedThread(name="test")
    policy = await thread.run(lambda: os.sched_getscheduler(threading.get_native_id()))
    await thread.stop()
    assert policy == os.sched_getscheduler(threading.get_native_id())

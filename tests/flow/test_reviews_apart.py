"""The process of a review: how far it stands behind what issues tokens, its bounds, and that nothing of it remains."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop
from joserfc.jwk import ECKey
from msgspec.structs import replace

from mintwarden.app.config import Config, ReviewsConfig, load_config
from mintwarden.app.reviews import begin
from mintwarden.app.reviews.apart import MAX_RESULT, Came, NotDone, Order, begun, run_apart
from tests.flow.company import furnish, write_company
from tests.flow.process import children, gone

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="explained: processes are looked at as Linux shows them"
)

NOTHING = Order(
    config=Config(reviews=ReviewsConfig(priority="normal")), kind="prove", asked=msgspec.Raw(b"{}"), memory=1 << 31
)
"""For programs that do not read it."""
WITH_A_CHILD = """
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdout=subprocess.DEVNULL)
print('{"done": %d, "of": %d}' % (os.getpid(), child.pid), flush=True)
"""


def program(text: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-c", f"import sys, time, os\nsys.stdin.buffer.readline()\n{text}", *arguments)


async def ran(order: Order, *, seconds: float = 60.0, **more: Any) -> Came:
    return await run_apart(order, lambda _done, _of: None, seconds=seconds, **more)


Running = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Running:
    """The event loop of the service, and that of a system that has no other."""

    def run(what: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(what)

    return run


@pytest.fixture
async def company(tmp_path: Path) -> Order:
    """To prove what the company asserts."""
    config = write_company(tmp_path, ECKey.generate_key("P-256"), ECKey.generate_key("P-256"))
    await furnish(config)
    return replace(NOTHING, config=load_config(config, environ={}), asked=msgspec.Raw(b'{"version": "active"}'))


def standing(pid: int) -> tuple[int, int]:
    """By which scheduler, and how far behind, as Linux shows it."""
    return os.sched_getscheduler(pid), os.getpriority(os.PRIO_PROCESS, pid)


@pytest.mark.parametrize(("priority", "behind"), [("idle", 0), ("low", 15), ("normal", 0)])
def test_where_it_stands(loop, priority, behind):
    """A group of its own, to be ended by; the session of the service, so that Linux gives it no share as a stranger.

    It is looked at from outside: one that is idle may not come to say anything on a machine that is busy with tests.
    """
    order = replace(NOTHING, config=Config(reviews=ReviewsConfig(priority=priority)))
    scheduler, nice = standing(0)
    wanted = (os.SCHED_IDLE if priority == "idle" else scheduler, min(nice + behind, 19))

    async def look() -> None:
        others = set(children(os.getpid()))
        review = asyncio.create_task(ran(order, command=program("time.sleep(600)")))
        async with asyncio.timeout(30):
            while not (begun := set(children(os.getpid())) - others):
                await asyncio.sleep(0.01)
            [pid] = begun
            while os.getpgid(pid) != pid or standing(pid) != wanted:
                await asyncio.sleep(0.01)
        assert os.getsid(pid) == os.getsid(0)
        review.cancel()
        with pytest.raises(asyncio.CancelledError):
            await review
        await gone(pid)

    loop(look())


def test_what_it_starts_stands_there_too():
    text = "import os; print(os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))"
    program = (sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {text!r}])")
    told = subprocess.run(begun(program, ReviewsConfig(priority="low")), capture_output=True, check=True, text=True)
    scheduler, nice = standing(0)
    assert told.stdout.split() == [str(scheduler), str(min(nice + 15, 19))]


def test_it_has_what_nobody_else_wants_unless_somebody_says_otherwise():
    assert ReviewsConfig().priority == "idle"


@pytest.mark.parametrize("lacking", ["del os.sched_setscheduler", "os.sched_setscheduler = lambda *_: os.listdir('')"])
def test_where_nothing_is_lower_than_nice(lacking):
    """Other systems do not have the call, and a container may forbid it."""
    text = (
        f"import os, runpy\n{lacking}\nrunpy.run_path({begin.__file__!r})['give_way']('idle')\n"
        "print(os.nice(0), os.sched_getscheduler(0))"
    )
    said = subprocess.run([sys.executable, "-c", text], capture_output=True, check=True, text=True)
    assert said.stdout.split() == ["19", str(os.sched_getscheduler(0))]


def test_an_unknown_priority_begins_nothing(tmp_path):
    place = tmp_path / "begun"
    command = (
        sys.executable,
        "-I",
        "-S",
        begin.__file__,
        "highest",
        sys.executable,
        "-c",
        f"open({str(place)!r}, 'w')",
    )
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
    assert not place.exists()


async def test_an_unknown_version_is_told(company):
    digest = "sha256:" + "0" * 64
    asked = msgspec.Raw(msgspec.json.encode({"version": digest}))
    with pytest.raises(NotDone, match=f"there is no version `{digest}`"):
        await ran(replace(company, asked=asked))


def test_what_is_cancelled_is_ended_with_all_that_it_started(loop):
    async def cancel() -> None:
        pids: list[int] = []
        begun = asyncio.Event()

        def hear(*told: int) -> None:
            pids.extend(told)
            begun.set()

        command = program(f"{WITH_A_CHILD}time.sleep(600)")
        task = asyncio.create_task(run_apart(NOTHING, hear, seconds=600, command=command))
        await asyncio.wait_for(begun.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await gone(*pids)

    loop(cancel())


def test_what_has_hardly_begun_is_ended(loop):
    """Before it has a group of its own, too."""

    async def end() -> None:
        with pytest.raises(NotDone, match="it took longer than 0s"):
            await asyncio.wait_for(ran(NOTHING, seconds=0.0, command=program("time.sleep(600)")), 30)

    loop(end())


async def test_what_outlives_its_review_is_ended():
    pids: list[int] = []
    with pytest.raises(NotDone, match="its process ended before its time"):
        command = program(f"{WITH_A_CHILD}sys.stdout.flush()\nos._exit(9)")
        await run_apart(NOTHING, lambda *told: pids.extend(told), seconds=60, command=command)
    await gone(*pids)
    assert len(pids) == 2


@pytest.mark.parametrize(
    ("priority", "hint"),
    [
        ("idle", "ask for less at once; on a busy machine it has what is left: see `reviews.priority`"),
        ("low", "ask for less at once; on a busy machine it has what is left: see `reviews.priority`"),
        ("normal", "ask for less at once, or see `reviews.timeout`"),
    ],
)
async def test_what_takes_too_long_says_what_to_do(priority, hint):
    order = replace(NOTHING, config=Config(reviews=ReviewsConfig(priority=priority)))
    with pytest.raises(NotDone, match="it took longer than 0s") as told:
        await ran(order, seconds=0.01, command=program("time.sleep(600)"))
    assert told.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("os._exit(9)", "its process ended before its time"),
        ("print('nonsense', flush=True)", "its process ended before its time"),
        ("print('x' * 200000, flush=True)", "its process ended before its time"),
        (f"print('{{\"size\": {MAX_RESULT + 1}}}', flush=True)", "what came of it is larger than 8 MiB"),
        ("print('{\"size\": 10}\\n{', flush=True)", "its process ended before its time"),
        ("os.abort()", "its process ended before its time"),
    ],
)
async def test_a_process_that_ends_otherwise_is_a_failure(text, said):
    with pytest.raises(NotDone, match=said):
        await ran(NOTHING, command=program(text))


async def test_what_needs_too_much_memory_is_a_failure(company):
    with pytest.raises(NotDone, match=r"memory|before its time"):
        await ran(replace(company, memory=64 << 20))


async def test_it_ends_with_its_service():
    """The service is gone as soon as its end of the pipe is: then nothing of a review goes on."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c",
        "import sys, threading, time\n"
        "from mintwarden.app.reviews.process import end_with\n"
        "threading.Thread(target=end_with, args=(sys.stdin.buffer,), daemon=True).start()\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, process_group=0,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    await asyncio.wait_for(child.stdout.readline(), 30)
    child.stdin.close()
    assert await asyncio.wait_for(child.wait(), 30) == -9

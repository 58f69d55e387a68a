"""What each step costs: `python -m bench.steps CONFIG REQUESTS COUNT`, in a process of its own.

The same parts that serve, over another client and other facts every time; a step at a time over a few hundred
requests, so that its time can be told from the next one's. Prints JSON: microseconds of CPU per request by step.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import uvloop

from bench.company import SCOPES
from bench.inline import Inline, Wire, opened, read_wire, together
from mintwarden.app.server import COLLECT

GROUP = 24
"""How many requests are under way at once: about the commit batch of a busy server."""

BUILD, RECORD = "7 record: build and seal the entry", "7 record: commit, durable"
PART = 20 * GROUP
WARM_PARTS = 5


class Stopwatch:
    """Processor time of each step by name: all threads, user and kernel."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def each(self, name: str, count: int, function: Callable[[int], Any]) -> list[Any]:
        """Time a step that waits for nothing."""
        begun = time.process_time()
        results = [function(index) for index in range(count)]
        self._note(name, begun)
        return results

    async def grouped(self, name: str, count: int, function: Callable[[int], Awaitable[Any]]) -> list[Any]:
        """Time a step that shares its I/O with the requests of the same moment."""
        begun = time.process_time()
        results = await together(count, GROUP, function)
        self._note(name, begun)
        return results

    def _note(self, name: str, begun: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - begun


async def measure_steps(config: Path, wires: Sequence[Wire]) -> dict[str, float]:
    """Microseconds of CPU per request and step; the deployment's server must not run."""
    async with opened(config) as line:
        gc.collect()
        gc.freeze()  # as the server does
        gc.set_threshold(*COLLECT)
        watch = Stopwatch()
        parts = [wires[start : start + PART] for start in range(0, len(wires), PART)]
        for number, part in enumerate(parts):
            if number == WARM_PARTS:
                watch = Stopwatch()
            await _walk(line, part, watch)
        measured = sum(len(part) for part in parts[WARM_PARTS:])
    watch.seconds[RECORD] -= watch.seconds[BUILD]  # it builds them again
    return {name: round(seconds / measured * 1e6, 1) for name, seconds in watch.seconds.items()}


async def _walk(line: Inline, part: Sequence[Wire], watch: Stopwatch) -> None:
    count = len(part)
    requests = watch.each("1 parse the form", count, lambda i: line.parse(part[i]))
    callers = await watch.grouped("2 authenticate", count, lambda i: line.authenticate(requests[i]))
    asked = watch.each("3 resolve the grant", count, lambda i: line.resolve(requests[i], callers[i]))
    assembled = await watch.grouped("4 assemble facts", count, lambda i: line.assemble(asked[i], callers[i]))
    ids = [line.new_id() for _ in part]
    decided = watch.each("5 decide", count, lambda i: line.decide(callers[i], asked[i], assembled[i], ids[i]))
    if any(len(one.decision.granted_scopes) != len(SCOPES) for one in decided):
        raise SystemExit("bench: not every scope was granted")
    made = watch.each("6 prepare", count, lambda i: line.prepare(decided[i]))
    await watch.grouped(BUILD, count, lambda i: line.record(decided[i], made[i], durable=False))
    receipts = await watch.grouped(RECORD, count, lambda i: line.record(decided[i], made[i]))
    await watch.grouped("8 sign", count, lambda i: line.sign(made[i], receipts[i]))


def main() -> int:
    """The command."""
    config, requests, count = sys.argv[1:]
    wires = list(itertools.islice(read_wire(Path(requests)), int(count)))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure_steps(Path(config), wires))))
    return 0


if __name__ == "__main__":
    sys.exit(main())

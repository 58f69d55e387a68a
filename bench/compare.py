"""Measures servers in turns: A B A B ..., so that whatever the machine does meanwhile hits each of them alike."""

from __future__ import annotations

import copy
import statistics
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.load import Run, drive
from bench.plan import Plan
from bench.process import Turns, cpu_seconds
from bench.servers import Site, changing_facts, metric, ours, peer

CHANGES = 50
"""Changes of facts per second, beside the requests."""

BATCH = "mintwarden_ledger_batch_entries"


class Contender:
    """A server that takes its turns: it runs, with its companions, only while it is measured.

    `batches` gives the commits and the entries of our own server so far.
    """

    def __init__(
        self,
        name: str,
        *,
        url: str,
        requests: Path,
        process: subprocess.Popen[bytes],
        companions: Sequence[subprocess.Popen[bytes]] = (),
        batches: Callable[[], tuple[float, float]] | None = None,
    ) -> None:
        self.name = name
        self.process = process
        self.turns = Turns(process, *companions)
        self.url = url
        self.requests = requests
        self._batches = batches
        self.position = 0

    def sending(self, name: str, requests: Path) -> Contender:
        """The same server under another name, with other requests."""
        other = copy.copy(self)
        other.name, other.requests, other.position = name, requests, 0
        return other

    def run(self, *, seconds: int, connections: int, close: bool = False) -> Measured:
        """Send the next requests for `seconds`; with `close`, each over a connection of its own."""
        with self.turns.running():
            batches = self._batches() if self._batches else (0.0, 0.0)
            used = cpu_seconds(self.process.pid)
            run = drive(
                self.url,
                self.requests,
                seconds=seconds,
                connections=connections,
                first=self.position,
                close=close,
            )
            used = cpu_seconds(self.process.pid) - used
            after = self._batches() if self._batches else (0.0, 0.0)
        self.position = run.position
        commits, entries = after[0] - batches[0], after[1] - batches[1]
        cpu_us = used / max(run.requests, 1) * 1e6  # on a machine that is far too busy, a second may pass without one
        return Measured(run=run, cpu_us=cpu_us, batch=entries / commits if commits else None)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run, and what the server's process used for each of its requests."""

    run: Run
    cpu_us: float
    batch: float | None


def compare(
    contenders: Sequence[Contender], plan: Plan, *, connections: int, close: bool = False
) -> dict[str, dict[str, Any]]:
    """The figures of each contender, by name, of runs that take turns after a warm-up of each."""
    for contender in contenders:
        plan.tell(f"{contender.name}, {connections} connections: warming up")
        contender.run(seconds=plan.warm, connections=connections, close=close)
    found: dict[str, list[Measured]] = {contender.name: [] for contender in contenders}
    for number in range(plan.runs):
        for contender in contenders:
            contender.run(seconds=1, connections=connections, close=close)  # the core's caches are the other's
            measured = contender.run(seconds=plan.seconds, connections=connections, close=close)
            found[contender.name].append(measured)
            plan.tell(
                f"{contender.name}, {connections} connections: run {number + 1}/{plan.runs}: "
                f"{measured.run.rate:,.0f}/s, {measured.cpu_us:.0f} µs of CPU each"
            )
    return {name: summary(runs) for name, runs in found.items()}


def summary(runs: Sequence[Measured]) -> dict[str, Any]:
    """The median run with its latencies, the median of CPU per request, and every run's figures."""
    middle = sorted(runs, key=lambda measured: measured.run.rate)[(len(runs) - 1) // 2].run
    batches = [measured.batch for measured in runs if measured.batch is not None]
    found: dict[str, Any] = {
        "rate": round(statistics.median(measured.run.rate for measured in runs)),
        "p50_ms": round(middle.p50, 2),
        "p99_ms": round(middle.p99, 2),
        "cpu_us": round(statistics.median(measured.cpu_us for measured in runs), 1),
        "rates": [round(measured.run.rate) for measured in runs],
        "cpus_us": [round(measured.cpu_us, 1) for measured in runs],
    }
    if batches:
        found["batch"] = round(statistics.median(batches), 1)
    return found


def ratio(first: dict[str, Any], second: dict[str, Any]) -> dict[str, float]:
    """How many times as many tokens `first` makes as `second`: in the same time, and for the same CPU."""
    return {
        "rate": round(first["rate"] / second["rate"], 3),
        "cpu": round(second["cpu_us"] / first["cpu_us"], 3),
    }


def enter_ours(
    stack: ExitStack, name: str, *, site: Site, config: Path, requests: Path, url: str | None = None
) -> Contender:
    """Our server with its writer, started and waiting for its turn until `stack` is left.

    `url` is where the requests go, where that is not the token endpoint.
    """
    process = stack.enter_context(ours(config, site))
    writer = stack.enter_context(changing_facts(config, site, CHANGES))

    def batches() -> tuple[float, float]:
        return metric(site, f"{BATCH}_count"), metric(site, f"{BATCH}_sum")

    contender = Contender(
        name, url=url or site.token_url, requests=requests, process=process, companions=(writer,), batches=batches
    )
    contender.turns.pause()
    return contender


def enter_peer(stack: ExitStack, *, site: Site, requests: Path, url: str | None = None) -> Contender:
    """oidc-provider, started and waiting for its turn until `stack` is left."""
    process = stack.enter_context(peer(site))
    contender = Contender("oidc-provider", url=url or site.peer_url, requests=requests, process=process)
    contender.turns.pause()
    return contender

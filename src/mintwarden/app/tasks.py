"""What the service does beside its requests, and how often."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from typing import Protocol

from mintwarden.app.acting import versions_of
from mintwarden.app.background import Task
from mintwarden.app.excepting import Excepting
from mintwarden.app.foundation import SELF, Foundation
from mintwarden.app.governing import Governing
from mintwarden.app.indexing import Indexing
from mintwarden.app.sequencing import Sequencing
from mintwarden.app.status import marking
from mintwarden.app.telemetry import Telemetry
from mintwarden.govern.modes import Modes
from mintwarden.issue.line import Line
from mintwarden.web.admit import Gate

ACTIVATION_SECONDS = 30.0

CLAIMS_KEPT = 15 * 60_000
"""Milliseconds that a claim outlives its proof: a clock that ran ahead so far and came back allows no replay."""

PURGES = 1000
IDLE = 8
"""Requests at work up to which a process has time for what can wait."""


class Runs(Protocol):
    """Something that is done again and again."""

    async def run(self) -> None:
        """Once more."""
        ...


def tasks_of(
    base: Foundation,
    telemetry: Telemetry,
    sequencing: Sequencing,
    gates: tuple[Gate, Gate],
    line: Line,
    governing: Governing,
    excepting: Excepting,
    telling: Mapping[str, Runs],
) -> tuple[Task, ...]:
    """Everything of the kind, for one process; `telling` sends notices and fetches them, by what they are about."""
    known, (gate, reads) = -1, gates
    indexing = Indexing(base, busy=lambda: gate.in_flight > IDLE)

    async def follow() -> None:
        nonlocal known
        epoch = await base.store.epoch()
        if epoch != known:
            await line.refresh(epoch)
            known = epoch

    async def keys() -> None:
        present = governing.current.base
        await present.record_key_changes(await present.keeper.tick(base.clock.now()), by=SELF)
        await present.recover_key_changes()

    minding = Modes(
        recorder=base.recorder,
        entries=base.store.entries,
        leases=base.store.leases,
        holder=base.holder,
        told=telemetry.watch,
    )

    async def modes() -> None:
        await minding.tend(governing.current.bundle, base.clock.now())

    async def purge() -> None:
        await purge_claims(base)

    async def sweep() -> None:
        gate.sweep()
        reads.sweep()

    async def flush() -> None:
        await asyncio.to_thread(telemetry.logs.writer.flush)

    async def measure() -> None:
        telemetry.metrics.settle()
        telemetry.metrics.set("mintwarden_requests_arriving", gate.arriving)
        telemetry.metrics.set("mintwarden_requests_in_flight", gate.in_flight)
        telemetry.metrics.set("mintwarden_requests_waiting", gate.waiting)
        telemetry.metrics.set("mintwarden_reads_waiting", reads.waiting)
        telemetry.metrics.set("mintwarden_tree_size", sequencing.size)
        telemetry.metrics.set("mintwarden_sequencer_quiet_seconds", sequencing.quiet_for)
        telemetry.metrics.set("mintwarden_index_behind", indexing.behind)

    return (
        Task("sequencer", base.config.ledger.checkpoint_interval, sequencing.run),
        Task("follow", 1.0, follow),
        Task("exceptions", 1.0, functools.partial(excepting.tend, governing)),
        Task("modes", 1.0, modes),
        Task("status", 1.0, marking(base, lambda: governing.current.base)),
        Task("keys", 60.0, keys),
        Task("purge", 60.0, purge),
        Task("index", 1.0, indexing.run),
        *(Task(name, 1.0, one.run) for name, one in telling.items()),
        Task("versions", 2.0, governing.preload),
        Task("emergency", 1.0, functools.partial(end_emergency, base, governing)),
        Task("replaced", 10.0, governing.let_go),
        Task("deadlines", 0.25, sweep),
        Task("logs", 0.1, flush),
        Task("gauges", 2.0, measure),
    )


async def purge_claims(base: Foundation) -> None:
    """Forget claims on proofs that have long run out, a few thousand at a time, so that nobody waits for it."""
    for _ in range(PURGES):
        if not await base.store.purge(base.clock.now() - CLAIMS_KEPT):
            return


async def end_emergency(base: Foundation, governing: Governing) -> None:
    """Record that an emergency version's time is over; of several nodes one does. None decides under it by then."""
    emergency = governing.emergency
    if emergency is None or emergency.until is None or base.clock.now() < emergency.until:
        return
    if await base.store.leases.acquire("policy-return", base.holder, ACTIVATION_SECONDS):
        await versions_of(base).lapse(base.clock.now())

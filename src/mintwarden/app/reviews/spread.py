"""Scenarios and mutants by several processes, each of which makes the bundle from the same texts."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.review.mutants import Trial, mutants_in
from mintwarden.review.scenarios import ScenarioResult, run_scenarios
from mintwarden.review.watch import watch_scenarios

MAX_WORKERS = 64
PAYS = 2_000
"""Scenarios and mutants together from which on processes are worth their start, which takes a second or two each."""
CHUNK = 50

T = TypeVar("T")


def workers_of(given: int, *, pays: bool = True) -> int:
    """How many processes work: as many as are given; without, as many as there are processors where that pays.

    Raises `CONFIG` for what is no number of them.
    """
    if not 0 <= given <= MAX_WORKERS:
        raise MintwardenError(ErrorKind.CONFIG, f"`--workers {given}` is not a number of processes", hint="try 2")
    there = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return given or (min(MAX_WORKERS, there) if pays else 1)


class Spread:
    """Processes that do parts of one bundle's test. Raises `UNAVAILABLE` when one of them is gone."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def scenarios(self, count: int) -> tuple[ScenarioResult, ...]:
        """As `run_scenarios`, of a bundle that has so many."""
        return tuple(self._all(_scenarios, count, lambda _done: None))

    def killers(self, count: int, progress: Callable[[int], None]) -> Sequence[str]:
        """Who kills each of so many mutants, in their order; `progress` hears how many were tried."""
        return list(self._all(_killers, count, progress))

    def _all(self, part: Callable[[int, int], Sequence[T]], count: int, progress: Callable[[int], None]) -> Iterator[T]:
        starts = range(0, count, CHUNK)
        try:
            for start, found in zip(
                starts, self._pool.map(part, starts, [min(start + CHUNK, count) for start in starts]), strict=True
            ):
                progress(start + len(found))
                yield from found
        except BrokenProcessPool as error:
            what = "a worker ended before its time"
            raise MintwardenError(ErrorKind.UNAVAILABLE, what, hint="try again with fewer workers") from error


@contextlib.contextmanager
def spread(texts: Mapping[str, str], workers: int) -> Iterator[Spread]:
    """So many processes for the bundle in `texts`."""
    # Spawned, not forked: whatever threads this process has would be torn apart.
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(dict(texts),)) as pool:
        try:
            yield Spread(pool)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_bundle: list[Bundle] = []
"""This process's bundle, if it is one that works for another."""
_trial: list[Trial] = []


def _start(texts: Mapping[str, str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever waits for us decides
    _bundle[:] = [build_bundle(texts)]


def _scenarios(start: int, end: int) -> Sequence[ScenarioResult]:
    bundle = _bundle[0]
    return run_scenarios(bundle, bundle.scenarios[start:end])


def _killers(start: int, end: int) -> Sequence[str]:
    bundle = _bundle[0]
    if not _trial:
        _trial.append(Trial(bundle, tuple(watch_scenarios(bundle))))
    return [_trial[0].killer(mutant) for mutant in mutants_in(bundle)[start:end]]

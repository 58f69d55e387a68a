"""Replays the ledger with as many processes as there are processors, each with a store of its own, range by range."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import secrets
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import msgspec
from msgspec import Struct

from mintwarden.ledger.seal import Sealer
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.bundle.problem import BundleRefused
from mintwarden.review.hypothesis import Hypothesis
from mintwarden.review.impact.state import State
from mintwarden.review.impact.tally import Tally
from mintwarden.review.impact.walk import Filters, walk
from mintwarden.review.replay import Replayer, SigningKey
from mintwarden.store import Store, open_store

Texts = Mapping[str, str]
"""A bundle's files by path: workers build the bundle from what was read once, whatever happens to the folder."""


class Work(Struct, frozen=True, kw_only=True):
    """Everything that a worker needs to know.

    Attributes:
        store: the store's URL.
        secret: the ledger's secret, that opens what is sealed. INVARIANT: handed over in memory, never written down.
        candidate: the bundle to decide under.
        others: the bundles that may have decided, by digest; each is built when it is first needed.
        keys: public names of the signing keys.
    """

    store: str
    secret: bytes
    candidate: Texts
    others: Mapping[str, Texts]
    keys: tuple[SigningKey, ...]
    filters: Filters
    hypothesis: Hypothesis


def replayer_of(work: Work) -> Replayer:
    """The replayer of `work`."""

    def find(digest: str) -> Bundle | None:
        texts = work.others.get(digest)
        try:
            bundle = None if texts is None else build_bundle(texts)
        except BundleRefused:  # of a time when more was allowed
            return None
        # INVARIANT: what a store holds under a digest is believed only if it has that digest.
        return bundle if bundle is not None and bundle.digest == digest else None

    return Replayer(
        build_bundle(work.candidate),
        find,
        sealer=Sealer(secret=work.secret, random_bytes=secrets.token_bytes),
        keys=work.keys,
        hypothesis=work.hypothesis,
    )


def run_ranges(
    work: Work, state: State, *, workers: int, each: Callable[[State], None], replayer: Replayer | None = None
) -> None:
    """Replay what is left of `state` and put it there; `each` hears of every range, after it was counted.

    With one worker it happens in this process, by `replayer` if there is one. Raises what the store raises, and
    `MintwardenError(UNAVAILABLE)` when a worker is gone.
    """
    if workers == 1:
        _run_here(work, state, each, replayer)
    else:
        _run_apart(work, state, workers, each)


def _run_here(work: Work, state: State, each: Callable[[State], None], replayer: Replayer | None) -> None:
    worker = _Worker(work, replayer)
    try:
        for start, end in list(state.left()):
            state.add(start, end, worker.walk(start, end))
            each(state)
    finally:
        worker.close()


def _run_apart(work: Work, state: State, workers: int, each: Callable[[State], None]) -> None:
    # Spawned, not forked: an open store has threads and locks that a fork would tear apart.
    context = multiprocessing.get_context("spawn")
    ranges = state.left()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(work,)) as pool:
        under_way: dict[Future[bytes], tuple[int, int]] = {}
        try:
            # Twice as many as there are workers: none waits, and no more results than that are ever held.
            _submit(pool, ranges, under_way, 2 * workers)
            while under_way:
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    start, end = under_way.pop(future)
                    state.add(start, end, msgspec.msgpack.decode(future.result(), type=_Answer).take())
                    each(state)
                    _submit(pool, ranges, under_way, 1)
        except BrokenProcessPool as error:
            raise MintwardenError(
                ErrorKind.UNAVAILABLE,
                "a worker ended before its time",
                hint="try again with `--resume`, or fewer workers",
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _submit(
    pool: ProcessPoolExecutor, ranges: Iterator[tuple[int, int]], under_way: dict[Future[bytes], Any], count: int
) -> None:
    for _, (start, end) in zip(range(count), ranges, strict=False):
        under_way[pool.submit(_walk, start, end)] = start, end


class _Answer(Struct):
    """What a worker sends back: a tally, or an error, whose class does not travel."""

    tally: Tally | None = None
    kind: str = ""
    public: str = ""
    hint: str = ""

    def take(self) -> Tally:
        """The tally; raises the error."""
        if self.tally is None:
            raise MintwardenError(ErrorKind(self.kind), self.public, hint=self.hint)
        return self.tally


class _Worker:
    """A store, opened to read, and a replayer; one event loop for all of its ranges."""

    def __init__(self, work: Work, replayer: Replayer | None = None) -> None:
        self._filters = work.filters
        self._replayer = replayer or replayer_of(work)
        self._runner = asyncio.Runner()
        self._store: Store = self._runner.run(open_store(work.store, read_only=True))

    def walk(self, start: int, end: int) -> Tally:
        store = self._store
        return self._runner.run(
            walk(
                start,
                end,
                entries=store.entries,
                keys=store.subject_keys,
                replayer=self._replayer,
                filters=self._filters,
            )
        )

    def close(self) -> None:
        self._runner.run(self._store.close())
        self._runner.close()


_worker: _Worker | None = None


def _start(work: Work) -> None:
    """In each worker, once."""
    global _worker  # noqa: PLW0603 - a process of the pool has no other place
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal interrupts everyone; whoever waits for us decides
    _worker = _Worker(work)
    # Bundles stay; nothing that a decision makes holds itself in a circle.
    gc.collect()
    gc.freeze()
    gc.disable()


def _walk(start: int, end: int) -> bytes:
    if _worker is None:
        raise RuntimeError("the worker was not started")
    try:
        answer = _Answer(_worker.walk(start, end))
    except MintwardenError as error:
        answer = _Answer(None, error.kind.value, error.public, error.hint)
    gc.collect(0)
    return msgspec.msgpack.encode(answer)

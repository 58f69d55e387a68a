"""The process that does one review: `python -m mintwarden.app.reviews.process`, started by the service alone."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
import traceback
from typing import BinaryIO

import msgspec

from mintwarden.app.reviews.apart import MAX_RESULT, Order, Word
from mintwarden.model.errors import ErrorKind, MintwardenError

PAUSE = 0.5
"""Seconds between two words about progress."""
TOLD = (
    ErrorKind.INVALID_REQUEST, ErrorKind.NOT_FOUND, ErrorKind.CONFLICT, ErrorKind.TOO_LARGE, ErrorKind.BUNDLE,
)  # fmt: skip
"""Errors that whoever asked is told of: they are about what was asked for."""


def main() -> int:
    """Read an order, do it, tell what came of it."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    source = sys.stdin.buffer
    order = msgspec.json.decode(source.read(int(source.readline())), type=Order)
    threading.Thread(target=end_with, args=(source,), daemon=True).start()
    confine(order.memory)
    _tell(out, *_done(order, _Telling(out)))
    return 0


def end_with(source: BinaryIO) -> None:
    """INVARIANT: nothing of a review outlives the service that asked for it."""
    source.read()
    os.killpg(0, signal.SIGKILL)


def confine(memory: int) -> None:
    """Stay within so many bytes of address space, and leave nothing of it in a file."""
    try:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        return  # a system that bounds no address space


class _Telling:
    """Tells how far it is, now and then."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._next = 0.0

    def __call__(self, done: int, of: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + PAUSE
            _tell(self._out, Word(done=done, of=of))


def _done(order: Order, progress: _Telling) -> tuple[Word, bytes]:
    try:
        # What it needs is much, and counts against its memory.
        from mintwarden.app.reviews.work import work  # noqa: PLC0415

        ok, found = work(order.config, order.kind, order.asked, progress)
        if len(found) > MAX_RESULT:
            what = f"what came of it is larger than {MAX_RESULT >> 20} MiB"
            return Word(failure=what, hint="ask for less at once", told=True), b""
        return Word(size=len(found), ok=ok), found
    except MintwardenError as error:
        told = error.kind in TOLD
        return Word(kind=error.kind.value, failure=error.public[:1000], hint=error.hint[:1000], told=told), b""
    except MemoryError:
        return Word(failure="it needs more memory than it may have", hint="ask for less at once", told=True), b""
    except BaseException as error:  # noqa: BLE001 - whatever it was, the service hears of it
        frames = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        return Word(kind="internal", failure=type(error).__name__, hint=" ".join(frames[-6:])), b""


def _tell(out: BinaryIO, word: Word, found: bytes = b"") -> None:
    out.write(msgspec.json.encode(word) + b"\n" + found)
    out.flush()


if __name__ == "__main__":
    sys.exit(main())

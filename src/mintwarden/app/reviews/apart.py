"""A review in a process of its own, seen from the service: begun, listened to, and ended with everything it started.

The process gets its order on its standard input, which stays open: when the service is gone, it ends too. It answers
on its standard output: how far it is, line by line, then what came of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from mintwarden.app.config import Config, ReviewsConfig
from mintwarden.app.reviews import begin
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.durations import written

MODULE = "mintwarden.app.reviews.process"
COMMAND: tuple[str, ...] = (sys.executable, "-P", "-m", MODULE)
MAX_RESULT = 8 * 1024 * 1024
"""Bytes of what may come of a review."""
MAX_LINE = 64 * 1024

Progress = Callable[[int, int], None]
"""Hears how far it is, and how far that goes; 0 where nobody knows."""


class Order(Struct, frozen=True, kw_only=True):
    """What a process is to do. `memory` in bytes."""

    config: Config
    kind: str
    asked: msgspec.Raw
    memory: int


class Word(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the process: how far it is, or, in the last one, how it ended.

    Attributes:
        size: bytes of what came of it, which follow; None in a line about progress or a failure.
        kind, failure, hint: of the error, if it ended with one.
        told: the failure is for whoever asked; otherwise for the log.
    """

    done: int = 0
    of: int = 0
    size: int | None = None
    ok: bool | None = None
    kind: str = ""
    failure: str = ""
    hint: str = ""
    told: bool = False


class Came(Struct, frozen=True, kw_only=True):
    """What came of a review: `found` is a `Found`, encoded."""

    ok: bool | None
    found: bytes


class NotDone(MintwardenError):
    """The review failed, and whoever asked is told why."""

    def __init__(self, public: str, *, hint: str = "") -> None:
        super().__init__(ErrorKind.INVALID_REQUEST, public, hint=hint)


def begun(command: Sequence[str], config: ReviewsConfig) -> tuple[str, ...]:
    """The command that begins `command` as a review: see `begin`."""
    # Neither uvloop nor a fork in the midst of threads could do this without an interpreter between.
    return (sys.executable, "-I", "-S", begin.__file__, config.priority, *command)


async def run_apart(order: Order, progress: Progress, *, seconds: float, command: Sequence[str] = COMMAND) -> Came:
    """Do it, in at most so many seconds. Raises `NotDone`, and `INTERNAL` for what is nobody's business but ours.

    INVARIANT: when this returns or raises, also when it is cancelled, the process and whatever it started have ended.
    """
    config = order.config.reviews
    process = await asyncio.create_subprocess_exec(
        *begun(command, config),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=MAX_LINE,
    )
    try:
        async with asyncio.timeout(seconds):
            return await _heard(process, order, progress)
    except TimeoutError:
        raise NotDone(f"it took longer than {written(round(seconds))}", hint=_slow(config)) from None
    finally:
        _end(process)
        await process.wait()


def _slow(config: ReviewsConfig) -> str:
    if config.priority == "normal":
        return "ask for less at once, or see `reviews.timeout`"
    return "ask for less at once; on a busy machine it has what is left: see `reviews.priority` and `reviews.timeout`"


def _end(process: asyncio.subprocess.Process) -> None:
    # What it started may outlive it. Its number is nobody else's as long as somebody is in its group.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.returncode is None:  # it has not made its group yet, and started nothing
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def _heard(process: asyncio.subprocess.Process, order: Order, progress: Progress) -> Came:
    if process.stdin is None or process.stdout is None:
        raise MintwardenError(ErrorKind.INTERNAL, "the process has no pipes")
    data = msgspec.json.encode(order)
    with contextlib.suppress(ConnectionError):
        process.stdin.write(b"%d\n" % len(data) + data)
        await process.stdin.drain()
    while True:
        try:
            word = msgspec.json.decode(await process.stdout.readline(), type=Word)
            if word.failure:
                raise _failure(word)
            if word.size is None:
                progress(word.done, word.of)
                continue
            if word.size > MAX_RESULT:
                raise NotDone(f"what came of it is larger than {MAX_RESULT >> 20} MiB", hint="ask for less at once")
            return Came(ok=word.ok, found=await process.stdout.readexactly(word.size))
        except (msgspec.DecodeError, ValueError, asyncio.IncompleteReadError):
            raise NotDone(
                "its process ended before its time", hint="it may need more memory: see `reviews.memory`"
            ) from None


def _failure(word: Word) -> MintwardenError:
    if word.told:
        return NotDone(word.failure, hint=word.hint)
    return MintwardenError(ErrorKind.INTERNAL, word.failure, hint=word.hint)

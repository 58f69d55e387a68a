"""Our own command line, run as a user would run it: other processes, their output, their exit codes."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO

from msgspec import Struct

from mintwarden.model.errors import ErrorKind, MintwardenError

_PROGRAM = (sys.executable, "-m", "mintwarden")
START_TIMEOUT, STOP_TIMEOUT, COMMAND_TIMEOUT = 60.0, 25.0, 120.0


class Finished(Struct, frozen=True):
    """How a command ended."""

    words: tuple[str, ...]
    code: int
    output: str
    complaint: str


def command(*words: str, folder: Path) -> Finished:
    """Run `mintwarden <words>` in `folder` to its end."""
    done = subprocess.run(  # noqa: S603 - our own command line
        [*_PROGRAM, *words],
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=COMMAND_TIMEOUT,
        check=False,
    )
    return Finished(words, done.returncode, done.stdout, done.stderr)


@contextlib.contextmanager
def serving(
    config: Path, *, log: Path, overrides: Mapping[str, str] = MappingProxyType({})
) -> Iterator[subprocess.Popen[str]]:
    """`mintwarden serve` as a process of its own until the block is left; gives the process once it listens.

    `overrides` are environment variables that override keys of the configuration. Raises `UNAVAILABLE`, with the last
    lines of its log, when it does not come up.
    """
    with log.open("ab") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own command line
            [*_PROGRAM, "serve", "--config", config.name],
            cwd=config.parent,
            env={**_environment(), **overrides},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # a Ctrl-C is ours to hear; the server is told in order
        )
        try:
            _await_line(process, log)
            yield process
        finally:
            _stop(process)


def _await_line(process: subprocess.Popen[str], log: Path) -> None:
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None  # noqa: S101 - asked for above
    threading.Thread(target=_forward, args=(process.stdout, lines), daemon=True).start()
    try:
        line = lines.get(timeout=START_TIMEOUT)
    except queue.Empty:
        line = ""
    if not line.startswith("listening on"):
        shown = " ".join(last_lines(log, 3)) or "it said nothing"
        raise MintwardenError(ErrorKind.UNAVAILABLE, "the server did not start", hint=shown[-600:])


def _forward(stream: IO[str], lines: queue.Queue[str]) -> None:
    for line in stream:
        lines.put(line)
    lines.put("")


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def last_lines(path: Path, count: int) -> Sequence[str]:
    """The last lines of a text file, for a message about what went wrong."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
    except OSError:
        return ()


def _environment() -> dict[str, str]:
    """Ours, without overrides of a configuration that is not the demonstration's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MINTWARDEN_")}

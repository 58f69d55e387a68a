"""How the command line spells times, and shows that something takes a while."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from mintwarden.context.spelling import read_datetime
from mintwarden.model.errors import ErrorKind, MintwardenError


def moment(millis: int) -> str:
    """A time, `Millis`, in UTC to the second (RFC 3339)."""
    return datetime.fromtimestamp(millis // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment_if_any(millis: int | None) -> str | None:
    """`moment` of a time that there may not be."""
    return None if millis is None else moment(millis)


def millis_of(text: str) -> int:
    """`Millis` of a time that somebody wrote; raises `INVALID_REQUEST` for what is none."""
    try:
        return read_datetime(text).millis
    except ValueError:
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST, f"`{text}` is not a time", hint="write it as `2026-11-24T02:30:00Z`"
        ) from None


@contextlib.contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, when somebody is looking; called with how much is done and how much there is."""
    if not sys.stderr.isatty():
        yield lambda _at, _of: None
        return
    from rich.console import Console  # noqa: PLC0415 - loaded when it is shown
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda at, of: bar.update(task, completed=at, total=of)

"""Begins the process of a review: in a group of its own, behind what issues tokens; then it becomes its program.

A script, run by its path before anything else is imported: `python begin.py PRIORITY PROGRAM ARGUMENT...`. The group is
what ends with the review. The session stays that of the service: Linux shares the processor between sessions first
(autogroup), whatever stands behind whom within each.
"""

from __future__ import annotations

import contextlib
import os
import sys

LOW, LAST = 15, 19
"""By how much `nice` puts it behind."""


def give_way(priority: str) -> None:
    """Go behind everything that issues tokens, as far as `priority` says; whatever is started from here inherits it.

    `idle`: have what nobody else wants, by `SCHED_IDLE` of Linux; by `nice` where there is no such thing, or it is
    forbidden. `low`: by `nice`. `normal`: not at all. Raises `ValueError` for anything else.
    """
    match priority:
        case "idle":
            try:
                os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            except (AttributeError, OSError):
                _nice(LAST)
        case "low":
            _nice(LOW)
        case "normal":
            pass
        case _:
            raise ValueError(priority)


def _nice(by: int) -> None:
    with contextlib.suppress(OSError):
        os.nice(by)


def main(priority: str, *command: str) -> None:
    """Become `command`."""
    os.setpgid(0, 0)
    give_way(priority)
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(*sys.argv[1:])

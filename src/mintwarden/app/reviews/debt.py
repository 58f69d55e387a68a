"""Exceptions as debt, for `exception report` and for the administration API."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from mintwarden.app.excepting import exceptions_of
from mintwarden.app.exceptions_told import owed
from mintwarden.app.foundation import Foundation
from mintwarden.app.logs import when
from mintwarden.review.debt import Debt, report, tally

_TIMES = frozenset({"at", "last_used_at"})


async def debt_of(base: Foundation, progress: Callable[[int], None] = lambda _count: None) -> Debt:
    """The report over the whole ledger; `progress` hears how many entries were read."""
    known = await exceptions_of(base).all()
    counted = await tally(base.store.entries, progress)
    return report([owed(base, one) for one in known], counted, base.clock.now())


def as_json(debt: Debt) -> object:
    """The report for a machine: times as RFC 3339, ages in seconds; `docs/exceptions.md` lists the members."""
    return _spelled(msgspec.to_builtins(debt))


def _spelled(value: object) -> object:
    if isinstance(value, dict):
        return {name: (when(v) if v else None) if name in _TIMES else _spelled(v) for name, v in value.items()}
    return [_spelled(one) for one in value] if isinstance(value, list) else value

"""A ledger's store of changing moods, in the place of the real one's port."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec.structs import replace

from mintwarden.app.foundation import Foundation
from mintwarden.ledger.ports import PendingEntry, Rekey
from mintwarden.ledger.record import Recorder
from mintwarden.model.errors import ErrorKind, FatalLedgerError, MintwardenError
from tests.reliability.inside import CountingRing

Batch = Sequence[PendingEntry]
Fate = Callable[["Fateful", Batch], Awaitable[Any]]


class Fateful:
    """The store's appender, until it is told to do otherwise."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self.fate: Fate = keep
        self.asked = 0
        self.released = asyncio.Event()

    async def append(self, batch: Batch) -> Any:
        self.asked += 1
        return await self.fate(self, batch)


async def keep(where: Fateful, batch: Batch) -> Any:
    return await where.real.append(batch)


async def refuse(where: Fateful, batch: Batch) -> Any:
    raise MintwardenError(ErrorKind.UNAVAILABLE, "the store's disk is full")


async def break_down(where: Fateful, batch: Batch) -> Any:
    raise RuntimeError("nobody foresaw this")


async def vanish(where: Fateful, batch: Batch) -> Any:
    raise OSError(5, "input/output error")


async def keep_and_break(where: Fateful, batch: Batch) -> Any:
    """The commit is done; that it is, is not heard."""
    await where.real.append(batch)
    raise MintwardenError(ErrorKind.UNAVAILABLE, "the store does not answer")


async def hang(where: Fateful, batch: Batch) -> Any:
    """The store answers well, but not before everyone has given up."""
    await where.released.wait()
    return await where.real.append(batch)


async def answer_for_fewer(where: Fateful, batch: Batch) -> Any:
    return (await where.real.append(batch))[1:]


async def stop_for_good(where: Fateful, batch: Batch) -> Any:
    raise FatalLedgerError("the store answered what cannot be")


async def change_keys_forever(where: Fateful, batch: Batch) -> Any:
    return [Rekey(entry.key_id + 1, b"s" * 32) for entry in batch]


def fateful(base: Foundation) -> Foundation:
    appender = Fateful(base.store.entries)
    recorder = Recorder(appender=appender, sealer=base.sealer, issuer=base.issuer)
    return replace(base, recorder=recorder, ring=CountingRing(base.ring))

"""Invariant 2: no signature without a durable receipt, whatever the ledger's store does or fails to do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from mintwarden.app.foundation import Foundation
from mintwarden.ledger.ports import PendingEntry, Rekey
from mintwarden.ledger.record import Recorder
from mintwarden.model.errors import ErrorKind, FatalLedgerError, MintwardenError
from tests.reliability.deployment import site
from tests.reliability.inside import CountingRing, service
from tests.reliability.load import check_recorded, claims_of

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


FATES = [
    refuse,
    break_down,
    vanish,
    keep_and_break,
    hang,
    answer_for_fewer,
    stop_for_good,
    change_keys_forever,
]
FATAL = (answer_for_fewer, stop_for_good)


def fateful(base: Foundation) -> Foundation:
    appender = Fateful(base.store.entries)
    recorder = Recorder(appender=appender, sealer=base.sealer, issuer=base.issuer)
    return replace(base, recorder=recorder, ring=CountingRing(base.ring))


@pytest.mark.parametrize("fate", FATES)
async def test_2_no_token_leaves_without_a_durable_receipt(tmp_path: Path, fate: Fate) -> None:
    async with site(tmp_path) as where, service(where, fateful, server='request_timeout = "500ms"') as (company, base):
        ring: Any = base.ring
        appender: Any = base.recorder._appender
        await company.token("batch", grant_type="client_credentials")
        assert ring.signatures == 1
        appender.fate, asked = fate, appender.asked
        form = {"grant_type": "client_credentials"}
        answers = await asyncio.gather(*(company.ask("batch", **form) for _ in range(10)))
        assert {answer.status_code for answer in answers} == {503}
        assert not [answer for answer in answers if "token" in answer.text]
        appender.released.set()
        appender.fate = keep
        after = await company.ask("batch", **form)
        assert (after.status_code == 200) == (fate not in FATAL), after.text
        assert ring.signatures == (1 if fate in FATAL else 2)
        assert appender.asked > asked


async def test_2_whatever_was_signed_was_recorded_before(tmp_path: Path) -> None:
    """A store of changing moods: as many signatures as tokens that left, and each of them in the ledger."""
    chance = random.Random(2)
    moods: list[Fate] = [keep, keep, keep, refuse, break_down, vanish, keep_and_break, change_keys_forever]

    async def moody(where: Fateful, batch: Batch) -> Any:
        return await chance.choice(moods)(where, batch)

    async with site(tmp_path) as where, service(where, fateful) as (company, base):
        ring: Any = base.ring
        appender: Any = base.recorder._appender
        appender.fate = moody
        tokens: list[str] = []
        for _ in range(40):
            many = (company.ask("batch", grant_type="client_credentials") for _ in range(chance.randrange(1, 8)))
            for answer in await asyncio.gather(*many):
                assert answer.status_code in (200, 503), answer.text
                if answer.status_code == 200:
                    tokens.append(answer.json()["access_token"])
        appender.fate = keep
        assert ring.signatures == len(tokens) > 20
        assert len({claims_of(token)["jti"] for token in tokens}) == len(tokens)
        await check_recorded(base, tokens)

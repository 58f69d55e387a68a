"""Invariant 2: no signature without a durable receipt, whatever the ledger's store does or fails to do."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.deployment import site
from tests.reliability.fateful import (
    Batch,
    Fate,
    Fateful,
    answer_for_fewer,
    break_down,
    change_keys_forever,
    fateful,
    hang,
    keep,
    keep_and_break,
    refuse,
    stop_for_good,
    vanish,
)
from tests.reliability.inside import service
from tests.reliability.load import check_recorded, claims_of

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

"""Enforcing less comes to govern with the larger quorum, a reason and a limit alone, and what is done is recorded."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mintwarden.govern.standing import NotApproved
from mintwarden.govern.versions import Refused
from tests.conftest import START
from tests.unit.govern.policy import REASON, Office, office

HOUR = 3_600_000
FILE = "audiences/payments.toml"
MAPPING = '[legacy]\nstaff = ["payments:read"]\n'


def mode(name: str, more: str = "") -> tuple[tuple[str, str, str], ...]:
    """The changes that put the small bundle's audience into a mode."""
    return (FILE, "[claims]", f"{more}{MAPPING}[claims]"), (
        FILE,
        'owner = "Payments"\n',
        f'owner = "Payments"\nmode = "{name}"\n',
    )


def limit(millis: int) -> str:
    at = datetime.datetime.fromtimestamp(millis / 1000, datetime.UTC).isoformat()
    return f'[downgrade]\nreason = "PAY-9"\nuntil = "{at}"\n'


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Office]:
    async with office(tmp_path) as opened:
        await opened.first()
        yield opened


async def changes(desk: Office) -> list[dict[str, Any]]:
    found = [msgspec.json.decode(stored.entry) for stored in await desk.store.entries.by_index(0, 1000)]
    return [entry["detail"] for entry in found if entry["kind"] == "mode_change"]


async def test_enforcing_less_without_a_limit_never_governs(desk: Office) -> None:
    digest = await desk.hand_in(desk.texts(*mode("observe")), approvers=("Ann", "Bob", "Cem"))
    with pytest.raises(Refused, match="must say why and until when"):
        await desk.versions.activate(digest, by="op", now=desk.now)
    assert await changes(desk) == []


async def test_enforcing_less_takes_the_larger_quorum_and_is_recorded(desk: Office) -> None:
    texts = desk.texts(*mode("observe", limit(START + HOUR)))
    digest = await desk.hand_in(texts, approvers=("Ann",))
    with pytest.raises(NotApproved, match="higher: 2"):
        await desk.versions.activate(digest, by="op", now=desk.now)
    await desk.hand_in(texts, approvers=("Bob",))
    done = await desk.versions.activate(digest, by="op", now=desk.now)
    (change,) = await changes(desk)
    assert change == {
        "audience": "payments",
        "before": "enforce",
        "after": "observe",
        "downgrade": True,
        "until": START + HOUR,
        "returns": "enforce",
        "reason": "PAY-9",
        "bundle": digest,
        "number": done.number,
    }


async def test_a_limit_that_is_over_or_too_far_away_never_governs(desk: Office) -> None:
    for until, words in ((START - 1, "over before it begins"), (START + 25 * HOUR, "lasts longer than 1d")):
        digest = await desk.hand_in(desk.texts(*mode("observe", limit(until))), approvers=("Ann", "Bob"))
        with pytest.raises(Refused, match=words):
            await desk.versions.activate(digest, by="op", now=desk.now)


async def test_going_back_to_a_version_that_observed_is_no_way_round(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        observing = await desk.hand_in(desk.texts(*mode("observe")), approvers=("Ann", "Bob"))
        await desk.versions.activate(observing, by="op", now=desk.now)
        enforcing = await desk.hand_in(desk.texts(*mode("enforce")), approvers=("Ann", "Bob"))
        await desk.versions.activate(enforcing, by="op", now=desk.now)
        assert [(change["before"], change["after"]) for change in await changes(desk)] == [("observe", "enforce")]
        await desk.hand_in(desk.texts(*mode("observe")), approvers=("Ann", "Bob"), act="rollback")
        with pytest.raises(Refused, match="must say why and until when"):
            await desk.versions.rollback("", by="op", reason=REASON, now=desk.now)
        assert await desk.active() == enforcing


async def test_an_emergency_has_a_limit_of_its_own(desk: Office) -> None:
    digest = await desk.hand_in(desk.texts(*mode("observe")), approvers=("Ann",), act="break_glass")
    done = await desk.versions.break_glass(digest, by="op", reason=REASON, seconds=3600, now=desk.now)
    assert done.until == START + HOUR
    (change,) = await changes(desk)
    assert (change["before"], change["after"], change["downgrade"]) == ("enforce", "observe", True)

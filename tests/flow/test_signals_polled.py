"""A transmitter that does not push is polled (RFC 8936): what it tells counts as if it had pushed it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.flow.signalling import CAEP, CONFIG, RISC, SECRET
from tests.flow.test_signals_in import active, acts, tokens, told

POLLED = CONFIG + 'poll_interval = "1s"\n'


def polled(folder: Path, **changes: Any) -> Any:
    return told(folder, config=POLLED, delivery="poll", poll_endpoint="ssf/poll", **changes)


async def test_what_is_polled_counts_and_is_acknowledged(tmp_path: Path) -> None:
    async with polled(tmp_path) as (at, transmitter):
        given = await tokens(at)
        good = transmitter.signed(transmitter.claims(CAEP + "session-revoked"))
        other = transmitter.claims(
            RISC + "account-disabled", {"format": "iss_sub", "iss": "https://x.example", "sub": "a"}
        )
        many = [transmitter.signed(transmitter.claims("https://example.com/noise")) for _ in range(40)]
        transmitter.hold(good, transmitter.signed(other), *many)
        transmitter.held["mismatched"] = transmitter.signed(transmitter.claims(CAEP + "session-revoked"))
        await transmitter.gone()
        assert not await active(at, given)
        assert len(await acts(at)) == 1
        assert {name: fault["err"] for name, fault in transmitter.refused.items()} == {
            other["jti"]: "access_denied", "mismatched": "invalid_request",
        }  # fmt: skip
        heads, questions = [head for head, _ in transmitter.polls], [question for _, question in transmitter.polls]
        assert all(SECRET.encode() in head for head in heads)
        assert all(question["returnImmediately"] is True and question["maxEvents"] == 16 for question in questions)


async def test_what_could_not_be_judged_comes_again(tmp_path: Path) -> None:
    """While the transmitter's keys cannot be had, nothing is acknowledged."""
    async with polled(tmp_path) as (at, transmitter):
        given = await tokens(at)
        transmitter.metadata = {}
        transmitter.hold(transmitter.signed(transmitter.claims(CAEP + "session-revoked")))
        seen = len(transmitter.polls)
        await transmitter.asked(seen + 4)
        assert transmitter.times[-1] - transmitter.times[seen] > 1, "and is not asked for again and again at once"
        assert await active(at, given)
        assert all(not question["ack"] and "setErrs" not in question for _, question in transmitter.polls)
        assert transmitter.held


@pytest.mark.parametrize(
    "answer",
    [[], {"sets": {str(number): "x" for number in range(17)}}, {"sets": {"1": None}}],
    ids=["none", "many", "odd"],
)
async def test_an_answer_that_is_none_is_survived(answer: Any, tmp_path: Path) -> None:
    async with polled(tmp_path) as (at, transmitter):
        given = await tokens(at)
        transmitter.answers.append(answer)
        transmitter.hold(transmitter.signed(transmitter.claims(CAEP + "session-revoked")))
        await transmitter.gone()
        assert not await active(at, given)

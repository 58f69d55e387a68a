"""Delegation without a person: a program's own token, handed on by the API that it calls, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.flow.company import ACCESS_TOKEN, LEDGER, Company, running
from tests.flow.test_tokens_that_exist import NOTHING, OWN, revoke, told

RULES = """
@id("batch-books") @owner("Payments") @reason("the job looks at what it booked")
permit (principal == Workload::"batch", action == Action::"issue", resource == Scope::"ledger:read");
"""


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Company]:
    async with running(tmp_path, rules=RULES) as company:
        yield company


async def handed_on(company: Company, token: str, **form: Any) -> Any:
    return await company.exchange("api", token, ACCESS_TOKEN, resource=LEDGER, **form)


async def test_who_acts_for_a_program_is_named_and_kept_within_its_limits(alone: Company) -> None:
    own = await alone.token("batch", **OWN, budget="5", max_depth="1")
    first = await handed_on(alone, own, budget="3")
    assert first.status_code == 200, first.text
    claims = await alone.claims(first.json()["access_token"])
    assert (claims["sub"], claims["sub_type"], claims["scope"]) == ("batch", "Workload", "ledger:read")
    assert claims["act"] == {"sub": "api", "sub_type": "Workload"}
    assert (claims["budget"], claims["max_depth"]) == (3, 0)
    assert (await handed_on(alone, own, budget="3")).json()["error"] == "invalid_request", "2 are left"
    near = await alone.token("batch", **OWN, max_depth="0")
    assert (await handed_on(alone, near)).json()["error"] == "invalid_request"


async def test_its_link_is_ended_by_itself(alone: Company) -> None:
    own = await alone.token("batch", **OWN)
    below = (await handed_on(alone, own)).json()["access_token"]
    deeper = (await handed_on(alone, below)).json()["access_token"]
    ending = ("--subject", "Workload:batch", "--actor", "Workload:api", "--reason", "the API was talked into something")
    assert await revoke(alone, *ending) == 0
    assert [await told(alone, "api", token) == NOTHING for token in (own, below, deeper)] == [False, True, True]

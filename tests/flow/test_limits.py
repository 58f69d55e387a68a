"""Budgets and depth: what is handed down stays within what it was taken from; over real HTTP."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.flow.company import ACCESS_TOKEN, LEDGER, PAYMENTS, Company


async def delegated(company: Company, **form: Any) -> str:
    person = company.signed_in("alice", int(time.time()), amr=["pwd", "mfa"])
    answer = await company.exchange("helper", person, scope="payments:read", resource=PAYMENTS, **form)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def hand_on(company: Company, token: str, **form: Any) -> Any:
    return await company.exchange("api", token, ACCESS_TOKEN, resource=LEDGER, **form)


async def test_a_token_carries_its_limits(company: Company) -> None:
    claims = await company.claims(await delegated(company, budget="10", max_depth="1"))
    assert (claims["budget"], claims["max_depth"]) == (10, 1)
    assert {"budget", "max_depth"}.isdisjoint(await company.claims(await delegated(company)))


async def test_what_is_handed_down_together_is_within_the_budget(company: Company) -> None:
    token = await delegated(company, budget="10")
    first = await hand_on(company, token, budget="6")
    assert (await company.claims(first.json()["access_token"]))["budget"] == 6
    over = await hand_on(company, token, budget="5")
    assert (over.status_code, over.json()["error"]) == (400, "invalid_request")
    assert (await hand_on(company, token, budget="4")).status_code == 200
    assert (await hand_on(company, token, budget="1")).json()["error"] == "invalid_request"


async def test_left_out_it_is_all_of_it(company: Company) -> None:
    token = await delegated(company, budget="10")
    all_of_it = await hand_on(company, token)
    assert (await company.claims(all_of_it.json()["access_token"]))["budget"] == 10
    assert (await hand_on(company, token, budget="1")).status_code == 400


async def test_of_many_that_draw_at_once_none_gets_too_much(company: Company) -> None:
    token = await delegated(company, budget="5")
    answers = await asyncio.gather(*(hand_on(company, token, budget="2") for _ in range(6)))
    granted = [answer for answer in answers if answer.status_code == 200]
    assert len(granted) <= 2, "2 of 5, twice"
    assert granted


async def test_a_refusal_costs_nothing(company: Company) -> None:
    token = await delegated(company, budget="5")
    refused = await hand_on(company, token, scope="nothing:there", budget="5")
    assert refused.status_code == 400
    assert (await hand_on(company, token, budget="5")).status_code == 200


async def test_a_chain_goes_no_further_than_it_may(company: Company) -> None:
    token = await delegated(company, max_depth="0")
    answer = await hand_on(company, token)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    further = await hand_on(company, await delegated(company, max_depth="1"))
    assert (await company.claims(further.json()["access_token"]))["max_depth"] == 0
    deeper = await hand_on(company, await delegated(company, max_depth="1"), max_depth="1")
    assert deeper.json()["error"] == "invalid_request"
    same = await company.exchange("helper", await delegated(company, max_depth="0"), ACCESS_TOKEN, resource=PAYMENTS)
    assert same.status_code == 200, "whoever acts already is no further actor"


@pytest.mark.parametrize(
    "form",
    [
        {"budget": "0"},
        {"budget": "-1"},
        {"budget": "1.5"},
        {"budget": "1e3"},
        {"max_depth": "-1"},
        {"max_depth": "100"},
    ],
    ids=str,
)
async def test_what_is_no_limit(company: Company, form: dict[str, str]) -> None:
    person = company.signed_in("alice", int(time.time()))
    answer = await company.exchange("helper", person, scope="payments:read", resource=PAYMENTS, **form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")

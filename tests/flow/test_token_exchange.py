from __future__ import annotations

import time

import pytest

from tests.flow.company import ACCESS_TOKEN, ADMIN, EXCHANGE, LEDGER, PAYMENTS


def now():
    return int(time.time())


async def test_an_agent_acts_for_a_person_and_gets_less(company):
    person = company.signed_in("alice", now(), amr=["pwd"])
    answer = await company.exchange("helper", person, scope="payments:read payments:write", resource=PAYMENTS)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["issued_token_type"] == ACCESS_TOKEN
    assert body["scope"] == "payments:read"
    claims = await company.claims(body["access_token"])
    assert (claims["sub"], claims["sub_type"]) == ("alice", "User")
    assert claims["act"]["sub"] == "helper"
    assert claims["act"]["sub_type"] == "Agent"


async def test_with_a_second_factor_the_agent_may_write(company):
    person = company.signed_in("alice", now(), amr=["pwd", "mfa"])
    answer = await company.exchange("helper", person, scope="payments:write", resource=PAYMENTS)
    assert answer.json()["scope"] == "payments:write"
    assert (await company.claims(answer.json()["access_token"]))["department"] == "finance"


async def test_an_unmet_demand_is_told_as_a_challenge(company):
    person = company.signed_in("alice", now(), amr=["pwd"])
    answer = await company.exchange("helper", person, scope="payments:write", resource=PAYMENTS)
    assert answer.status_code == 400
    assert answer.json()["error"] == "unmet_authentication_requirements"
    assert answer.json()["required"] == [{"name": "require_amr", "value": "mfa"}]


async def test_a_chain_narrows_at_each_hop(company):
    person = company.signed_in("alice", now(), amr=["pwd", "mfa"])
    first = await company.exchange("helper", person, scope="payments:read", resource=PAYMENTS)
    second = await company.exchange("api", first.json()["access_token"], ACCESS_TOKEN, resource=LEDGER)
    assert second.status_code == 200, second.text
    claims = await company.claims(second.json()["access_token"])
    assert claims["aud"] == LEDGER
    assert claims["scope"] == "ledger:read"
    assert claims["act"]["sub"] == "api"
    assert claims["act"]["act"]["sub"] == "helper"
    assert claims["exp"] <= (await company.claims(first.json()["access_token"]))["exp"]
    wider = await company.exchange("api", first.json()["access_token"], ACCESS_TOKEN, scope="ledger:read x")
    assert wider.json()["error"] == "invalid_scope"


async def test_a_stolen_token_is_useless_elsewhere(company):
    token = await company.token("batch", grant_type="client_credentials")
    answer = await company.exchange("web", token, ACCESS_TOKEN, resource=PAYMENTS)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_rising_risk_shapes_the_next_exchange(company):
    person = company.signed_in("alice", now(), amr=["pwd", "mfa"])
    ask = {"scope": "payments:read payments:write", "resource": PAYMENTS}
    before = await company.exchange("helper", person, **ask)
    assert before.json()["scope"] == "payments:read payments:write"
    token = await company.token(
        "operator", grant_type="client_credentials", scope="mintwarden:facts.write", resource=ADMIN
    )
    push = {"documents": [{"entity": "User:alice", "source": "risk", "facts": {"score": 91}}]}
    pushed = await company.http.put("/admin/v1/facts", json=push, headers={"authorization": f"Bearer {token}"})
    assert (pushed.status_code, pushed.json()) == (200, {"accepted": 1})
    after = await company.exchange("helper", person, **ask)
    assert after.json()["scope"] == "payments:read"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"subject_token": "x.y.z"}, "invalid_request"),
        ({"subject_token_type": ACCESS_TOKEN}, "invalid_request"),
        ({"subject_token": "nonsense", "subject_token_type": ACCESS_TOKEN}, "invalid_request"),
        ({"subject_token": "x.y.z", "subject_token_type": "urn:nonsense"}, "invalid_request"),
    ],
)
async def test_bad_subject_tokens_are_invalid_requests(company, form, error):
    answer = await company.ask("helper", grant_type=EXCHANGE, **form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


async def test_an_outlived_or_unverified_person_is_an_invalid_request(company):
    for person in (
        company.signed_in("alice", now() - 7200),
        company.signed_in("alice", now(), email_verified=False),
        company.signed_in("alice", now(), aud="https://elsewhere.example"),
        company.signed_in("alice", now(), iss="https://evil.example"),
        company.signed_in("alice", now())[:-6] + "AAAAAA",
    ):
        answer = await company.exchange("helper", person, resource=PAYMENTS)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_a_person_whom_nobody_knows_gets_nothing(company):
    answer = await company.exchange("helper", company.signed_in("mallory", now()), resource=PAYMENTS)
    assert answer.status_code == 400
    assert "access_token" not in answer.json()


async def test_where_an_exchange_may_not_lead(company):
    """RFC 8693 section 2.2.2; `resource` and `audience` may each be said more than once (section 2.1)."""
    person = company.signed_in("alice", now())
    for target in (
        {"resource": "https://elsewhere.example"},
        {"audience": "elsewhere"},
        {"resource": "payments"},
        {"resource": f"{PAYMENTS}#x"},
        {"resource": f"{PAYMENTS}/"},
        {"resource": LEDGER},
        {"audience": "ledger"},
        {"resource": [PAYMENTS, LEDGER]},
        {"resource": PAYMENTS, "audience": "ledger"},
        {"resource": [PAYMENTS, "https://elsewhere.example"]},
    ):
        answer = await company.exchange("helper", person, scope="payments:read", **target)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_target"), target
    same = {"resource": [PAYMENTS, PAYMENTS], "audience": ["payments", PAYMENTS]}
    answer = await company.exchange("helper", person, scope="payments:read", **same)
    assert (answer.status_code, answer.json()["scope"]) == (200, "payments:read")

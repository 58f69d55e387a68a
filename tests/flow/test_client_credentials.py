from __future__ import annotations

import time

import pytest

from tests.flow.company import LEDGER, PAYMENTS


async def test_a_service_gets_a_token_that_others_verify(company):
    answer = await company.ask("batch", grant_type="client_credentials", scope="payments:read", resource=PAYMENTS)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 300, "payments:read")
    claims = await company.claims(body["access_token"])
    assert claims["iss"] == "https://tokens.example.com"
    assert claims["aud"] == PAYMENTS
    assert claims["sub"] == claims["client_id"] == "batch"
    assert claims["scope"] == "payments:read"
    assert claims["exp"] - claims["iat"] == 300
    assert len(claims["ledger_leaf"]) == 43


async def test_nothing_asked_for_means_the_defaults(company):
    answer = await company.ask("batch", grant_type="client_credentials")
    assert answer.json()["scope"] == "payments:read"


async def test_private_key_jwt_and_its_replay(company):
    assertion = company.assertion(int(time.time()))
    answer = await company.http.post("/token", data={"grant_type": "client_credentials", **assertion})
    assert answer.status_code == 200, answer.text
    replay = await company.http.post("/token", data={"grant_type": "client_credentials", **assertion})
    assert (replay.status_code, replay.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("audience", ["https://tokens.example.com/token", ["https://tokens.example.com", "x"]])
async def test_an_assertion_for_anybody_else_is_refused(company, audience):
    assertion = company.assertion(int(time.time()), aud=audience)
    answer = await company.http.post("/token", data={"grant_type": "client_credentials", **assertion})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_a_wrong_secret_is_challenged(company):
    answer = await company.http.post("/token", data={"grant_type": "client_credentials"}, auth=("batch", "wrong"))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic ")
    unknown = await company.http.post("/token", data={"grant_type": "client_credentials"}, auth=("nobody", "wrong"))
    assert unknown.json() == answer.json()


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"scope": "payments:read"}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials", "scope": "payments:read nonsense"}, "invalid_scope"),
        ({"grant_type": "client_credentials", "resource": "https://elsewhere.example"}, "invalid_target"),
        ({"grant_type": "client_credentials", "resource": "payments"}, "invalid_target"),
        ({"grant_type": "client_credentials", "audience": "ledger"}, "invalid_target"),
        ({"grant_type": "client_credentials", "scope": 'a"b'}, "invalid_scope"),
    ],
)
async def test_protocol_errors(company, form, error):
    answer = await company.ask("batch", **form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


async def test_a_client_without_the_grant(company):
    answer = await company.ask("web", grant_type="client_credentials")
    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")


async def test_a_refusal_is_recorded_and_named(company):
    answer = await company.ask("batch", grant_type="client_credentials", scope="payments:write", resource=PAYMENTS)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
    assert len(answer.json()["decision"]) == 36


async def test_nothing_asked_for_is_still_for_one_audience_and_says_all_that_a_token_says(company):
    """RFC 9068 sections 2.2 and 3: a default `aud`, and every required claim."""
    claims = await company.claims(await company.token("batch", grant_type="client_credentials"))
    assert claims["aud"] == PAYMENTS
    assert {"iss", "exp", "aud", "sub", "client_id", "iat", "jti"} <= claims.keys()


async def test_a_token_that_could_be_for_either_of_two_is_for_none(company):
    """RFC 9068 section 3: what a scope would mean at which of them is not left to be guessed."""
    for targets in (
        {"resource": [PAYMENTS, LEDGER]},
        {"audience": ["payments", "ledger"]},
        {"resource": PAYMENTS, "audience": "ledger"},
    ):
        answer = await company.ask("batch", grant_type="client_credentials", **targets)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_target"), targets


async def test_two_ways_to_prove_oneself_are_one_too_many(company):
    form, auth = {"grant_type": "client_credentials"}, ("batch", company.secrets["batch"])
    for more in (
        {"client_secret": company.secrets["batch"]},
        company.assertion(int(time.time())),
        {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
    ):
        answer = await company.http.post("/token", data=form | more, auth=auth)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), more.keys()
    both = form | company.assertion(int(time.time())) | {"client_id": "signer", "client_secret": "x"}
    answer = await company.http.post("/token", data=both)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_answers_of_the_token_endpoint_are_json_that_nobody_keeps(company):
    form = {"grant_type": "client_credentials"}
    for auth in (("batch", company.secrets["batch"]), ("batch", "wrong")):
        answer = await company.http.post("/token", data=form, auth=auth)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/json"
        assert not [name for name in answer.headers if name.startswith("access-control-")]

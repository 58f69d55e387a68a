"""Authorization details (RFC 9396) over real HTTP: asked for, decided, in the token, told, recorded, narrowed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mintwarden.app.cli import main
from tests.flow.company import ACCESS_TOKEN, ADMIN, PAYMENTS, Company, running

DETAILS = """
[details."transfer"]
meaning = "Transfer money to one account"
tier = "high"
[details."transfer".fields]
actions = { type = "set<string>", one_of = ["initiate", "cancel"], required = true }
amount = { type = "decimal", narrows = "at_most", required = true }
currency = { type = "string", one_of = ["EUR"], required = true }
[details."transfer".fields.creditor]
type = "record"
required = true
fields = { account = { type = "string", required = true } }
"""

RULES = """
@id("transfer-small") @owner("Payments") @reason("finance transfers small amounts")
@max_ttl("2m")
permit (principal is User, action == Action::"issue", resource == Detail::"transfer")
when { principal in Group::"finance" && context.detail.amount.lessThanOrEqual(decimal("100.00")) };
@id("transfer-large") @owner("Payments") @reason("and larger ones with a second factor")
@require_amr("mfa")
permit (principal is User, action == Action::"issue", resource == Detail::"transfer")
when { principal in Group::"finance" && context.detail.amount.lessThanOrEqual(decimal("5000.00")) };
@id("transfer-acts") @owner("Payments") @reason("the agent transfers what its person may")
permit (principal == Agent::"helper", action == Action::"act", resource == Detail::"transfer");
@id("batch-transfers") @owner("Payments") @reason("the batch pays fees")
permit (principal == Workload::"batch", action == Action::"issue", resource == Detail::"transfer")
when { context.detail.amount.lessThanOrEqual(decimal("1.00")) };
"""


def edit(bundle: Path) -> None:
    payments = bundle / "audiences" / "payments.toml"
    payments.write_text(payments.read_text() + DETAILS)
    for name in ("helper", "batch"):
        client = bundle / "clients" / f"{name}.toml"
        client.write_text(client.read_text().replace("[client.ceilings]", 'details = ["transfer"]\n[client.ceilings]'))


@pytest.fixture
async def company(tmp_path: Path) -> AsyncIterator[Company]:
    async with running(tmp_path, rules=RULES, edit=edit) as company:
        yield company


def transfer(amount: Any = "20.00", **more: Any) -> dict[str, Any]:
    return {
        "type": "transfer",
        "actions": ["initiate"],
        "amount": amount,
        "currency": "EUR",
        "creditor": {"account": "DE02120300000000202051"},
        **more,
    }


def asking(*details: Any, **form: str) -> dict[str, str]:
    return {"authorization_details": json.dumps(details), **form}


async def person(company: Company, *amr: str) -> str:
    return company.signed_in("alice", int(time.time()), amr=[*amr])


async def test_what_is_granted_is_in_the_answer_in_the_token_and_told_to_the_resource_server(company: Company) -> None:
    answer = await company.exchange("helper", await person(company, "pwd"), **asking(transfer(), transfer("900.00")))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["authorization_details"] == [transfer()]
    assert "scope" not in body
    assert body["expires_in"] == 120
    claims = await company.claims(body["access_token"])
    assert claims["authorization_details"] == [transfer()]
    assert "scope" not in claims
    assert claims["act"]["sub"] == "helper"
    secret = company.secrets["api"]
    told = await company.http.post("/introspect", data={"token": body["access_token"]}, auth=("api", secret))
    assert told.json() == {"active": True, "token_type": "Bearer", **claims}


async def test_scopes_and_details_stand_side_by_side(company: Company) -> None:
    answer = await company.ask(
        "batch", grant_type="client_credentials", **asking(transfer("0.50"), scope="payments:read", resource=PAYMENTS)
    )
    body = answer.json()
    assert (body["scope"], body["authorization_details"]) == ("payments:read", [transfer("0.50")])
    plain = await company.ask("batch", grant_type="client_credentials", scope="payments:read")
    assert "authorization_details" not in plain.json()
    assert "authorization_details" not in await company.claims(plain.json()["access_token"])


async def test_a_refusal_of_details_alone_is_told_with_its_challenge(company: Company) -> None:
    answer = await company.exchange("helper", await person(company, "pwd"), **asking(transfer("900.00")))
    assert answer.status_code == 400
    assert answer.json()["error"] == "unmet_authentication_requirements"
    assert answer.json()["required"] == [{"name": "require_amr", "value": "mfa"}]
    strong = await company.exchange("helper", await person(company, "mfa"), **asking(transfer("900.00")))
    assert strong.json()["authorization_details"] == [transfer("900.00")]
    never = await company.exchange("helper", await person(company, "mfa"), **asking(transfer("5000.01")))
    assert (never.status_code, never.json()["error"]) == (400, "invalid_authorization_details")
    assert "decision" in never.json()


@pytest.mark.parametrize(
    "details",
    [
        "nonsense",
        "{}",
        "[]",
        "[{}]",
        json.dumps([{"type": "nothing"}]),
        json.dumps([transfer(more=1)]),
        json.dumps([transfer(amount=20)]),
        json.dumps([{"type": "transfer"}]),
        '[{"type": "transfer", "type": "transfer"}]',
    ],
)
async def test_what_is_not_as_declared_is_an_error_and_no_decision(company: Company, details: str) -> None:
    answer = await company.exchange("helper", await person(company), authorization_details=details)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_authorization_details")
    assert "decision" not in answer.json()


async def test_a_client_without_the_type_is_refused(company: Company) -> None:
    answer = await company.exchange("web", await person(company, "mfa"), **asking(transfer()))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_authorization_details")


async def test_an_exchange_narrows_and_never_widens(company: Company) -> None:
    both = transfer("90.00", actions=["initiate", "cancel"])
    first = await company.exchange("helper", await person(company), **asking(both))
    token = first.json()["access_token"]
    less = await company.exchange("helper", token, ACCESS_TOKEN, **asking(transfer("30.00")))
    assert less.status_code == 200, less.text
    assert less.json()["authorization_details"] == [transfer("30.00")]
    narrow = less.json()["access_token"]
    for more in (transfer("30.01"), transfer("1.00", actions=["cancel"]), transfer(creditor={"account": "DE99"})):
        wider = await company.exchange("helper", narrow, ACCESS_TOKEN, **asking(more))
        assert (wider.status_code, wider.json()["error"]) == (400, "invalid_authorization_details")
    twice = await company.exchange("helper", narrow, ACCESS_TOKEN, **asking(transfer("10.00"), transfer("10.00")))
    assert twice.json()["authorization_details"] == [transfer("10.00")]


async def test_what_is_not_asked_for_again_is_not_carried_on(company: Company) -> None:
    first = await company.exchange(
        "helper", await person(company), **asking(transfer(), scope="payments:read", resource=PAYMENTS)
    )
    assert first.json()["authorization_details"] == [transfer()]
    second = await company.exchange("helper", first.json()["access_token"], ACCESS_TOKEN, scope="payments:read")
    assert second.status_code == 200, second.text
    assert "authorization_details" not in await company.claims(second.json()["access_token"])


async def test_a_token_without_details_becomes_none_with_them(company: Company) -> None:
    first = await company.exchange("helper", await person(company), scope="payments:read", resource=PAYMENTS)
    wider = await company.exchange("helper", first.json()["access_token"], ACCESS_TOKEN, **asking(transfer("1.00")))
    assert (wider.status_code, wider.json()["error"]) == (400, "invalid_authorization_details")


async def test_discovery_tells_the_types(company: Company) -> None:
    document = (await company.http.get("/.well-known/oauth-authorization-server")).json()
    assert document["authorization_details_types_supported"] == ["transfer"]


async def test_the_record_tells_what_was_decided_and_what_was_asked(
    company: Company, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = await company.exchange("helper", await person(company, "pwd"), **asking(transfer(), transfer("900.00")))
    decision = (await company.claims(answer.json()["access_token"]))["jti"]
    told = await company.http.get(f"/ledger/{decision}")
    assert b"DE02120300000000202051" not in told.content

    config = str(company.folder / "mintwarden.toml")
    assert await asyncio.to_thread(main, ["explain", decision, "--config", config]) == 0
    page = capsys.readouterr().out
    assert '"amount": "20.00"' in page
    assert "authorization detail transfer granted" in page
    assert "permitted by transfer-small" in page
    assert "authorization detail transfer refused: a rule permits it, but demands more than the request brings" in page
    assert "comes out DIFFERENT" not in page


async def test_a_fresh_answer_tells_the_details_that_would_still_be_granted(tmp_path: Path) -> None:
    def fresh(bundle: Path) -> None:
        edit(bundle)
        payments = bundle / "audiences" / "payments.toml"
        payments.write_text(payments.read_text() + "\n[introspection]\nfresh = true\n")

    async with running(tmp_path, rules=RULES, edit=fresh) as company:
        form = asking(transfer(), scope="payments:read", resource=PAYMENTS)
        given = (await company.exchange("helper", await person(company, "pwd"), **form)).json()

        async def told() -> Any:
            secret = company.secrets["api"]
            form = {"token": given["access_token"]}
            return (await company.http.post("/introspect", data=form, auth=("api", secret))).json()

        before = await told()
        assert (before["scope"], before["authorization_details"]) == ("payments:read", [transfer()])
        operator = await company.token(
            "operator", grant_type="client_credentials", scope="mintwarden:facts.write", resource=ADMIN
        )
        push = {"documents": [{"entity": "User:alice", "source": "risk", "facts": {"score": 91}}]}
        answer = await company.http.put("/admin/v1/facts", json=push, headers={"authorization": f"Bearer {operator}"})
        assert answer.status_code == 200, answer.text
        after = await told()
        assert after["scope"] == "payments:read"
        assert "authorization_details" not in after

"""Authorization details in identity assertions (ID-JAG draft, sections 4.3 and 4.4), of and for other domains."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt

from tests.flow import test_across_domains
from tests.flow.company import PAYMENTS
from tests.flow.test_across_domains import DOMAIN, ELSEWHERE, ID_JAG, ID_TOKEN, TXN_TOKEN, Domains, crossing
from tests.flow.test_authorization_details import DETAILS, transfer

SERVERS = ["https://api.elsewhere.example/calendar", "https://api.elsewhere.example/rooms"]
ENTRIES = f"""
[details."calendar_entry"]
meaning = "Put entries into a calendar"
tier = "low"
[details."calendar_entry".fields]
actions = {{ type = "set<string>", one_of = ["create", "move"], required = true }}
most = {{ type = "long", required = true, narrows = "at_most" }}
locations = {{ type = "set<string>", one_of = {json.dumps(SERVERS)} }}
"""
RULES = """
@id("entries") @owner("Payments") @reason("staff put a few entries into their calendars")
permit (principal is User, action == Action::"issue", resource == Detail::"calendar_entry")
when { principal in Group::"finance" && context.detail.most <= 10 };
@id("entries-through") @owner("Payments") @reason("by the web client")
permit (principal == Workload::"web", action == Action::"act", resource == Detail::"calendar_entry");
@id("transfers") @owner("Payments") @reason("staff transfer small amounts")
permit (principal is User, action == Action::"issue", resource == Detail::"transfer")
when { principal in Group::"finance" && context.detail.amount.lessThanOrEqual(decimal("100.00")) };
@id("writes") @owner("Payments") @reason("staff pay")
permit (principal is User, action == Action::"issue", resource == Scope::"payments:write")
when { principal in Group::"finance" };
"""


def entry(most: Any = 3, **more: Any) -> dict[str, Any]:
    return {"type": "calendar_entry", "actions": ["create"], "most": most, **more}


def edit(bundle: Path) -> None:
    for name, text in (("payments", DETAILS), ("elsewhere", ENTRIES)):
        file = bundle / "audiences" / f"{name}.toml"
        file.write_text(file.read_text() + text)
    for name in ("web", "api"):
        file = bundle / "clients" / f"{name}.toml"
        types = '["transfer", "calendar_entry"]' if name == "web" else "[]"
        file.write_text(file.read_text().replace("[client.ceilings]", f"details = {types}\n[client.ceilings]"))


@pytest.fixture
async def domains(tmp_path: Path) -> AsyncIterator[Domains]:
    async with crossing(tmp_path, rules=RULES, edit=edit) as made:
        yield made


# -- for another domain -----------------------------------------------------------------------------------------------


async def leading(domains: Domains, *details: Any, **form: str) -> Any:
    """The answer to a client that takes its person to the other domain."""
    ask = {"requested_token_type": ID_JAG, "audience": ELSEWHERE, "authorization_details": json.dumps(details)} | form
    return await domains.company.exchange("web", await domains.id_token(), ID_TOKEN, **ask)


async def test_an_assertion_says_in_detail_what_was_granted(domains: Domains) -> None:
    wanted = entry(locations=SERVERS[:1])
    answer = await leading(domains, wanted, entry(11))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["issued_token_type"], body["authorization_details"]) == (ID_JAG, [wanted])
    claims = await domains.read(body["access_token"], "oauth-id-jag+jwt")
    assert claims["authorization_details"] == [wanted], "and nothing of what the rules refuse"
    assert "scope" not in claims
    both = (await leading(domains, wanted, scope="calendar:read")).json()
    said = await domains.read(both["access_token"], "oauth-id-jag+jwt")
    assert (said["scope"], said["authorization_details"]) == ("calendar:read", [wanted])


@pytest.mark.parametrize(
    ("details", "error"),
    [
        ([entry(11)], "invalid_authorization_details"),
        ([entry(most="3")], "invalid_authorization_details"),
        ([entry(more=1)], "invalid_authorization_details"),
        ([entry(locations=["https://api.evil.example"])], "invalid_authorization_details"),
        ([entry(locations=[ELSEWHERE])], "invalid_authorization_details"),
        ([{"type": "unheard_of"}], "invalid_authorization_details"),
        ([transfer()], "invalid_authorization_details"),
        ([entry(), transfer()], "invalid_authorization_details"),
    ],
    ids=["refused", "text", "a field more", "elsewhere still", "the server itself", "no type", "of an API", "of two"],
)
async def test_what_leads_to_no_details_elsewhere(domains: Domains, details: Any, error: str) -> None:
    answer = await leading(domains, *details)
    assert (answer.status_code, answer.json()["error"]) == (400, error), answer.text


async def test_details_of_another_domain_are_in_no_access_token(domains: Domains) -> None:
    form = {"authorization_details": json.dumps([entry()])}
    answer = await domains.grant(domains.assertion(), **form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_target"), answer.text


async def test_a_transaction_token_has_a_context_and_no_details(domains: Domains) -> None:
    """The draft knows none: what a transaction is about stands in `tctx`."""
    person = await domains.grant(domains.assertion(), scope="payments:read")
    subject = person.json()["access_token"]
    ask = {"requested_token_type": TXN_TOKEN, "audience": DOMAIN, "scope": "payment:settle"}
    kind = "urn:ietf:params:oauth:token-type:access_token"
    for client in ("web", "api"):
        details = json.dumps([transfer()])
        answer = await domains.company.exchange(client, subject, kind, authorization_details=details, **ask)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_authorization_details"), answer.text


# -- of another domain ------------------------------------------------------------------------------------------------


def stating(domains: Domains, *details: Any, **claims: Any) -> str:
    """An assertion of the partner's with details, and no scope unless there is one among `claims`."""
    said = {"scope": None, "authorization_details": list(details)} | claims
    return domains.id_jag(**said)


async def test_what_an_assertion_states_in_detail_is_what_is_asked_for(domains: Domains) -> None:
    answer = await domains.grant(stating(domains, transfer("20.00"), transfer("900.00")))
    assert answer.status_code == 200, answer.text
    assert answer.json()["authorization_details"] == [transfer("20.00")], "the rules decide about each"
    assert "scope" not in answer.json(), "and no default scope comes beside it"
    claims = await domains.company.claims(answer.json()["access_token"])
    assert claims["authorization_details"] == [transfer("20.00")]
    assert "scope" not in claims
    both = (await domains.grant(stating(domains, transfer(), scope="payments:read"))).json()
    assert (both["scope"], both["authorization_details"]) == ("payments:read", [transfer()])


async def test_the_scopes_that_an_assertion_states_are_asked_for_defaults_or_not(domains: Domains) -> None:
    answer = await domains.grant(domains.id_jag(scope="payments:write calendar:write nonsense"))
    assert answer.status_code == 200, answer.text
    assert answer.json()["scope"] == "payments:write"
    for said, error in (("nonsense", "invalid_scope"), ("", "invalid_grant"), (7, "invalid_grant")):
        nothing = await domains.grant(domains.id_jag(scope=said))
        assert (nothing.status_code, nothing.json()["error"]) == (400, error), said


async def test_a_request_narrows_what_an_assertion_states(domains: Domains) -> None:
    held = transfer("90.00", actions=["initiate", "cancel"])

    async def asked(*details: Any, **form: str) -> Any:
        return await domains.grant(stating(domains, held), authorization_details=json.dumps(details), **form)

    less = await asked(transfer("30.00"))
    assert less.json()["authorization_details"] == [transfer("30.00")], less.text
    for wider in (
        transfer("90.01"),
        transfer("1.00", creditor={"account": "DE99"}),
        transfer("-1.00"),
    ):
        answer = await asked(wider)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_authorization_details"), answer.text
    twice = await asked(transfer("90.00"), transfer("90.00"))
    assert twice.json()["authorization_details"] == [transfer("90.00")], "one of them does not become two"


async def test_details_are_no_scopes_and_scopes_no_details(domains: Domains) -> None:
    wider = await domains.grant(stating(domains, transfer()), scope="payments:read")
    assert (wider.status_code, wider.json()["error"]) == (400, "invalid_scope"), "only details were stated"
    none = json.dumps([transfer()])
    wider = await domains.grant(domains.id_jag(scope="payments:read"), authorization_details=none)
    assert (wider.status_code, wider.json()["error"]) == (400, "invalid_authorization_details"), "only a scope was"


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("[]", "invalid_grant"),
        ({"type": "transfer"}, "invalid_grant"),
        ([[]], "invalid_grant"),
        ([{"amount": "1.00"}], "invalid_grant"),
        ([{"type": 1}], "invalid_grant"),
        (None, "invalid_grant"),
        ([{"type": "unheard_of"}], "invalid_authorization_details"),
        ([transfer(more=1)], "invalid_authorization_details"),
        ([transfer(amount=20)], "invalid_authorization_details"),
        ([transfer(amount=20.5)], "invalid_authorization_details"),
        ([{"type": "transfer"}], "invalid_authorization_details"),
        ([transfer(locations=["https://api.example.com/ledger"])], "invalid_authorization_details"),
        ([transfer() for _ in range(17)], "invalid_authorization_details"),
        ([entry()], "invalid_scope"),
    ],
    ids=str,
)
async def test_what_an_assertion_may_not_state(domains: Domains, said: Any, error: str) -> None:
    """It is refused, and never passed over: what is not understood was a limit."""
    claims = {"client_id": "web", "resource": PAYMENTS, "authorization_details": said}
    assertion = domains.assertion(typ="oauth-id-jag+jwt", **claims) if said is not None else with_null(domains)
    answer = await domains.grant(assertion)
    assert (answer.status_code, answer.json()["error"]) == (400, error), answer.text
    if isinstance(said, list) and error == "invalid_authorization_details":
        good = json.dumps([transfer("1.00")])
        again = await domains.grant(domains.assertion(typ="oauth-id-jag+jwt", **claims), authorization_details=good)
        assert (again.status_code, again.json()["error"]) == (400, error), "nor beside one that is good"


def with_null(domains: Domains) -> str:
    """With a claim that is null."""
    now = int(time.time())
    claims = {
        "iss": test_across_domains.PARTNER, "sub": "ann", "aud": test_across_domains.ISSUER, "iat": now,
        "exp": now + 60, "jti": secrets.token_hex(8), "client_id": "web", "authorization_details": None,
    }  # fmt: skip
    return jwt.encode({"alg": "ES256", "kid": "partner-1", "typ": "oauth-id-jag+jwt"}, claims, domains.partner)


async def test_a_client_without_the_type_gets_none_of_it_by_an_assertion(tmp_path: Path) -> None:
    def without(bundle: Path) -> None:
        edit(bundle)
        file = bundle / "clients" / "web.toml"
        file.write_text(file.read_text().replace('"transfer", ', ""))

    async with crossing(tmp_path, rules=RULES, edit=without) as domains:
        answer = await domains.grant(stating(domains, transfer()))
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_authorization_details"), answer.text

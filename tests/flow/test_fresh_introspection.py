"""Introspection that the bundle governs: what is told, and whether it is decided anew over what is true now."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from mintwarden.app.config import load_config
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.store.store import DocumentChange
from tests.flow.company import LEDGER, PAYMENTS, Company, running
from tests.flow.governed import activated, change, decisions, with_people
from tests.flow.test_tokens_that_exist import NOTHING, told

FRESH = "[introspection]\nfresh = true\n[claims]"


def fresh(bundle: Path) -> None:
    with_people(bundle)
    change(bundle, "audiences/payments.toml", "[claims]", FRESH)


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Company]:
    async with running(tmp_path, edit=fresh) as company:
        yield company


@contextlib.asynccontextmanager
async def opened(company: Company) -> AsyncIterator[Foundation]:
    async with foundation(load_config(company.folder / "mintwarden.toml", environ={})) as base:
        yield base


async def given(company: Company, scope: str = "payments:read payments:write") -> str:
    """A token of Alice's, through the agent."""
    person = company.signed_in("alice", int(time.time()), amr=["pwd", "mfa"])
    answer = await company.exchange("helper", person, scope=scope, resource=PAYMENTS)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def directory(company: Company, groups: list[str], department: str = "finance") -> None:
    row = json.dumps({"facts": {"department": department}, "groups": groups}).encode()
    async with opened(company) as base:
        await base.store.directory.apply([DocumentChange("User:alice", "directory", row, base.clock.now())])


async def risk(company: Company, score: int) -> None:
    form = {"grant_type": "client_credentials", "scope": "mintwarden:facts.write"}
    headers = {"authorization": f"Bearer {await company.token('operator', **form)}"}
    document = {"entity": "User:alice", "source": "risk", "facts": {"score": score}}
    answer = await company.http.put("/admin/v1/facts", json={"documents": [document]}, headers=headers)
    assert answer.status_code == 200, answer.text


async def test_while_nothing_changes_the_answer_is_what_the_token_says(asked: Company) -> None:
    token = await given(asked)
    claims = await asked.claims(token)
    said = await told(asked, "api", token)
    assert said.pop("exp") <= claims.pop("exp"), "and never later than the token"
    assert said == {"active": True, "token_type": "Bearer", **claims}


async def test_a_risk_that_rose_shrinks_the_scopes_and_gives_them_back(asked: Company) -> None:
    token = await given(asked)
    await risk(asked, 95)
    assert (await told(asked, "api", token))["scope"] == "payments:read"
    await risk(asked, 5)
    assert (await told(asked, "api", token))["scope"] == "payments:read payments:write"


async def test_it_never_says_more_than_the_token(asked: Company) -> None:
    token = await given(asked, "payments:read")
    said = await told(asked, "api", token)
    assert said["scope"] == "payments:read", "writing would be granted, and was not asked for"
    assert "department" not in said


async def test_derived_claims_are_those_of_now(asked: Company) -> None:
    token = await given(asked)
    assert (await told(asked, "api", token))["department"] == "finance"
    await directory(asked, ["finance"], "treasury")
    assert (await told(asked, "api", token))["department"] == "treasury"


async def test_who_is_entitled_to_nothing_has_a_token_that_is_good_for_nothing(asked: Company) -> None:
    token = await given(asked)
    await directory(asked, [])
    assert await told(asked, "api", token) == NOTHING
    assert await told(asked, "helper", token) == NOTHING, "nor for its own client"
    await directory(asked, ["finance"])
    assert (await told(asked, "api", token))["active"]


async def test_one_rule_change_moves_issuing_and_introspection_together(asked: Company) -> None:
    token, bundle = await given(asked), asked.folder / "bundle"
    change(bundle, "rules/all.cedar", 'principal in Group::"finance" };', 'principal in Group::"nobody" };')
    await activated(asked.folder / "mintwarden.toml", bundle)
    person = asked.signed_in("alice", int(time.time()))
    refused = await asked.exchange("helper", person, scope="payments:read", resource=PAYMENTS)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")
    assert (await told(asked, "api", token))["scope"] == "payments:write"


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("clients/helper.toml", 'grants = ["token_exchange"]', 'grants = ["client_credentials"]'),
        ("clients/helper.toml", 'payments = "*"', 'ledger = ["ledger:read"]'),
        ("rules/all.cedar", 'permit (principal == Agent::"helper"', 'permit (principal == Agent::"other"'),
        ("audiences/payments.toml", "default_ttl", 'binding = "dpop"\ndefault_ttl'),
    ],
    ids=["grant taken", "ceiling lowered", "actor not permitted", "a key demanded"],
)
async def test_what_the_line_would_refuse_now_is_not_told_as_good(
    asked: Company, file: str, old: str, new: str
) -> None:
    token, bundle = await given(asked), asked.folder / "bundle"
    change(bundle, file, old, new)
    await activated(asked.folder / "mintwarden.toml", bundle)
    assert await told(asked, "api", token) == NOTHING


async def test_nothing_of_it_is_recorded_and_nothing_issued(asked: Company) -> None:
    token = await given(asked)
    async with opened(asked) as base:
        before = len(await decisions(base))
        for _ in range(3):
            assert (await told(asked, "api", token))["active"]
        assert len(await decisions(base)) == before


async def test_without_the_record_of_its_decision_a_token_is_not_good(asked: Company) -> None:
    """Whom we have forgotten, we decide nothing about."""
    token = await given(asked)
    async with opened(asked) as base:
        assert await base.store.subject_keys.erase("User:alice")
    assert await told(asked, "api", token) == NOTHING


async def test_a_record_that_was_exchanged_in_the_store(asked: Company) -> None:
    """Who writes to the store cannot have a token judged by another's question."""
    token, other = await given(asked, "payments:read"), await given(asked)
    async with opened(asked) as base:
        wanted = (await asked.claims(token))["jti"].replace("-", "")
        donor = (await asked.claims(other))["jti"].replace("-", "")
        await swapped(base, wanted, donor)
    assert await told(asked, "api", token) == NOTHING


async def swapped(base: Foundation, wanted: str, donor: str) -> None:
    import sqlite3

    path = base.config.store.url.removeprefix("sqlite:")
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        row = db.execute("select entry, sealed, leaf_hash from entries where decision_id = ?", (bytes.fromhex(donor),))
        entry, sealed, leaf = row.fetchone()
        db.execute(
            "update entries set entry = ?, sealed = ? where decision_id = ?", (entry, sealed, bytes.fromhex(wanted))
        )
        assert leaf


async def test_an_assertion_counts_once_where_it_is_decided_anew(asked: Company) -> None:
    token = await asked.token("batch", grant_type="client_credentials", scope="payments:read")
    assertion = asked.assertion(int(time.time()))
    sent = [await asked.http.post("/introspect", data={"token": token, **assertion}) for _ in range(2)]
    assert [answer.status_code for answer in sent] == [200, 401]


async def test_an_audience_that_does_not_ask_for_it_is_told_what_the_token_says(asked: Company) -> None:
    given_token = await given(asked)
    exchanged = await asked.exchange("api", given_token, resource=LEDGER)
    assert exchanged.status_code == 200, exchanged.text
    ledger = exchanged.json()["access_token"]
    await directory(asked, [])
    assert (await told(asked, "api", ledger))["active"]


Edit = Callable[[Path], None]


def telling(claims: str) -> Edit:
    return lambda bundle: change(
        bundle, "audiences/payments.toml", "[claims]", f"[introspection]\nclaims = [{claims}]\n[claims]"
    )


@pytest.mark.parametrize(
    ("claims", "more"),
    [("", set()), ('"sub", "jti"', {"sub", "jti"}), ('"department", "ledger_leaf"', {"department", "ledger_leaf"})],
)
async def test_the_bundle_says_what_is_told(tmp_path: Path, claims: str, more: set[str]) -> None:
    async with running(tmp_path, edit=telling(claims)) as company:
        said: dict[str, Any] = await told(company, "api", await given(company))
    limits = {"active", "token_type", "iss", "aud", "exp", "iat", "scope", "act", "environment"}
    assert said.keys() == limits | more

"""The service when something it needs is in trouble, and when there is too much to do."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter

from tests.flow.company import running


async def test_a_store_that_takes_no_writes_is_a_503_and_recovers_by_itself(tmp_path):
    async with running(tmp_path, server='request_timeout = "2s"') as company:
        assert (await company.ask("batch", grant_type="client_credentials")).status_code == 200
        other = sqlite3.connect(tmp_path / "mintwarden.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        blocked = await company.ask("batch", grant_type="client_credentials")
        assert (blocked.status_code, blocked.json()["error"]) == (503, "temporarily_unavailable")
        assert blocked.headers["retry-after"] == "1"
        assert set(blocked.json()) == {"error", "error_description", "reference"}
        other.execute("ROLLBACK")
        other.close()
        for _ in range(100):
            answer = await company.ask("batch", grant_type="client_credentials")
            if answer.status_code == 200:
                break
            await asyncio.sleep(0.05)
        assert answer.status_code == 200


async def test_a_flood_is_admitted_or_refused_and_never_left_to_pile_up(tmp_path):
    async with running(tmp_path, server="max_in_flight = 4\nmax_queued = 4") as company:
        answers = await asyncio.gather(*(company.ask("batch", grant_type="client_credentials") for _ in range(64)))
        seen = Counter(answer.status_code for answer in answers)
        assert set(seen) <= {200, 503}
        assert seen[200] >= 8
        for answer in answers:
            if answer.status_code == 503:
                assert answer.headers["retry-after"] in ("2", "3", "4", "5", "6")
        assert (await company.ask("batch", grant_type="client_credentials")).status_code == 200


async def test_every_token_of_concurrent_requests_is_its_own(tmp_path):
    async with running(tmp_path) as company:
        tokens = await asyncio.gather(*(company.token("batch", grant_type="client_credentials") for _ in range(50)))
        ids = {(await company.claims(token))["jti"] for token in tokens}
        leaves = {(await company.claims(token))["ledger_leaf"] for token in tokens}
        assert len(ids) == len(leaves) == 50


async def test_an_issuer_with_a_path_is_found_in_all_three_forms(tmp_path):
    issuer = "http://127.0.0.1:1/tenant"
    async with running(tmp_path, server=f'dev = true\nissuer = "{issuer}"') as company:
        paths = (
            "/.well-known/oauth-authorization-server/tenant",
            "/.well-known/openid-configuration/tenant",
            "/tenant/.well-known/openid-configuration",
        )
        for path in paths:
            document = (await company.http.get(path)).json()
            assert document["issuer"] == issuer
            assert document["token_endpoint"] == f"{issuer}/token"
        assert (await company.http.get("/.well-known/oauth-authorization-server")).status_code == 404
        assert (await company.http.get("/tenant/jwks.json")).status_code == 200
        answer = await company.http.post(
            "/tenant/token", data={"grant_type": "client_credentials"}, auth=("batch", company.secrets["batch"])
        )
        assert answer.status_code == 200
        assert (await company.http.post("/token", data={"a": "b"})).status_code == 404
        assert (await company.http.get("/tenant/admin/v1/decisions/x")).status_code == 401


async def test_too_many_who_ask_about_tokens_or_end_them_are_told_to_come_back(tmp_path):
    """RFC 7009 section 2.2.1: a 503 leaves the token as it was, and says when to try again."""
    async with running(tmp_path, server="max_in_flight = 1\nmax_queued = 1") as company:
        auth = ("batch", company.secrets["batch"])
        for path in ("/introspect", "/revoke"):
            token = await company.token("batch", grant_type="client_credentials")
            crowd = (company.http.post(path, data={"token": token}, auth=auth) for _ in range(64))
            answers = await asyncio.gather(*crowd)
            refused = [answer for answer in answers if answer.status_code == 503]
            assert refused, path
            for answer in refused:
                assert answer.json()["error"] == "temporarily_unavailable"
                assert int(answer.headers["retry-after"]) > 0
            assert {answer.status_code for answer in answers} == {200, 503}

"""What stands around each operation: the ledger entry, idempotency, cursors, limits, strict reading."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.authn.ports import State
from mintwarden.ledger.reveal import read_entry
from tests.flow.company import PAYMENTS, Company, running
from tests.flow.test_administration import admin_token, problem

ROTATE = "/admin/v1/keys/rotations"
KEY = "4f6c1f3e-aaaa-bbbb-cccc-000000000001"


async def bearer(company: Company, *scopes: str, **more: str) -> dict[str, str]:
    token = await admin_token(company, " ".join(f"mintwarden:{scope}" for scope in scopes))
    return {"authorization": f"Bearer {token}", **more}


async def entries(company: Company, kind: str = "administration") -> list[Mapping[str, Any]]:
    async with foundation(load_config(company.folder / "mintwarden.toml", environ={}), read_only=True) as base:
        found = [read_entry(stored.entry) for stored in await base.store.entries.by_index(0, 1000)]
        return [entry for entry in found if entry["kind"] == kind]


async def test_the_ledger_tells_everybody_of_no_session_and_no_device(company):
    """They are somebody's, and a session's name may be as good as a secret."""
    headers = await bearer(company, "facts.read")
    for entity in ("session:s-4711", "device:laptop-9", "User:nobody-knows", "Workload:batch"):
        await company.http.get("/admin/v1/facts", params={"entity": entity}, headers=headers)
    details = [entry["detail"] for entry in await entries(company)]
    assert [detail.get("target") for detail in details] == [None, None, None, "Workload:batch"]
    assert not any(name in str(details) for name in ("s-4711", "laptop-9", "nobody-knows"))


async def test_each_call_leaves_an_entry_reads_too(company):
    headers = await bearer(company, "keys.read", "facts.read")
    token = (await company.claims(headers["authorization"].removeprefix("Bearer ")))["jti"]
    assert (await company.http.get("/admin/v1/keys", headers=headers)).status_code == 200
    assert (await company.http.get("/admin/v1/decisions", headers=headers)).status_code == 403
    assert (await company.http.get("/admin/v1/keys?colour=red", headers=headers)).status_code == 400
    shown = await company.http.get("/admin/v1/facts", params={"entity": "User:alice"}, headers=headers)
    assert shown.json()["documents"][0]["groups"] == ["finance"]
    said = [(entry["detail"]["operation"], entry["detail"]["outcome"]) for entry in await entries(company)]
    assert said == [
        ("keys.list", "permitted"),
        ("decisions.search", "refused"),
        ("keys.list", "malformed"),
        ("facts.show", "permitted"),
    ]
    for entry in await entries(company):
        assert entry["actor"] == {"type": "Workload", "id": "operator"}
        assert (entry["detail"]["client"], entry["detail"]["token"]) == ("operator", token)
        assert "alice" not in json.dumps(entry)


async def test_whom_a_call_was_about_is_told_by_the_number_of_their_key(company):
    headers = await bearer(company, "facts.read")
    about = {"entity": "Workload:batch"}
    assert (await company.http.get("/admin/v1/facts", params=about, headers=headers)).status_code == 200
    assert (await entries(company))[-1]["detail"]["target"] == "Workload:batch"


async def test_without_a_token_nothing_is_recorded(company):
    assert (await company.http.get("/admin/v1/keys")).status_code == 401
    assert await entries(company) == []


async def test_a_post_is_done_once_however_often_it_is_sent(company):
    headers = await bearer(company, "keys.manage", **{"idempotency-key": KEY})
    body = {"algorithm": "ES256", "at_once": True}
    first = await company.http.post(ROTATE, json=body, headers=headers)
    assert first.status_code == 200, first.text
    again = await company.http.post(ROTATE, json=body, headers={**headers, "idempotency-key": f'"{KEY}"'})
    assert (again.status_code, again.json()) == (200, first.json())
    assert len(await entries(company, "key_rotation")) == 3 + len(first.json()["changes"])
    other = await company.http.post(ROTATE, json={"algorithm": "ES256"}, headers=headers)
    assert (other.status_code, problem(other)) == (422, "key_reused")


async def test_of_the_same_at_once_one_is_done(company):
    headers = await bearer(company, "keys.manage", **{"idempotency-key": KEY})
    body = {"algorithm": "ES256", "at_once": True}
    answers = await asyncio.gather(*(company.http.post(ROTATE, json=body, headers=headers) for _ in range(5)))
    done = [answer for answer in answers if answer.status_code == 200]
    assert {problem(answer) for answer in answers if answer not in done} <= {"key_in_use"}
    assert len({answer.text for answer in done}) == 1


async def test_what_came_to_nothing_may_be_sent_again(company):
    headers = await bearer(company, "keys.manage", **{"idempotency-key": KEY})
    early = await company.http.post(ROTATE, json={"algorithm": "ES256"}, headers=headers)
    assert (early.status_code, problem(early)) == (409, "conflict")
    again = await company.http.post(ROTATE, json={"algorithm": "ES256", "at_once": True}, headers=headers)
    assert again.status_code == 200


@pytest.mark.parametrize("key", ["", "short", "a b c d e f g", "x" * 129, '"unbalanced-quote', "new\tline-character"])
async def test_a_post_without_a_good_key_is_refused(company, key):
    headers = await bearer(company, "keys.manage", **({"idempotency-key": key} if key else {}))
    answer = await company.http.post(ROTATE, json={"algorithm": "ES256", "at_once": True}, headers=headers)
    assert (answer.status_code, problem(answer)) == (400, "invalid_request")
    assert len(await entries(company, "key_rotation")) == 3


async def test_pages_go_on_with_a_cursor_that_is_for_this_query_alone(company):
    people = [{"entity": f"User:p{n}", "facts": {"department": "x"}} for n in range(5)]
    headers = await bearer(company, "directory.write", "directory.read", **{"idempotency-key": KEY})
    put = await company.http.post("/admin/v1/sources/directory/changes", json={"changes": people}, headers=headers)
    assert put.json() == {"replaced": 5, "forgotten": 0}
    del headers["idempotency-key"]
    path, found, cursor = "/admin/v1/sources/directory/entities", [], ""
    while True:
        params = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await company.http.get(path, params=params, headers=headers)).json()
        found += [one["entity"] for one in page["entities"]]
        if not page["cursor"]:
            break
        cursor = page["cursor"]
        assert "alice" not in cursor
    assert found == ["User:alice", *(f"User:p{n}" for n in range(5))]
    elsewhere = await company.http.get("/admin/v1/sources/risk/entities", params={"cursor": cursor}, headers=headers)
    assert (elsewhere.status_code, problem(elsewhere)) == (400, "invalid_request")
    for forged in (cursor[:-2] + "AA", "AAAA", "é", "=", cursor + "A" * 2000):
        answer = await company.http.get(path, params={"cursor": forged}, headers=headers)
        assert (answer.status_code, problem(answer)) == (400, "invalid_request")


async def test_decisions_are_found_soon_after_they_were_made(company):
    granted = await company.token("batch", grant_type="client_credentials")
    decision = (await company.claims(granted))["jti"]
    refused = await company.ask("web", grant_type="client_credentials")
    assert refused.status_code == 400
    headers = await bearer(company, "decisions.read")

    async def search(**params: str) -> list[dict]:
        answer = await company.http.get("/admin/v1/decisions", params=params, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["decisions"]

    for _ in range(200):
        if found := await search(client="batch"):
            break
        await asyncio.sleep(0.02)
    assert [one["id"] for one in found] == [decision]
    assert found[0]["scopes"] == {"payments:read": "batch-reads"}
    assert await search(rule="batch-reads", scope="payments:read", outcome="granted") == found
    assert await search(subject="Workload:batch") == found
    assert await search(audience="payments", until="2020-01-01T00:00:00Z") == []
    assert await search(client="batch", outcome="refused") == []
    assert await search(client="nobody") == []


async def test_a_client_that_calls_too_often_is_told_when_to_come_again(tmp_path):
    async with running(tmp_path, server="admin_rate = 0.5\nadmin_burst = 3\n") as company:
        headers = await bearer(company, "keys.read")
        answers = [await company.http.get("/admin/v1/keys", headers=headers) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert problem(answers[-1]) == "too_many_requests"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 2
        assert len(await entries(company)) == 3, "what is refused so costs no entry"


async def test_a_subject_is_erased_and_the_erasure_recorded(company):
    headers = await bearer(company, "subjects.erase", **{"idempotency-key": KEY})
    body = {"subject": "Workload:batch", "ticket": "P-1"}
    nobody = await company.http.post("/admin/v1/erasures", json=body, headers=headers)
    assert (nobody.status_code, problem(nobody)) == (404, "not_found")
    await company.token("batch", grant_type="client_credentials", resource=PAYMENTS)
    session = State(kind="session", key=b"k", owner="Workload:batch", expires_at=2**53, document=b"sealed")
    async with foundation(load_config(company.folder / "mintwarden.toml", environ={})) as base:
        await base.store.states.add([session])
    erased = await company.http.post("/admin/v1/erasures", json=body, headers=headers)
    assert erased.status_code == 200, erased.text
    assert len(await entries(company, "erasure")) == 1
    async with foundation(load_config(company.folder / "mintwarden.toml", environ={})) as base:
        assert await base.store.states.read([("session", b"k")]) == {}, "nobody stays signed in as somebody forgotten"


async def test_the_problems_are_described_where_their_type_says(company):
    answer = await company.http.get("/admin/v1/keys")
    page, _, name = answer.json()["type"].partition("#")
    described = await company.http.get(page)
    assert described.status_code == 200
    assert f"\n{name}  401  " in described.text

from __future__ import annotations

import asyncio
import time

import pytest

from tests.flow.company import ADMIN, PAYMENTS


def problem(answer):
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert said["status"] == answer.status_code
    return said["type"].partition("#")[2]


async def admin_token(company, scope):
    return await company.token("operator", grant_type="client_credentials", scope=scope, resource=ADMIN)


async def story(company, decision):
    token = await admin_token(company, "mintwarden:decisions.read")
    answer = await company.http.get(f"/admin/v1/decisions/{decision}", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_decision_is_explained_to_who_may_read_it(company):
    person = company.signed_in("alice", int(time.time()), amr=["pwd"])
    answer = await company.exchange("helper", person, scope="payments:read payments:write", resource=PAYMENTS)
    claims = await company.claims(answer.json()["access_token"])
    told = await story(company, claims["jti"])
    assert told["outcome"] == "granted"
    assert told["who"] == {
        "client": "helper",
        "method": "client_secret_basic",
        "subject": "User:alice",
        "actors": ["Agent:helper"],
    }
    assert told["asked"]["scopes"] == ["payments:read", "payments:write"]
    assert told["facts"]["subject"]["facts"] == {"department": "finance"}
    assert told["facts"]["subject"]["groups"] == ["finance"]
    assert {s["reading"]: s["state"] for s in told["facts"]["sources"]}["subject/directory"] == "present"
    assert told["replay"] == "same"
    assert told["bundle"]["owner"] == "Token Governance"
    assert {s["scope"]: s["granted"] for s in told["scopes"]} == {"payments:read": True, "payments:write": False}


async def test_a_decision_is_proven_within_a_second(company):
    token = await company.token("batch", grant_type="client_credentials")
    claims = await company.claims(token)
    for _ in range(100):
        proof = (await story(company, claims["jti"]))["proof"]
        if proof["verified"]:
            break
        await asyncio.sleep(0.02)
    assert proof["verified"]
    checkpoint = await company.http.get("/ledger/checkpoint")
    assert checkpoint.headers["content-type"] == "text/plain; charset=utf-8"
    assert checkpoint.text.startswith("tokens.example.com\n")
    assert int(checkpoint.text.split("\n")[1]) >= proof["size"]


async def test_without_a_token_there_is_a_challenge_and_no_error_code(company):
    answer = await company.http.get("/admin/v1/decisions/x")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="mintwarden"'


@pytest.mark.parametrize("value", ["Bearer", "Bearer x", "Bearer a.b.c", "Basic YTpi", "Bearer a b"])
async def test_a_bad_token_is_401(company, value):
    answer = await company.http.get("/admin/v1/decisions/x", headers={"authorization": value})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Bearer realm="mintwarden"')


async def test_a_token_for_another_audience_is_401(company):
    token = await company.token("batch", grant_type="client_credentials")
    answer = await company.http.get("/admin/v1/decisions/x", headers={"authorization": f"Bearer {token}"})
    assert (answer.status_code, problem(answer)) == (401, "invalid_token")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_a_token_without_the_scope_is_403(company):
    token = await admin_token(company, "mintwarden:facts.write")
    answer = await company.http.get("/admin/v1/decisions/x", headers={"authorization": f"Bearer {token}"})
    assert (answer.status_code, problem(answer)) == (403, "insufficient_scope")
    assert 'scope="mintwarden:decisions.read"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'{"documents": [], "documents": []}', 400),
        (b'{"documents": [{"entity": "User:a", "source": "risk", "facts": {"score": 1}, "facts": {}}]}', 400),
        (b'{"documents": [{"entity": "User:a", "source": "risk", "facts": {"score": NaN}}]}', 400),
        (b'{"documents": [{"entity": "User:a", "source": "risk", "facts": {"score": "high"}}]}', 400),
        (b'{"documents": [{"entity": "User:a", "source": "risk", "facts": {"colour": 1}}]}', 400),
        (b'{"documents": [{"entity": "User:a", "source": "nonsense", "facts": {}}]}', 400),
        (b'{"documents": [{"entity": "device:a", "source": "risk", "facts": {"score": 1}}]}', 400),
        (b'{"documents": [{"entity": "User:a", "source": "risk", "facts": {"score": 1}, "extra": 1}]}', 400),
        (b"[" * 100_000, 400),
        (b"\xff\xfe", 400),
        (b" " * (4 * 1024 * 1024 + 1), 413),
        (b'{"documents": []}', 200),
        (b'{"documents": [{"entity": "User:a", "source": "risk", "facts": {"score": 1}}]}', 200),
    ],
)
async def test_pushed_facts_are_read_strictly(company, body, status):
    token = await admin_token(company, "mintwarden:facts.write")
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    answer = await company.http.put("/admin/v1/facts", content=body, headers=headers)
    assert answer.status_code == status, answer.text


async def test_other_types_methods_and_paths(company):
    token = await admin_token(company, "mintwarden:facts.write")
    headers = {"authorization": f"Bearer {token}"}
    typed = await company.http.put("/admin/v1/facts", content=b"{}", headers={**headers, "content-type": "text/plain"})
    assert typed.status_code == 415
    wrong = await company.http.post("/admin/v1/facts", json={}, headers=headers)
    assert (wrong.status_code, problem(wrong)) == (405, "method_not_allowed")
    assert (await company.http.get("/admin/v1/nothing", headers=headers)).status_code == 404
    reader = {"authorization": f"Bearer {await admin_token(company, 'mintwarden:decisions.read')}"}
    for name in ("nonsense", "01999999-0000-7000-8000-000000000001"):
        assert (await company.http.get(f"/admin/v1/decisions/{name}", headers=reader)).status_code == 404

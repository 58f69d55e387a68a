"""Hostile calls of the administration API: each kind of trick by name."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from pathlib import Path

import pytest
from joserfc import jwt

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.web.admin.call import AT_ONCE, SHARE
from mintwarden.web.admin.limit import Shares
from tests.flow.company import ADMIN, Company
from tests.flow.test_admin_clients import fresh, send
from tests.flow.test_admin_frame import bearer, entries
from tests.flow.test_administration import problem
from tests.hostile.http.wire import hang_up

BULK = "/admin/v1/sources/directory/changes"


async def raw(company: Company, head: str, body: bytes = b"") -> bytes:
    """One request, byte for byte."""
    host, port = company.base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body)
        await writer.drain()
        return await asyncio.wait_for(reader.read(65536), 5)
    finally:
        writer.close()


async def test_two_of_a_header_that_decides_are_refused(company: Company) -> None:
    token = (await bearer(company, "keys.read", "clients.write"))["authorization"]
    for name, value in (
        ("authorization", token),
        ("if-match", "*"),
        ("idempotency-key", "twice-the-same"),
        ("content-type", "application/json"),
    ):
        lines = {"host": "x", "authorization": token, "connection": "close"}
        if name != "authorization":
            lines |= {"if-match": "*", "idempotency-key": "twice-the-same", "content-type": "application/json"}
        method, path = (
            ("GET", "/admin/v1/keys") if name == "authorization" else ("POST", "/admin/v1/clients/batch/secrets")
        )
        body = b"" if method == "GET" else b"{}"
        head = f"{method} {path} HTTP/1.1\n" + "\n".join(f"{k}: {v}" for k, v in lines.items())
        answer = await raw(company, f"{head}\n{name}: {value}\ncontent-length: {len(body)}", body)
        assert answer.startswith(b"HTTP/1.1 400 "), (name, answer)
        assert b"is repeated" in answer


async def test_calls_sent_by_halves_keep_nobody_else_from_administering(company: Company) -> None:
    """A token for one thing, of one client for one person: it holds half of the places at the most."""
    headers = await bearer(company, "facts.write", "keys.read")
    host, port = company.base.removeprefix("http://").split(":")
    lines = f"authorization: {headers['authorization']}\r\ncontent-type: application/json\r\ncontent-length: 100"
    half = f"PUT /admin/v1/facts HTTP/1.1\r\nhost: x\r\n{lines}\r\n\r\n{{".encode()
    writers = []
    for _ in range(SHARE):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(half)
        writers.append(writer)
    for _ in range(200):
        answer = await company.http.get("/admin/v1/keys", headers=headers)
        if answer.status_code != 200:
            break
        await asyncio.sleep(0.02)
    assert (answer.status_code, problem(answer), answer.headers["retry-after"]) == (429, "too_many_requests", "1")
    assert SHARE < AT_ONCE, "others have the rest"
    for writer in writers:
        await hang_up(writer)
    for _ in range(200):
        answer = await company.http.get("/admin/v1/keys", headers=headers)
        if answer.status_code == 200:
            break
        await asyncio.sleep(0.02)
    assert answer.status_code == 200, "what was given up is free again"


async def test_what_a_caller_has_under_way_counts_for_them_alone() -> None:
    shares = Shares(1)
    with shares.held("one") as first, shares.held("one") as second, shares.held("other") as other:
        assert (first, second, other) == (True, False, True)
    with shares.held("one") as again:
        assert again
    assert not shares._held


async def test_what_a_caller_sends_never_becomes_a_header(company: Company) -> None:
    headers = await bearer(company, "keys.read", "keys.manage")
    for path in ("/keys/a%0d%0aset-cookie:%20x=1/revocation", "/keys/%00/revocation", "/keys/a%22b/revocation"):
        answer = await company.http.post(f"/admin/v1{path}", headers={**headers, **fresh()})
        assert (answer.status_code, problem(answer)) == (404, "not_found")
        assert "set-cookie" not in answer.headers
    answer = await company.http.get("/admin/v1/keys?%0d%0aset-cookie=x", headers=headers)
    assert (answer.status_code, "set-cookie" in answer.headers) == (400, False)


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/json; charset=latin-1", "application/json-patch+json", "application/problem+json",
     "application/json, text/plain"],
)  # fmt: skip
async def test_bodies_of_another_type_are_refused(company: Company, kind: str) -> None:
    headers = {**await bearer(company, "directory.write"), **fresh(), "content-type": kind}
    answer = await company.http.post(BULK, content=b'{"changes": [{"entity": "User:x"}]}', headers=headers)
    assert (answer.status_code, problem(answer)) == (415, "unsupported_media_type")


async def test_encoded_bodies_are_refused(company: Company) -> None:
    headers = {**await bearer(company, "directory.write"), **fresh()}
    headers |= {"content-type": "application/json", "content-encoding": "gzip"}
    answer = await company.http.post(BULK, content=b"\x1f\x8b", headers=headers)
    assert (answer.status_code, problem(answer)) == (415, "unsupported_media_type")


async def test_bodies_are_bounded_before_they_are_read_whole(company: Company) -> None:
    headers = {**await bearer(company, "clients.write"), **fresh(), "content-type": "application/json"}
    answer = await company.http.post("/admin/v1/clients", content=b"[" + b"0," * 40_000, headers=headers)
    assert (answer.status_code, problem(answer)) == (413, "too_large")
    changes = [{"entity": f"User:p{n}", "forget": True} for n in range(1001)]
    headers = {**await bearer(company, "directory.write"), **fresh()}
    answer = await company.http.post(BULK, json={"changes": changes}, headers=headers)
    assert (answer.status_code, problem(answer)) == (400, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{", b'{"changes": []}', b'{"changes": [{}]}', b'{"changes": "User:x"}',
        b'{"changes": [{"entity": "User:x"}], "changes": [{"entity": "User:y"}]}',
        b'{"changes": [{"entity": "User:x", "entity": "User:y"}]}',
        b'{"changes": [{"entity": "User:x", "facts": {"department": NaN}}]}',
        b'{"changes": [{"entity": "User:x\\u0000", "forget": true}]}',
        b'{"changes": [{"entity": "Robot:x", "forget": true}]}',
        b'{"changes": [{"entity": "User:x", "facts": {"department": 1}}]}',
        b'{"changes": [{"entity": "User:x", "facts": {"department": "a"}}, {"entity": "User:x", "forget": true}]}',
        b'{"changes": [{"entity": "User:x", "colour": 1}]}',
        b'{"changes": [{"entity": "device:x", "facts": {"department": "a"}}]}',
        b"\xff\xfe{}", b"[" * 20_000, b'{"changes": [{"entity": "User:\xed\xa0\x80", "forget": true}]}',
    ],
    ids=lambda body: repr(body[:60]),
)  # fmt: skip
async def test_bodies_that_are_not_what_is_taken_change_nothing(company: Company, body: bytes) -> None:
    headers = {**await bearer(company, "directory.write"), **fresh(), "content-type": "application/json"}
    answer = await company.http.post(BULK, content=body, headers=headers)
    assert (answer.status_code, problem(answer)) == (400, "invalid_request"), answer.text
    assert await entries(company, "configuration") == []


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=1e3", "limit=-1", "limit=", "limit=5&limit=6", "colour=1", "outcome=maybe",
     "since=yesterday", "since=2026-01-01T00:00:00", "subject=alice", "subject=User%00", "%ff=1", "a=%ff", "&&&",
     "cursor=%27%20OR%201=1--", "client=" + "x" * 201, "x=" + "y" * 9000],
)  # fmt: skip
async def test_queries_are_read_strictly(company: Company, query: str) -> None:
    headers = await bearer(company, "decisions.read")
    answer = await company.http.get(f"/admin/v1/decisions?{query}", headers=headers)
    assert (answer.status_code, problem(answer)) == (400, "invalid_request"), answer.text


@pytest.mark.parametrize("value", ["'; DROP TABLE decision_index; --", "%", "_", "\\", "batch' OR '1'='1"])
async def test_what_is_sought_is_never_a_statement(company: Company, value: str) -> None:
    headers = await bearer(company, "decisions.read")
    for name in ("client", "scope", "rule", "reason", "bundle"):
        answer = await company.http.get("/admin/v1/decisions", params={name: value}, headers=headers)
        assert (answer.status_code, answer.json()["decisions"]) == (200, [])


def _token(company: Company, **claims: str) -> str:
    payload = {"iss": "https://tokens.example.com", "aud": ADMIN, "sub_type": "Workload", "client_id": "operator",
               "scope": "mintwarden:keys.manage", "exp": int(time.time()) + 60, "iat": int(time.time()), "jti": "x",
               "ledger_leaf": "A" * 43}  # fmt: skip
    return jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": "signer-1"}, {**payload, **claims}, company.signer)


async def test_a_token_that_we_did_not_sign_opens_nothing(company: Company) -> None:
    answer = await company.http.get(
        "/admin/v1/keys", headers={"authorization": f"Bearer {_token(company, sub='operator')}"}
    )
    assert (answer.status_code, problem(answer)) == (401, "invalid_token")
    assert await entries(company) == []


async def test_one_scope_opens_its_own_operations_alone(company: Company) -> None:
    """By every operation: a token with every other scope is refused, before anything of the request is looked at."""
    from mintwarden.web.admin.api import OPERATIONS

    every = {s for one in OPERATIONS for s in one.scopes if not s.endswith("*")}
    for operation in OPERATIONS:
        others = every - set(operation.scopes) - {s for s in every if s.startswith("mintwarden:facts.write")}
        token = await company.token(
            "operator", grant_type="client_credentials", scope=" ".join(sorted(others)), resource=ADMIN
        )
        path = operation.path.replace("{source}", "risk").replace("{", "").replace("}", "")
        answer = await company.http.request(
            operation.method, f"/admin/v1{path}", headers={"authorization": f"Bearer {token}"}
        )
        assert (answer.status_code, problem(answer)) == (403, "insufficient_scope"), operation.id
        assert f'scope="{operation.scopes[0]}"' in answer.headers["www-authenticate"]
    recorded = await entries(company)
    assert {entry["detail"]["outcome"] for entry in recorded} == {"refused"}
    assert len(recorded) == len(OPERATIONS)


async def test_nothing_personal_stands_in_the_open(company: Company) -> None:
    """Whom a search, a look or an erasure is about is in no public entry, no log line and no cursor."""
    person = company.signed_in("alice", int(time.time()), amr=["pwd"])
    from tests.flow.company import PAYMENTS

    assert (await company.exchange("helper", person, scope="payments:read", resource=PAYMENTS)).status_code == 200
    headers = await bearer(company, "facts.read", "decisions.read", "subjects.erase")
    about = {"entity": "User:alice"}
    assert (await company.http.get("/admin/v1/facts", params=about, headers=headers)).status_code == 200
    sought = {"subject": "User:alice"}
    assert (await company.http.get("/admin/v1/decisions", params=sought, headers=headers)).status_code == 200
    keys = [entry["detail"].get("key") for entry in await entries(company)]
    assert all(isinstance(key, int) for key in keys), (
        "the number of a key tells whom it was about, for as long as it is there"
    )
    body = {"subject": "User:alice", "ticket": "P-1"}
    erased = await company.http.post("/admin/v1/erasures", json=body, headers={**headers, **fresh()})
    assert erased.status_code == 200, erased.text
    assert "alice" not in json.dumps(await entries(company))
    assert (await company.http.get("/admin/v1/decisions", params=sought, headers=headers)).json()["decisions"] == []


async def test_an_unknown_client_and_one_out_of_reach_are_told_alike(company: Company) -> None:
    for name in ("nobody", "a%2fb", "%2e%2e", "..%2f..", "batch%00"):
        answer = await send(company, "POST", f"/clients/{name}/secrets", {}, if_match="*")
        assert (answer.status_code, problem(answer)) == (404, "not_found"), name


async def test_answers_that_are_kept_hold_nothing_in_the_clear(company: Company, tmp_path: Path) -> None:
    headers = {**await bearer(company, "directory.write"), **fresh()}
    change = {"entity": "User:very-secret-name", "facts": {"department": "x"}}
    assert (await company.http.post(BULK, json={"changes": [change]}, headers=headers)).status_code == 200
    async with foundation(load_config(company.folder / "mintwarden.toml", environ={}), read_only=True) as base:
        assert await base.store.entries.count() > 0
    import sqlite3

    with contextlib.closing(sqlite3.connect(company.folder / "mintwarden.db")) as opened:
        rows = opened.execute("SELECT key, fingerprint, sealed FROM answers").fetchall()
    assert len(rows) == 1
    assert b"replaced" not in rows[0][2]
    assert headers["idempotency-key"].encode() not in b"".join(rows[0])

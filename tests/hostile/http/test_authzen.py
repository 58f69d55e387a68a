"""The decision point under callers that mean it no good: each attack by its name."""

from __future__ import annotations

import asyncio
import json

import pytest
import pytest_asyncio

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.authn.ports import Revocation
from tests.flow.authzen import deciding, question, token_for

pytestmark = pytest.mark.asyncio(loop_scope="module")
GATE = "issue:access_token:token_exchange"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def point(tmp_path_factory):
    async with deciding(tmp_path_factory.mktemp("point"), server="admin_burst = 1000\n") as point:
        yield point


async def test_a_batch_that_is_too_long_is_refused_before_anything_is_decided(point):
    one = {"action": {"name": "read"}}
    assert (await point.post("evaluations", {**question(), "evaluations": [one] * 101})).status_code == 400
    assert len((await point.ask("evaluations", {**question(), "evaluations": [one] * 100}))["evaluations"]) == 100


async def test_a_gate_with_more_scopes_than_a_request_may_have_issues_nothing(point):
    before = len(await point.entries())
    scopes = [{"action": {"name": f"s{n}"}} for n in range(101)]
    request = {**question(client_id="web"), "evaluations": [{"action": {"name": GATE}}, *scopes]}
    assert (await point.post("evaluations", request)).status_code == 400
    assert len(await point.entries()) == before


async def test_a_body_that_is_too_large_is_refused(point):
    request = {**question(), "padding": "x" * 70_000}
    assert (await point.post("evaluation", request)).status_code == 413


@pytest.mark.parametrize("opening", [b"[", b'{"context":', b'{"a":['])
async def test_json_that_is_nested_without_end_is_refused(point, opening):
    depth = 60_000 // len(opening)
    assert (await point.post("evaluation", opening * depth)).status_code == 400


async def test_json_that_is_nested_deep_in_what_is_ignored_is_refused(point):
    request = json.dumps(question())[:-1] + ', "x": ' + "[" * 20_000 + "]" * 20_000 + "}"
    assert (await point.post("evaluation", request.encode())).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b'{"subject": {"type": "user", "id": "\xff"}}',
        b'{"subject": {"type": "user", "id": "\\ud800"}}',
        b'{"subject": NaN}',
        b'{"a": 1} {"b": 2}',
        b"\xef\xbb\xbf{}",
        b"[" + b"{}," * 100 + b"{}]",
    ],
)
async def test_bytes_that_are_not_a_json_object_are_refused(point, body):
    assert (await point.post("evaluation", body)).status_code == 400


async def test_two_members_of_one_name_are_refused_however_they_are_spelled(point):
    """Whoever looks at a request on its way may see the one where we would see the other."""
    good = json.dumps(question())[:-1]
    for more in (
        ', "subject": {"type": "user", "id": "bob"}}',
        ', "\\u0073ubject": {"type": "user", "id": "bob"}}',
        ', "context": {"acr": "a", "acr": "b"}}',
        ', "ignored": {"a": 1, "a": 2}}',
    ):
        assert (await point.post("evaluation", (good + more).encode())).status_code == 400, more


@pytest.mark.parametrize("name", ["requested_lifetime", "auth_time"])
async def test_numbers_without_end_are_refused(point, name):
    for number in ("9" * 5000, "-" + "9" * 5000, "1e999", "1.5", "-1e400"):
        body = json.dumps({**question(), "context": {name: 0}}).replace(f'"{name}": 0', f'"{name}": {number}')
        assert (await point.post("evaluation", body.encode())).status_code == 400, number
    page = json.dumps({**question(), "page": {"limit": 0}}).replace('"limit": 0', f'"limit": {"9" * 5000}')
    assert (await point.post("search/subject", page.encode())).status_code in (200, 400)


INJECTIONS = (
    "",
    "a\x00b",
    "a\nb",
    'alice"); permit(principal, action, resource); //',
    'User::"alice"',
    "User:alice",
    "alice' OR '1'='1",
    "../alice",
    "%61lice",
    "Alice",
    "alice ",
    "alice\u200b",
    "x" * 1000,
    "\u202ealice",
)


async def test_an_id_that_is_made_to_be_read_as_something_else_is_nobody(point):
    for name in INJECTIONS:
        for request in (
            question(name),
            question(action=name),
            question(resource=name),
            {**question(), "subject": {"type": name, "id": "alice"}},
            {**question(), "resource": {"type": "project", "id": name}},
            {**question(), "resource": {"type": "scope", "id": name}},
            question(client_id=name or "-"),
        ):
            answer = await point.post("evaluation", request)
            assert answer.status_code == 200, (name, answer.text)
            assert answer.json()["decision"] is False, (name, request)


async def test_a_circumstance_that_is_made_to_be_read_as_something_else_grants_nothing(point):
    for name in INJECTIONS[1:]:
        for context in ({"session": name}, {"purpose": name}, {"environment": name}, {"project": name}):
            answer = await point.post("evaluation", question(**context))
            said = answer.status_code == 200 and answer.json()["decision"]
            assert answer.status_code in (200, 400)
            assert not said or "session" in context


async def test_facts_that_the_caller_makes_up_are_ignored(point):
    request = question("bob", "write")
    for fact in ({"department": "clerks"}, {"groups": ["finance"]}, {"role": "admin"}):
        made_up = {
            **request,
            "subject": {**request["subject"], "properties": fact},
            "context": {"principal": fact, **fact},
        }
        assert (await point.ask("evaluation", made_up))["decision"] is False


async def test_a_name_of_the_request_cannot_break_out_of_its_header(point):
    answer = await point.post("evaluation", question(), x_request_id='a: b; c="d", e')
    assert answer.headers["x-request-id"] == 'a: b; c="d", e'
    assert "set-cookie" not in answer.headers


async def test_two_tokens_are_refused(point):
    headers = [("authorization", f"Bearer {point.token}")] * 2 + [("content-type", "application/json")]
    answer = await point.company.http.post("/access/v1/evaluation", content=b"{}", headers=headers)
    assert answer.status_code == 400


async def test_a_compressed_body_is_refused(point):
    assert (await point.post("evaluation", question(), content_encoding="gzip")).status_code == 400


async def test_two_content_types_are_refused(point):
    headers = [
        ("authorization", f"Bearer {point.token}"),
        ("content-type", "application/json"),
        ("content-type", "text/plain"),
    ]
    body = json.dumps(question()).encode()
    answer = await point.company.http.post("/access/v1/evaluation", content=body, headers=headers)
    assert answer.status_code == 400


async def test_the_token_in_the_query_or_the_body_is_no_token(point):
    for address, content in (
        (f"/access/v1/evaluation?access_token={point.token}", question()),
        ("/access/v1/evaluation", {**question(), "access_token": point.token}),
    ):
        assert (await point.company.http.post(address, json=content)).status_code == 401


async def test_no_caller_learns_whether_its_question_was_good_before_it_is_known(point):
    for content in (question(), b"{", b"x" * 200_000):
        answer = await point.post("evaluation", content, token="")
        assert (answer.status_code, answer.text) == (401, "an access token is needed\n")


async def test_a_searcher_without_the_scope_is_refused_and_written_down(point):
    token = await point.bearing("evaluate")
    before = len(await point.entries("administration"))
    request = {**question(), "subject": {"type": "user"}}
    assert (await point.post("search/subject", request, token=token)).status_code == 403
    entries = (await point.entries("administration"))[before:]
    assert [entry["detail"]["outcome"] for entry in entries] == ["refused"]


async def test_an_asker_cannot_have_tokens_decided_by_hiding_the_gate(point):
    token = await point.bearing("evaluate")
    before = len(await point.entries())
    gate = {"action": {"name": GATE}}
    for path, request in (
        ("evaluation", {**question(client_id="web"), **gate}),
        ("evaluations", {**question(client_id="web"), **gate}),
        ("evaluations", {**question(client_id="web"), "evaluations": [{}, gate]}),
        ("evaluations", {**question(client_id="web"), **gate, "evaluations": [{"resource": {"type": "scope"}}]}),
    ):
        assert (await point.post(path, request, token=token)).status_code == 403, request
    assert len(await point.entries()) == before


async def test_a_signer_cannot_widen_what_its_client_may_have(point):
    """The ceiling holds, whatever the issuer says about the client, and a guardrail about foreign tokens as well."""
    request = {**question(resource="https://api.example.com/payments", client_id="batch")}
    request["subject"] = {"type": "client", "id": "batch"}
    request["evaluations"] = [
        {"action": {"name": "issue:access_token:client_credentials"}},
        {"action": {"name": "payments:write"}},
    ]
    said = await point.ask("evaluations", request)
    assert [one["decision"] for one in said["evaluations"]] == [False, False]
    purge = {**question(client_id="web"), "evaluations": [{"action": {"name": GATE}}, {"action": {"name": "purge"}}]}
    assert not (await point.ask("evaluations", purge))["evaluations"][1]["decision"]
    assert (await point.ask("evaluation", question(action="purge", client_id="web")))["decision"] is True


async def test_a_page_goes_on_for_nobody_else(point):
    request = {**question(), "subject": {"type": "user"}, "page": {"limit": 1}}
    token = (await point.ask("search/subject", request))["page"]["next_token"]
    assert "alice" not in token
    for forged in (token[:-3] + "AAA", "AAAA", "é", "=", token * 20):
        answer = await point.post("search/subject", {**request, "page": {"token": forged}})
        assert answer.status_code == 400


async def test_a_search_looks_at_a_bounded_number_of_candidates(point):
    await point.put(**{f"n{number:04d}": "nobody" for number in range(600)})
    request = {**question(action="write"), "subject": {"type": "user"}}
    request["resource"] = {"type": "project", "id": "record-2"}
    first = await point.ask("search/subject", request)
    assert first["page"]["next_token"], "not everybody was looked at"
    assert [one["id"] for one in first["results"]] == ["bob"]
    last = await point.ask("search/subject", {**request, "page": {"token": first["page"]["next_token"]}})
    assert last == {"page": {"next_token": "", "count": 0}, "results": []}


async def test_searches_at_once_are_bounded_and_said_to_be(point):
    request = {**question(), "subject": {"type": "user"}}
    answers = await asyncio.gather(*(point.post("search/subject", request) for _ in range(12)))
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 503)


async def test_a_revoked_token_asks_nothing_more(point):
    token = await token_for(point.company, "evaluate")
    assert (await point.post("evaluation", question(), token=token)).status_code == 200
    name = (await point.company.claims(token))["jti"]
    async with foundation(load_config(point.company.folder / "mintwarden.toml", environ={})) as base:
        now = base.clock.now()
        await base.store.revocations.revoke([Revocation(about="token", value=name, before=now, until=now + 900_000)])
    answer = await point.post("evaluation", question(), token=token)
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]

"""Owners and findings over HTTP."""

from __future__ import annotations

import asyncio

from tests.flow.company import Company
from tests.flow.test_admin_clients import send
from tests.flow.test_admin_frame import bearer, entries
from tests.flow.test_administration import problem


async def read(company: Company, path: str, **params: str):
    headers = await bearer(company, "findings.read", "owners.read")
    return await company.http.get(f"/admin/v1{path}", params=params, headers=headers)


async def say(company: Company, finding: str, body: object, **headers: str):
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    token = await bearer(company, "findings.write")
    return await company.http.put(f"/admin/v1/findings/{finding}/state", json=body, headers={**token, **more})


async def test_owners_are_told_with_what_they_own(company):
    told = (await read(company, "/owners", limit="200")).json()["owners"]
    assert [(one["owner"], one["state"]) for one in told] == [("Payments", "unknown"), ("Token Governance", "present")]
    assert {"kind": "scope", "id": "payments:read"} in told[0]["owns"]
    assert {"kind": "source", "id": "directory"} in told[1]["owns"]


async def test_what_a_review_turned_up_is_listed_and_accepted_until_a_day(company):
    found = (await read(company, "/findings", kind="owner")).json()["findings"]
    assert [one["message"] for one in found] == ["the directory knows no such owner"]
    name = found[0]["id"]
    seen = await read(company, f"/findings/{name}")
    body = {"state": "accepted", "ticket": "GOV-1", "until": "2099-01-01T00:00:00Z"}
    missing = await say(company, name, body)
    assert (missing.status_code, problem(missing)) == (428, "precondition_required")
    done = await say(company, name, body, if_match=seen.headers["etag"])
    assert (done.status_code, done.json()["open"]) == (200, False)
    outrun = await say(company, name, {"state": "open"}, if_match=seen.headers["etag"])
    assert (outrun.status_code, problem(outrun)) == (412, "precondition_failed")
    assert (await read(company, "/findings", kind="owner", open="true")).json()["findings"] == []
    changes = [entry["detail"] for entry in await entries(company, "configuration")]
    assert changes == [{"change": "finding state", "finding": name, "state": "accepted", "ticket": "GOV-1"}]


async def test_what_is_accepted_has_an_end_and_a_ticket(company):
    name = (await read(company, "/findings")).json()["findings"][0]["id"]
    for body in (
        {"state": "accepted"},
        {"state": "accepted", "ticket": "GOV-1"},
        {"state": "accepted", "ticket": "GOV-1", "until": "2020-01-01T00:00:00Z"},
        {"state": "open", "ticket": "GOV-1", "until": "2099-01-01T00:00:00Z"},
        {"state": "closed"},
    ):
        refused = await say(company, name, body, if_match="*")
        assert (refused.status_code, problem(refused)) == (400, "invalid_request"), body
    assert (await say(company, "nonsense", {"state": "open"}, if_match="*")).status_code == 404


async def test_of_two_that_speak_at_once_one_is_heard(company):
    name = (await read(company, "/findings")).json()["findings"][0]["id"]
    tag = (await read(company, f"/findings/{name}")).headers["etag"]
    answers = await asyncio.gather(
        *(say(company, name, {"state": "acknowledged", "ticket": f"T-{n}"}, if_match=tag) for n in range(4))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]


async def test_the_scopes_of_clients_open_no_findings(company):
    assert (await send(company, "PUT", "/findings/x/state", {"state": "open"}, if_match="*")).status_code == 403

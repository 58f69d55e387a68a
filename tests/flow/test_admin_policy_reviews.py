"""Reviews of the policy over HTTP: asked for, done in a process of their own, and the same as the commands say."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx2
import pytest
from msgspec import Struct

from mintwarden.policy.bundle.load import build_bundle
from mintwarden.web.admin.resources.reviews import ASKED, AT_ONCE
from tests.flow.company import PAYMENTS, Company, running
from tests.flow.process import run
from tests.flow.test_admin_clients import fresh
from tests.flow.test_admin_frame import bearer, entries
from tests.flow.test_admin_governance import files_of
from tests.flow.test_administration import problem

PATIENCE = 120.0
READ = (
    "policy.read", "policy.propose", "impact.read", "reach.read", "exceptions.read", "facts.read", "decisions.read",
    "proposals.read",
)  # fmt: skip
RULE_FILE = "rules/all.cedar"
SCENARIOS = """
[[scenario]]
id = "the-batch-reads"
why = "the batch settles"
[scenario.given]
client = "batch"
grant = "client_credentials"
audience = "payments"
scopes = ["payments:read"]
now = "2026-11-24T10:00:00Z"
[scenario.expect]
granted = ["payments:read"]
"""
ASSERTION = """
[[assertion]]
id = "programs-never-write"
says = "no program is issued payments:write"
[assertion.never]
types = ["Workload"]
scopes = ["payments:write"]
"""
ZOE = {"groups": ["finance"], "facts": {"department": "finance"}}
OBSERVED = """[audience]
mode = "observe"
"""
MAPPING = """
[legacy]
everyone = ["ledger:read"]
[readiness]
days = 1
min_decisions = 1
[scopes."""


def edit(bundle: Path) -> None:
    """Give the company a scenario, an assertion, and an audience that observes."""
    for file, text in (("tests/all.toml", SCENARIOS), ("assertions/all.toml", ASSERTION)):
        (bundle / file).parent.mkdir()
        (bundle / file).write_text(text)
    ledger = bundle / "audiences/ledger.toml"
    ledger.write_text(ledger.read_text().replace("[audience]\n", OBSERVED).replace("\n[scopes.", MAPPING))


@contextlib.asynccontextmanager
async def opened(folder: Path, **more: Any) -> AsyncIterator[Company]:
    async with running(folder, edit=edit, **more) as company:
        yield company


@pytest.fixture
async def company(tmp_path: Path) -> AsyncIterator[Company]:
    async with opened(tmp_path) as company:
        yield company


class Caller(Struct, frozen=True):
    """Somebody with a token."""

    company: Company
    headers: Mapping[str, str]

    async def get(self, path: str) -> httpx2.Response:
        return await self.company.http.get(f"/admin/v1{path}", headers=self.headers)

    async def ask(self, kind: str, body: object = None, **headers: str) -> httpx2.Response:
        sent = {**self.headers, **fresh(), **{name.replace("_", "-"): value for name, value in headers.items()}}
        return await self.company.http.post(f"/admin/v1/reviews/{kind}", json=body or {}, headers=sent)

    async def end(self, name: str) -> httpx2.Response:
        return await self.company.http.delete(f"/admin/v1/reviews/{name}", headers=self.headers)

    async def ended(self, name: str) -> dict[str, Any]:
        """The review at its end."""
        async with asyncio.timeout(PATIENCE):
            while True:
                told: dict[str, Any] = (await self.get(f"/reviews/{name}")).json()
                if told["state"] not in ("waiting", "running"):
                    return told
                await asyncio.sleep(0.2)

    async def done(self, kind: str, body: object = None) -> dict[str, Any]:
        """What came of a review."""
        asked = await self.ask(kind, body)
        assert asked.status_code == 202, asked.text
        assert asked.headers["location"] == f"/admin/v1/reviews/{asked.json()['id']}"
        assert asked.json()["state"] == "waiting"
        told = await self.ended(asked.json()["id"])
        assert told["state"] == "done", told
        return told


async def caller(company: Company, *scopes: str) -> Caller:
    return Caller(company, await bearer(company, *scopes))


async def said(company: Company, *words: str) -> Any:
    """What a command prints for a machine, over the same store."""
    config = str(company.folder / "mintwarden.toml")
    with_store = () if words[1] in ("test", "prove", "diff") else ("--config", config)
    _, out, err = await run(*words, "--json", *with_store)
    try:
        return json.loads(out)
    except ValueError:
        assert out, err
        return [json.loads(line) for line in out.splitlines()]


def without(told: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """What does not go on while somebody looks."""
    return {name: value for name, value in told.items() if name not in names}


async def test_every_review_says_what_its_command_says(company):
    by = await caller(company, *READ)
    bundle = str(company.folder / "bundle")
    person = company.signed_in("alice", int(time.time()), amr=["pwd"])
    assert (await company.exchange("helper", person, scope="payments:read", resource=PAYMENTS)).status_code == 200
    at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"

    told = await by.done("lint", {"exceptions": True})
    assert told["result"] == await said(company, "policy", "lint", bundle)
    assert told["ok"] == told["result"]["ok"]
    assert told["renderings"]["sarif"]["version"] == "2.1.0"
    told = await by.done("test", {"mutants": True, "at_least": 1})
    assert told["result"] == await said(company, "policy", "test", bundle, "--mutants", "--at-least", "1")
    assert told["result"]["mutants"]
    assert ET.fromstring(told["renderings"]["junit"]).find(".//testcase") is not None
    told = await by.done("prove")
    assert told["result"] == await said(company, "policy", "prove", bundle)
    assert (told["ok"], told["versions"]) == (True, [told["result"]["digest"]])

    told = await by.done("who-can", {"scope": "payments:read", "at": at, "facts": True})
    assert told["result"] == await said(company, "policy", "who-can", "payments:read", "--at", at)
    assert "User:alice" in [line.get("principal") for line in told["result"]]
    told = await by.done("what-can", {"principal": "User:alice", "at": at, "facts": True})
    assert told["result"] == await said(company, "policy", "what-can", "User:alice", "--at", at)
    told = await by.done("groups", {"at": at})
    assert told["result"] == await said(company, "policy", "groups", "--at", at)
    assert "finance" in [group["group"] for group in told["result"]["groups"]]

    told = await by.done("impact", {"since": "30d", "show_subjects": True})
    running_on = ("entries", "span", "outside")
    mine = await said(company, "policy", "impact", "active", "--since", "30d", "--show-subjects")
    assert without(told["result"], *running_on) == without(mine, *running_on)
    assert told["result"]["reproduced"]["same"] == told["result"]["decisions"] >= 2
    assert "markdown" in told["renderings"]
    told = await by.done("readiness", {"audience": "ledger"})
    mine = await said(company, "review", "readiness", "ledger")
    assert without(told["result"], "since", "until") == without(mine, "since", "until")
    told = await by.done("exception-report")
    assert without(told["result"], "at") == without(await said(company, "exception", "report"), "at")
    assert told["renderings"]["svg"].startswith("<svg")


async def test_versions_are_compared_and_replayed_and_the_next_step_is_handed_in(company):
    by = await caller(company, *READ)
    await company.token("batch", grant_type="client_credentials")
    files = files_of(company)
    files[RULE_FILE] = files[RULE_FILE].replace('principal == Workload::"batch"', 'principal == Workload::"nobody"')
    digest = await handed_in(by, files)
    other = company.folder / "other"
    for name, text in files.items():
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_text(text)
    told = await by.done("diff", {"version": digest})
    assert told["result"] == await said(company, "policy", "diff", str(company.folder / "bundle"), str(other))
    assert (told["ok"], told["versions"][1]) == (False, digest)
    assert "payments:read" in told["renderings"]["markdown"]
    told = await by.done("impact", {"version": digest, "fail_on": ["lost"]})
    assert (told["ok"], told["result"]["failing"]) == (False, ["lost"])
    told = await by.done("who-can", {"version": digest, "scope": "payments:read"})
    assert "Workload:batch" not in [line.get("principal") for line in told["result"]]

    refused = await by.done("promote", {"audience": "ledger"})
    assert (refused["ok"], refused["result"]["written"], refused["result"]["ready"]) == (False, False, False)
    versions = (await by.get("/versions")).json()["versions"]
    assert refused["result"]["digest"] not in [version["digest"] for version in versions]
    told = await by.done("promote", {"audience": "ledger", "despite": "the old server ends"})
    step = told["result"]
    assert (told["ok"], step["file"], step["before"], step["after"]) == (
        True, "audiences/ledger.toml", "observe", "enforce",
    )  # fmt: skip
    versions = (await by.get("/versions")).json()["versions"]
    assert step["digest"] in [version["digest"] for version in versions]
    ready = await by.done("diff", {"version": step["digest"]})
    assert ready["result"]["verdict"] != "equal"


async def test_facts_are_supposed_and_shown_to_whom_may_see_them_alone(company):
    by = await caller(company, "reach.read")
    about = {"scope": "payments:read", "suppose": {"User:zoe": {"directory": ZOE}}}
    told = await by.done("who-can", about)
    lines = {line.get("principal"): line for line in told["result"]}
    assert "User:zoe" in lines
    assert lines["User:alice"]["facts"] == []
    refused = await by.ask("who-can", {**about, "facts": True})
    assert (refused.status_code, problem(refused)) == (403, "insufficient_scope")
    assert 'scope="mintwarden:facts.read"' in refused.headers["www-authenticate"]
    page = await by.done("who-can", {"scope": "payments:read", "limit": 1})
    rest = await by.done("who-can", {"scope": "payments:read", "after": page["result"][-1]["next"]})
    assert len(page["result"]) == 2
    assert page["result"][0]["principal"] < rest["result"][0]["principal"]


async def test_what_makes_no_sense_fails_with_its_reason(company):
    by = await caller(company, *READ)
    for kind, body, why in (
        ("who-can", {"scope": "payments:raed"}, "there is no scope `payments:raed`"),
        ("what-can", {"principal": "User:alice", "audiences": ["moon"]}, "there is no audience `moon`"),
        ("groups", {"suppose": {"User:a": {"moon": {}}}}, "no source `moon` is about `User`"),
        ("impact", {"since": "yesterday"}, "`yesterday` is no time"),
        ("readiness", {"audience": "payments"}, ""),
        ("promote", {"audience": "payments"}, "audience `payments` is in `enforce`"),
    ):
        asked = await by.ask(kind, body)
        assert asked.status_code == 202, asked.text
        told = await by.ended(asked.json()["id"])
        assert (told["state"], told["result"]) == ("failed", None) if why else ("done", told["result"])
        assert told["failure"].startswith(why)


# -- who may ------------------------------------------------------------------------------------------------------

NEEDED = {
    "lint": ({}, "policy.read"),
    "test": ({}, "policy.read"),
    "prove": ({}, "policy.read"),
    "diff": ({"version": "active"}, "policy.read"),
    "impact": ({}, "impact.read"),
    "who-can": ({"scope": "payments:read"}, "reach.read"),
    "what-can": ({"principal": "User:alice"}, "reach.read"),
    "groups": ({}, "reach.read"),
    "readiness": ({"audience": "ledger"}, "impact.read"),
    "promote": ({"audience": "ledger"}, "policy.propose"),
    "exception-report": ({}, "exceptions.read"),
}


def test_every_review_is_here():
    assert list(NEEDED) == [shape.kind for shape in ASKED]


async def test_each_review_needs_its_scope_and_no_other_will_do(company):
    everything = {"policy.read", "policy.propose", "impact.read", "reach.read", "exceptions.read", "decisions.read"}
    for scope in {scope for _, scope in NEEDED.values()}:
        by = await caller(company, *sorted(everything - {scope}))
        for kind, (body, needed) in NEEDED.items():
            if needed == scope:
                refused = await by.ask(kind, body)
                assert (refused.status_code, problem(refused)) == (403, "insufficient_scope"), kind
                assert f'scope="mintwarden:{scope}"' in refused.headers["www-authenticate"]
    assert {entry["detail"]["outcome"] for entry in await entries(company)} == {"refused"}


@pytest.mark.parametrize(
    ("kind", "body", "more"),
    [
        ("lint", {"exceptions": True}, "exceptions.read"),
        ("impact", {"show_subjects": True}, "decisions.read"),
        ("impact", {"show_values": True}, "decisions.read"),
        ("readiness", {"audience": "ledger", "show_subjects": True}, "decisions.read"),
        ("what-can", {"principal": "User:alice", "facts": True}, "facts.read"),
        ("groups", {"facts": True}, "facts.read"),
    ],
)
async def test_whom_it_names_and_what_it_shows_needs_a_scope_beside(company, kind, body, more):
    by = await caller(company, *(scope for scope in READ if scope != more))
    refused = await by.ask(kind, body)
    assert (refused.status_code, problem(refused)) == (403, "insufficient_scope")
    assert f'scope="mintwarden:{more}"' in refused.headers["www-authenticate"]


PRYING = """
@id("prying")
@owner("Eve")
@reason("whether alice is in finance")
permit (principal == User::"alice", action == Action::"issue", resource == Scope::"ledger:read")
when { principal in Group::"finance" };
"""
OF_FACTS = {"impact", "who-can", "what-can", "groups", "readiness", "promote"}


async def handed_in(by: Caller, files: dict[str, str]) -> str:
    kept = await by.company.http.post("/admin/v1/versions", json={"files": files}, headers={**by.headers, **fresh()})
    assert kept.status_code in (200, 201), kept.text
    return str(kept.json()["digest"])


async def test_a_rule_that_nobody_else_has_looked_at_tells_nothing_about_people(company):
    """Whoever may propose writes a rule that tests a fact; what comes of it would say of whom the rule holds."""
    by = await caller(company, *(scope for scope in READ if scope != "proposals.read"))
    files = files_of(company)
    digest = await handed_in(by, {**files, RULE_FILE: files[RULE_FILE] + PRYING})
    recorded = len(await entries(company))
    for kind, (body, _) in NEEDED.items():
        refused = await by.ask(kind, {**body, "version": digest} if kind != "exception-report" else body)
        if kind not in OF_FACTS:
            assert refused.status_code == 202, (kind, refused.text)
            await by.end(refused.json()["id"])
            continue
        assert (refused.status_code, problem(refused)) == (403, "insufficient_scope"), kind
        assert 'scope="mintwarden:proposals.read"' in refused.headers["www-authenticate"]
        assert (await by.ask(kind, {**body, "version": "sha256:" + "1" * 64})).status_code == 403, kind
    mine = [entry["detail"] for entry in (await entries(company))[recorded:]]
    assert {
        (one["operation"].removeprefix("reviews."), one["outcome"]) for one in mine if one["outcome"] == "refused"
    } == {(kind.replace("-", "_"), "refused") for kind in OF_FACTS}
    other = await caller(company, "reach.read", "proposals.read")
    asked = await other.ask("who-can", {"scope": "ledger:read", "version": digest})
    assert asked.status_code == 202, asked.text
    assert (await by.get(f"/reviews/{asked.json()['id']}")).status_code == 403, "nor may it be looked at"


async def test_another_without_the_scope_reads_no_review(company):
    by = await caller(company, "reach.read", "policy.read")
    name = (await by.ask("what-can", {"principal": "User:alice"})).json()["id"]
    await by.ended(name)
    other = await caller(company, "policy.read", "impact.read", "policy.propose", "exceptions.read")
    refused = await other.get(f"/reviews/{name}")
    assert (refused.status_code, problem(refused)) == (403, "insufficient_scope")
    assert "alice" not in refused.text
    assert (await other.end(name)).status_code == 403
    assert (await other.get("/reviews")).json() == {"reviews": [], "cursor": ""}
    mine = (await by.get("/reviews")).json()["reviews"]
    assert [(one["id"], one["result"]) for one in mine] == [(name, None)]


async def test_a_review_is_ended_and_forgotten(company):
    by = await caller(company, "policy.read")
    name = (await by.ask("lint")).json()["id"]
    assert (await by.end("01a21671-0000-7000-8000-000000000000")).status_code == 404
    assert (await by.end(name)).json()["state"] == "cancelled"
    assert (await by.get(f"/reviews/{name}")).json()["state"] == "cancelled"
    assert (await by.end(name)).status_code == 200
    assert (await by.get(f"/reviews/{name}")).status_code == 404


# -- what is sent ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("lint", {"version": "../../etc/passwd"}, 400),
        ("lint", {"version": "git:HEAD:policy"}, 400),
        ("lint", {"version": "file:///etc"}, 400),
        ("lint", {"version": "sha256:" + "0" * 64}, 404),
        ("diff", {}, 400),
        ("diff", {"version": "active", "base": "sha256:" + "1" * 64}, 404),
        ("test", {"at_least": 101}, 400),
        ("test", {"mutants": "yes"}, 400),
        ("prove", {"version": "active", "command": "rm"}, 400),
        ("impact", {"version": "active", "under": ["/etc"]}, 400),
        ("impact", {"clients": ["x"] * 101}, 400),
        ("impact", {"since": "30d; rm -rf /"}, 400),
        ("who-can", {"scope": ""}, 400),
        ("who-can", {"scope": "payments:read", "limit": 100000}, 400),
        ("who-can", {"scope": "payments:read", "hops": 9}, 400),
        ("who-can", {"scope": "payments:read", "processes": 64}, 400),
        ("who-can", {"scope": "payments:read", "at": "noon"}, 400),
        ("who-can", {"scope": "payments:read", "suppose": []}, 400),
        ("what-can", {"principal": "alice"}, 400),
        ("what-can", {"principal": "User:al\nice"}, 400),
        ("groups", {"tried": 1_000_000}, 400),
        ("promote", {"audience": "ledger", "to": "observe"}, 400),
        ("exception-report", {"svg": "/tmp/x"}, 400),
        ("lint", {"version": "active", "padding": "x" * 70_000}, 413),
        ("groups", {"suppose": {"User:a": {"directory": {"groups": ["x" * 1_100_000]}}}}, 413),
        ("nonsense", {}, 405),
    ],
)
async def test_what_is_asked_for_is_read_strictly(company, kind, body, status):
    by = await caller(company, *READ)
    refused = await by.ask(kind, body)
    assert refused.status_code == status, refused.text
    assert (await by.get("/reviews")).json() == {"reviews": [], "cursor": ""}


async def test_a_review_that_is_asked_for_twice_with_one_key_is_done_once(company):
    by = await caller(company, "policy.read")
    first = await by.ask("lint", {}, idempotency_key="the-same-key-1")
    again = await by.ask("lint", {}, idempotency_key="the-same-key-1")
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["location"] == first.headers["location"]
    assert len((await by.get("/reviews")).json()["reviews"]) == 1
    other = await by.ask("lint", {"exceptions": False}, idempotency_key="the-same-key-1")
    assert (other.status_code, problem(other)) == (422, "key_reused")


async def test_nobody_has_more_than_a_few_under_way(company):
    by = await caller(company, "policy.read")
    names = [(await by.ask("lint")).json()["id"] for _ in range(AT_ONCE)]
    refused = await by.ask("lint")
    assert (refused.status_code, problem(refused)) == (429, "too_many_requests")
    assert refused.headers["retry-after"] == "5"
    await by.end(names[-1])
    assert (await by.ask("lint")).status_code == 202


async def test_each_call_is_in_the_ledger_before_and_names_nobody(company):
    by = await caller(company, *READ)
    name = (await by.ask("what-can", {"principal": "User:alice"})).json()["id"]
    await by.get(f"/reviews/{name}")
    await by.ask("readiness", {"audience": "ledger"})
    digest = "sha256:" + "0" * 64
    await by.ask("who-can", {"scope": "payments:read", "version": digest})
    found = [entry["detail"] for entry in await entries(company)]
    said = [(one["operation"], one["outcome"], one.get("target", "")) for one in found]
    assert said == [
        ("reviews.what_can", "permitted", "active"),
        ("reviews.show", "permitted", name),
        ("reviews.readiness", "permitted", "ledger"),
        ("reviews.who_can", "permitted", digest),
    ]
    assert "alice" not in json.dumps(found)


async def test_what_tells_of_people_is_gone_with_an_erasure(company):
    person = company.signed_in("alice", int(time.time()), amr=["pwd"])
    assert (await company.exchange("helper", person, scope="payments:read", resource=PAYMENTS)).status_code == 200
    by = await caller(company, *READ)
    people, policy = await by.done("what-can", {"principal": "User:alice"}), await by.done("lint")
    eraser = await bearer(company, "subjects.erase", **fresh())
    erased = await company.http.post(
        "/admin/v1/erasures", json={"subject": "User:alice", "ticket": "DPO-1"}, headers=eraser
    )
    assert erased.status_code in (200, 201), erased.text
    assert (await by.get(f"/reviews/{people['id']}")).json()["result"] is None
    assert (await by.get(f"/reviews/{policy['id']}")).json()["result"] is not None


async def test_one_that_takes_too_long_has_failed(tmp_path):
    async with opened(tmp_path, more='[reviews]\ntimeout = "50ms"\n') as company:
        by = await caller(company, "policy.read")
        told = await by.ended((await by.ask("prove")).json()["id"])
        assert (told["state"], told["hint"]) == ("failed", "ask for less at once, or see `reviews.timeout`")
        assert told["failure"].startswith("it took longer than")
        assert told["result"] is None


@pytest.mark.xdist_group("postgres")
async def test_a_review_reads_and_writes_postgresql_as_well(tmp_path, new_database):
    async with opened(tmp_path, more=f'[store]\nurl = "{new_database()}"\n') as company:
        by = await caller(company, *READ)
        told = await by.done("who-can", {"scope": "payments:read"})
        assert "User:alice" in [line.get("principal") for line in told["result"]]
        told = await by.done("impact", {"since": "1d"})
        assert told["result"]["reproduced"]["same"] == told["result"]["decisions"] >= 1
        told = await by.done("promote", {"audience": "ledger", "despite": "the old server ends"})
        versions = (await by.get("/versions")).json()["versions"]
        assert told["result"]["digest"] in [version["digest"] for version in versions]


async def test_tokens_are_issued_while_a_review_runs(company):
    by = await caller(company, "policy.read")
    name = (await by.ask("test", {"mutants": True})).json()["id"]
    issued = 0
    async with asyncio.timeout(PATIENCE):
        while (await by.get(f"/reviews/{name}")).json()["state"] in ("waiting", "running"):
            for _ in range(200):  # between two looks, of which nobody may take too many at once
                await company.token("batch", grant_type="client_credentials", scope="payments:read")
                issued += 1
    assert issued
    assert (await by.ended(name))["state"] == "done"


async def test_the_version_that_is_looked_at_is_named_by_what_it_holds(company):
    by = await caller(company, *READ)
    files = files_of(company)
    assert (await by.done("prove"))["versions"] == [build_bundle(files).digest]

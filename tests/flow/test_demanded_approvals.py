"""Approvals that rules demand (`@require_approval`), asked for, given and used up, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from msgspec.structs import replace

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.story import tell
from mintwarden.authn.ports import ClientSecret
from mintwarden.authn.secrets import generate_secret, hash_secret
from mintwarden.authn.shelf import Shelf
from mintwarden.issue.approval_requests import REQUEST, ApprovalRequest
from mintwarden.model.ids import decision_bytes
from mintwarden.model.values import EntityUid
from tests.flow.authorizing import BACK, Asking, Desk, desk
from tests.flow.browser import Browser, Form
from tests.flow.company import CLIENT, EXCHANGE, PAYMENTS
from tests.flow.test_device_code import acts, error

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADMIN = "https://tokens.example.com/admin"
ACCESS = "urn:ietf:params:oauth:token-type:access_token"
SOURCE = """
[sources.approved]
kind = "approvals"
about = ["Agent"]
description = "What somebody in finance looked at"
[sources.approved.approvers.lead]
meaning = "I looked at the payment that the agent wants to make"
groups = ["finance"]
lasts = "10m"
"""
RULES = """
@id("butler-reads") @owner("Payments") @reason("it reads for people")
permit (principal is Agent, action == Action::"act", resource == Scope::"payments:read")
when { context.client.id == "butler" || context.client.id == "valet" };
@id("butler-pays") @owner("Payments") @reason("it pays once somebody else looked at it")
@require_approval("lead")
permit (principal is Agent, action == Action::"act", resource == Scope::"payments:write")
when { context.client.id == "butler" || context.client.id == "valet" };
@id("finance-looks") @owner("Token Governance") @reason("finance approves, and takes approvals back")
permit (principal is User, action == Action::"issue", resource in Audience::"mintwarden")
when { principal in Group::"finance" && resource.name like "mintwarden:approvals.*" };
"""
DESCRIBED = """
[client_id_metadata]
hosts = ["127.0.0.1"]
kind = "mcp"
owner = "Nobody in particular"
environments = ["production"]
grants = ["token_exchange"]
[client_id_metadata.ceilings]
payments = ["payments:read"]
"""
SECRETS = {name: generate_secret(secrets.token_bytes) for name in ("butler", "valet")}


def edit(bundle: Path) -> None:
    sources = bundle / "sources.toml"
    sources.write_text(sources.read_text() + SOURCE)
    for name in SECRETS:
        text = CLIENT.format(
            id=name,
            kind="agent",
            method="client_secret_basic",
            grants='"token_exchange", "authorization_code", "refresh_token"',
            more=f'serves = ["payments"]\nredirect_uris = ["{BACK}"]',
            ceilings='payments = "*"',
        )
        (bundle / f"clients/{name}.toml").write_text(text)
    web = bundle / "clients/web.toml"
    web.write_text(web.read_text().replace('ledger = "*"', 'ledger = "*"\nmintwarden = "*"'))
    head = bundle / "bundle.toml"
    head.write_text(
        head.read_text()
        + '\n[purposes.rent]\nmeaning = "The rent"\n[purposes.fun]\nmeaning = "Fun"\n[purposes.books]\nmeaning = "Books"\n'
        + DESCRIBED
    )


class House:
    """The company, an agent of its people, and who looks at what it wants."""

    def __init__(self, here: Desk) -> None:
        self.here = here
        self.browsers: dict[str, Browser] = {}
        self.tokens: dict[str, str] = {}

    async def browser(self, person: str) -> Browser:
        """Somebody's, signed in."""
        if person not in self.browsers:
            self.here.corp.subject = person
            try:
                self.browsers[person] = Browser(self.here.company)
                await self.here.through(await self.browsers[person].get("/approvals"), self.browsers[person])
            finally:
                self.here.corp.subject = "alice"
        return self.browsers[person]

    async def token(self, person: str, scope: str, resource: str) -> str:
        """Somebody's own token at the portal."""
        if (key := f"{person} {scope}") not in self.tokens:
            asking = Asking("web", BACK, scope=scope, resource=resource)
            code = await self.here.code(asking, await self.browser(person))
            answer = await self.here.redeem(asking, code)
            assert answer.status_code == 200, answer.text
            self.tokens[key] = answer.json()["access_token"]
        return self.tokens[key]

    async def form(self, person: str = "alice", **changes: str) -> dict[str, str]:
        return {
            "grant_type": EXCHANGE,
            "subject_token": await self.token(person, "payments:read payments:write", PAYMENTS),
            "subject_token_type": ACCESS,
            "scope": "payments:write",
            "resource": PAYMENTS,
        } | changes

    async def pays(self, client: str = "butler", **changes: str) -> httpx2.Response:
        form = await self.form(**changes)
        return await self.here.company.http.post("/token", data=form, auth=(client, SECRETS[client]))

    async def asks(self, client: str = "butler", **changes: str) -> httpx2.Response:
        form = await self.form(**changes)
        return await self.here.company.http.post("/approval-requests", data=form, auth=(client, SECRETS[client]))

    async def waiting(self, client: str = "butler", **changes: str) -> str:
        answer = await self.asks(client, **changes)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["approval_requests"][0]["id"])

    async def waiting_for(self, person: str) -> int:
        """How many requests of others wait for somebody, as their own page of questions says."""
        page = await (await self.browser(person)).get("/approvals", accept_language="en")
        found = re.search(r"Others need your approval \((\d+)\)", page.text)
        return int(found[1]) if found else 0

    async def page(self, person: str, name: str) -> httpx2.Response:
        return await (await self.browser(person)).get("/approvals/requests", {"r": name})

    async def says(self, person: str, name: str, decision: str = "allow", **changes: str) -> httpx2.Response:
        page = await self.page(person, name)
        assert page.status_code == 200, page.text
        fields = Form(page.text).fields
        sent = {"r": fields["r"], "seen": fields["seen"], "csrf": fields["csrf"], "decision": decision} | changes
        return await (await self.browser(person)).post("/approvals/requests/decide", sent)

    async def admin(self, person: str, method: str, path: str, **more: Any) -> httpx2.Response:
        names = " ".join(f"mintwarden:approvals.{name}" for name in ("read", "decide", "revoke"))
        bearer = {"authorization": f"Bearer {await self.token(person, names, ADMIN)}"}
        key = {"idempotency-key": secrets.token_hex(8)} if method == "POST" else {}
        return await self.here.company.http.request(method, f"/admin/v1{path}", headers=bearer | key, **more)

    async def risk(self, score: int) -> None:
        operator = await self.here.company.token(
            "operator", grant_type="client_credentials", scope="mintwarden:facts.write", resource=ADMIN
        )
        document = {"entity": "User:alice", "source": "risk", "facts": {"score": score}}
        answer = await self.here.company.http.put(
            "/admin/v1/facts", json={"documents": [document]}, headers={"authorization": f"Bearer {operator}"}
        )
        assert answer.status_code == 200, answer.text


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    people = ("alice", "dave")
    async with desk(tmp_path_factory.mktemp("desk"), rules=RULES, edit=edit, people=people) as made:
        async with foundation(load_config(made.company.folder / "mintwarden.toml", environ={})) as base:
            rows = [
                ClientSecret(client_id=n, scheme="hmac-sha256", digest=hash_secret(base.pepper, s), created_at=0)
                for n, s in SECRETS.items()
            ]
            await base.store.credentials.add_secrets(rows)
        yield House(made)


async def test_a_refusal_says_which_approval_and_where_it_is_asked_for(house: House) -> None:
    answer = await house.pays()
    assert error(answer) == (400, "invalid_scope")
    said = answer.json()
    assert said["approvals"] == [{"approval": "lead", "for": "payments:write"}]
    assert said["approval_request_endpoint"] == "https://tokens.example.com/approval-requests"
    metadata = (await house.here.company.http.get("/.well-known/openid-configuration")).json()
    assert metadata["approval_request_endpoint"] == said["approval_request_endpoint"]


async def test_what_somebody_else_approved_is_issued_once(house: House) -> None:
    others = await house.waiting_for("dave")
    asked = await house.asks(purpose="rent", binding_message="Rent of May")
    assert asked.status_code == 200, asked.text
    (told,) = asked.json()["approval_requests"]
    assert (told["approval"], told["for"], told["state"]) == ("lead", "payments:write", "pending")
    assert await house.waiting(purpose="rent") == told["id"], "the same question is one request"
    assert error(await house.pays(purpose="rent")) == (400, "invalid_scope"), "nobody answered yet"
    queue = await (await house.browser("dave")).get("/approvals/requests")
    assert "Make payments" in queue.text
    assert await house.waiting_for("dave") == others + 1
    page = await house.page("dave", told["id"])
    for shown in (
        "User:alice",
        "Agent:butler",
        "Make payments",
        "payments:write",
        "rent",
        "Rent of May",
        "127.0.0.1",
        "production",
    ):
        assert shown in page.text, shown
    answered = await house.says("dave", told["id"])
    assert answered.status_code == 200, answered.text
    tokens = await house.pays(purpose="rent")
    assert tokens.status_code == 200, tokens.text
    claims = await house.here.company.claims(tokens.json()["access_token"])
    assert (claims["sub"], claims["act"]["sub"], claims["scope"]) == ("alice", "butler", "payments:write")
    assert error(await house.pays(purpose="rent")) == (400, "invalid_scope"), "it was used up"
    async with foundation(load_config(house.here.company.folder / "mintwarden.toml", environ={})) as base:
        story = await tell(base, decision_bytes(claims["jti"]))
    assert story is not None
    assert story["replay"] == "same"
    assert claims["exp"] - claims["iat"] <= 600
    said = [act for act in await acts(house.here) if act["detail"]["how"] == "rule"]
    assert [act["detail"]["what"] for act in said[-2:]] == ["requested", "approved"]
    assert {act["detail"]["request"] for act in said[-2:]} == {told["id"]}
    text = json.dumps(said)
    assert "alice" not in text
    assert "Rent of May" not in text, "what is personal is sealed"


async def test_of_two_at_once_one_uses_it_up(house: House) -> None:
    await house.says("dave", await house.waiting(purpose="fun"))
    answers = await asyncio.gather(*(house.pays(purpose="fun") for _ in range(4)))
    assert sum(answer.status_code == 200 for answer in answers) == 1
    assert {answer.status_code for answer in answers} <= {200, 400, 503}
    assert error(await house.pays(purpose="fun")) == (400, "invalid_scope")


async def test_an_approval_is_for_what_was_looked_at_and_nothing_else(house: House) -> None:
    """Another client, another purpose, another scope: there is no approval to steal."""
    await house.says("dave", await house.waiting(purpose="rent"))
    assert error(await house.pays("valet", purpose="rent")) == (400, "invalid_scope")
    assert error(await house.pays(purpose="fun")) == (400, "invalid_scope")
    assert error(await house.pays()) == (400, "invalid_scope")
    assert error(await house.pays(person="dave", purpose="rent")) == (400, "invalid_scope")
    assert (await house.pays(purpose="rent")).status_code == 200


async def test_nobody_approves_what_is_done_for_them(house: House) -> None:
    name = await house.waiting(purpose="books")
    page = await house.page("alice", name)
    assert page.status_code == 403, "she is in finance, and it is for her"
    assert name not in (await (await house.browser("alice")).get("/approvals/requests")).text
    seen = next(
        one["seen"]
        for one in (await house.admin("alice", "GET", "/approval-requests")).json()["approval_requests"]
        if one["id"] == name
    )
    said = {"decision": "approve", "seen": seen}
    answer = await house.admin("alice", "POST", f"/approval-requests/{name}/answer", json=said)
    assert "nobody approves what they ask for themselves" in answer.text
    assert error(await house.pays(purpose="books")) == (400, "invalid_scope")
    await house.says("dave", name, "deny")


async def test_whom_the_bundle_does_not_name_sees_nothing(house: House) -> None:
    name = await house.waiting("valet", purpose="fun")
    assert (await house.page("carol", name)).status_code == 404
    assert name not in (await (await house.browser("carol")).get("/approvals/requests")).text


async def test_a_client_whose_document_is_gone_hides_no_other_request(house: House) -> None:
    """It describes itself, asks, and is not to be had any more: whoever approves still sees everything."""
    name = await house.waiting("valet", purpose="rent", person="dave")
    gone = "http://127.0.0.1:9/gone.json"
    async with foundation(load_config(house.here.company.folder / "mintwarden.toml", environ={})) as base:
        shelf = Shelf(REQUEST, ApprovalRequest, states=base.store.states, seal=base.master)
        held = await shelf.get(name, 0)
        assert held is not None
        within = replace(held.value.wanted.circumstances, client_id=gone)
        wanted = replace(held.value.wanted, circumstances=within)
        asked = replace(held.value, wanted=wanted, client=EntityUid("Workload", gone))
        await shelf.add(wanted.id, asked, ends=held.state.expires_at, owner=wanted.approval)
    page = await (await house.browser("alice")).get("/approvals/requests")
    assert page.status_code == 200
    assert name in page.text
    assert wanted.id in page.text
    assert gone in (await house.page("alice", wanted.id)).text
    assert "It is not approved" in (await house.says("alice", wanted.id, "deny")).text
    await house.says("alice", name, "deny")


async def test_what_was_refused_is_not_asked_again(house: House) -> None:
    name = await house.waiting("valet", purpose="rent")
    answered = await house.says("dave", name, "deny")
    assert "It is not approved" in answered.text
    assert error(await house.asks("valet", purpose="rent")) == (400, "access_denied")
    assert error(await house.pays("valet", purpose="rent")) == (400, "invalid_scope")


async def test_a_form_counts_for_what_it_showed(house: House) -> None:
    first, other = await house.waiting("valet"), await house.waiting("valet", purpose="fun")
    fields = Form((await house.page("dave", other)).text).fields
    browser = await house.browser("dave")
    sent = {"r": first, "seen": fields["seen"], "csrf": fields["csrf"], "decision": "allow"}
    assert (await browser.post("/approvals/requests/decide", sent)).status_code == 400, "another request's form"
    assert (await house.says("dave", other, seen="0" * 64)).status_code == 400
    assert (await house.says("dave", other, decision="perhaps")).status_code == 400
    crossed = {"r": other, "seen": fields["seen"], "csrf": fields["csrf"], "decision": "allow"}
    assert (await browser.post("/approvals/requests/decide", crossed, origin="https://evil.example")).status_code == 400
    assert error(await house.pays("valet", purpose="fun")) == (400, "invalid_scope")
    assert (await browser.post("/approvals/requests/decide", crossed)).status_code == 200
    assert (await browser.post("/approvals/requests/decide", crossed)).status_code == 409, "the first answer stands"
    assert (await house.pays("valet", purpose="fun")).status_code == 200


async def test_the_queue_of_the_administration(house: House) -> None:
    name = await house.waiting(purpose="rent", person="dave")
    listed = (await house.admin("alice", "GET", "/approval-requests")).json()["approval_requests"]
    (told,) = [one for one in listed if one["id"] == name]
    assert (told["subject"], told["actors"], told["scope"]) == ("User:dave", ["Agent:butler"], "payments:write")
    bound = {"audience", "purpose", "environment", "tenant", "workspace", "project", "impersonates", "details"}
    assert bound <= told.keys(), "everything that an approval is bound to is shown to whoever gives it"
    path = f"/approval-requests/{name}"
    wrong = await house.admin("alice", "POST", f"{path}/answer", json={"decision": "approve", "seen": "0" * 64})
    assert wrong.status_code == 409, "not what stands there"
    said = {"decision": "approve", "seen": told["seen"]}
    answer = await house.admin("alice", "POST", f"{path}/answer", json=said)
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "approved"
    ended = await house.admin("alice", "POST", f"{path}/revocation", json={"reason": "a mistake"})
    assert (ended.status_code, ended.json()["state"]) == (200, "revoked")
    assert error(await house.pays(person="dave", purpose="rent")) == (400, "invalid_scope"), (
        "revoked before it was used"
    )
    assert (await acts(house.here))[-1]["detail"]["what"] == "revoked"


async def test_an_approval_lifts_no_guardrail(house: House) -> None:
    name = await house.waiting(purpose="fun")
    await house.says("dave", name)
    await house.risk(90)
    try:
        refused = await house.pays(purpose="fun")
        assert error(refused) == (400, "invalid_scope")
        assert "approvals" not in refused.json()
    finally:
        await house.risk(1)
    assert (await house.pays(purpose="fun")).status_code == 200, "and a refusal used nothing up"


async def test_what_a_person_could_not_be_offered_is_not_approved_afterwards(house: House) -> None:
    """A code's grant has no scope that lacked its approval; an exchange of the same agent's has (docs/approvals.md)."""
    auth = ("butler", SECRETS["butler"])
    asking = Asking("butler", BACK, scope="payments:read payments:write", resource=PAYMENTS)
    browser = await house.browser("alice")
    page = await house.here.through(await house.here.request(asking, browser), browser)
    assert "somebody has to approve it first" in page.text
    code = (await house.here.allow(page, browser)).headers["location"].split("code=")[1].split("&")[0]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": BACK,
        "code_verifier": asking.verifier,
    }
    told = (await house.here.company.http.post("/token", data=form, auth=auth)).json()
    assert told["scope"] == "payments:read"
    more = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"], "scope": "payments:write"}
    for path in ("/approval-requests", "/token"):
        answer = await house.here.company.http.post(path, data=more, auth=auth)
        assert error(answer) == (400, "invalid_scope"), path
    assert error(await house.pays()) == (400, "invalid_scope")
    assert (await house.asks()).status_code == 200


async def test_what_needs_no_approval_cannot_be_asked_for(house: House) -> None:
    assert error(await house.asks(scope="payments:read")) == (400, "invalid_request")
    assert error(await house.asks(binding_message=" padded")) == (400, "invalid_binding_message")
    form = await house.form()
    answer = await house.here.company.http.post("/approval-requests", data=form, auth=("butler", "wrong"))
    assert error(answer) == (401, "invalid_client")

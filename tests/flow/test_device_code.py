"""Devices that people connect elsewhere (RFC 8628), over real HTTP, with a person who signs in."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
import pytest_asyncio

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.memory import memory_of
from mintwarden.issue.confines import Confines
from mintwarden.issue.pending import Pending
from tests.flow.authorizing import Desk, desk
from tests.flow.browser import Browser, Form
from tests.flow.company import PAYMENTS

pytestmark = pytest.mark.asyncio(loop_scope="module")

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
CIBA = "urn:openid:params:grant-type:ciba"
CLIENT = """
[client]
id = "{id}"
name = "{name}"
kind = "{kind}"
owner = "Payments"
environments = ["production"]
authentication = ["none"]
grants = ["device_code", "refresh_token"]
[client.ceilings]
identity = "*"
payments = "*"
"""


def with_devices(bundle: Path) -> None:
    for name, kind in (("tv", "native"), ("radio", "native"), ("robot", "agent")):
        text = CLIENT.format(id=name, name=f"The {name}", kind=kind)
        (bundle / "clients" / f"{name}.toml").write_text(text)
    key = (bundle / "clients/signer.toml").read_text().partition("[[client.keys]]")[2]
    desk = CLIENT.format(id="desk", name="The desk", kind="web").replace('"none"', '"private_key_jwt"')
    desk = desk.replace('"device_code", ', '"ciba", ')
    (bundle / "clients" / "desk.toml").write_text(f"{desk}[[client.keys]]{key}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with desk(tmp_path_factory.mktemp("desk"), edit=with_devices) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(here: Desk) -> Browser:
    return Browser(here.company)


async def begin(here: Desk, client: str = "tv", **form: str) -> httpx2.Response:
    asked = {"client_id": client, "scope": "openid payments:read", **form}
    return await here.company.http.post("/device_authorization", data=asked)


async def poll(here: Desk, code: str, client: str = "tv", **form: str) -> httpx2.Response:
    asked = {"grant_type": GRANT, "device_code": code, "client_id": client, **form}
    return await here.company.http.post("/token", data=asked)


def error(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error", "")


async def enter(here: Desk, browser: Browser, code: str, *, to: str = "/device") -> httpx2.Response:
    """Sign in where need be, and type the code in."""
    page = await here.through(await browser.get(to), browser)
    assert page.status_code == 200, page.text
    return await browser.post("/device", Form(page.text).fields | {"user_code": code})


async def decide(browser: Browser, page: httpx2.Response, decision: str = "allow") -> httpx2.Response:
    fields = Form(page.text).fields
    sent = {"r": fields["r"], "seen": fields["seen"], "csrf": fields["csrf"], "decision": decision}
    return await browser.post("/approvals/decide", sent)


async def acts(here: Desk, kind: str = "approval") -> list[Any]:
    async with foundation(load_config(here.company.folder / "mintwarden.toml", environ={})) as base:
        while await base.store.tree.sequence(1_000):
            pass
        entries = [msgspec.json.decode(stored.entry) for stored in await base.store.entries.by_index(0, 10_000)]
    return [entry for entry in entries if entry["kind"] == kind]


async def test_a_device_gets_tokens_once_somebody_allowed_it(here: Desk, browser: Browser) -> None:
    answer = await begin(here)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    said = answer.json()
    assert said["verification_uri"] == "https://tokens.example.com/device"
    assert said["verification_uri_complete"].endswith(f"?user_code={said['user_code']}")
    assert (said["interval"], said["expires_in"]) == (5, 600)
    assert error(await poll(here, said["device_code"])) == (400, "authorization_pending")
    assert error(await poll(here, said["device_code"])) == (400, "slow_down")
    page = await enter(here, browser, said["user_code"].lower().replace("-", " "))
    assert page.status_code == 200, page.text
    for told in ("The tv", "Payments", said["user_code"], "Read payments", "127.0.0.1", "somebody send you here"):
        assert told.lower() in page.text.lower(), told
    done = await decide(browser, page)
    assert done.status_code == 200, done.text
    tokens = await poll(here, said["device_code"], resource=PAYMENTS)
    assert tokens.status_code == 200, tokens.text
    found = tokens.json()
    assert found["scope"] == "payments:read"
    assert found["id_token"]
    claims = await here.company.claims(found["access_token"])
    assert (claims["sub"], claims["client_id"]) == ("alice", "tv")
    again = {"grant_type": "refresh_token", "refresh_token": found["refresh_token"], "client_id": "tv"}
    renewed = await here.company.http.post("/token", data=again | {"resource": PAYMENTS})
    assert renewed.status_code == 200, renewed.text
    (act,) = [one for one in await acts(here) if one["detail"]["client"] == "tv"]
    assert act["detail"]["what"] == "allowed"
    assert act["detail"]["how"] == "device_code"
    assert act["detail"]["grant"] == claims["grant_id"]
    # single use: whoever comes with it again ends all that came of it
    assert error(await poll(here, said["device_code"])) == (400, "invalid_grant")
    again["refresh_token"] = renewed.json()["refresh_token"]
    assert error(await here.company.http.post("/token", data=again)) == (400, "invalid_grant")


async def test_what_somebody_denies_is_denied(here: Desk) -> None:
    said = (await begin(here, "radio")).json()
    page = await enter(here, Browser(here.company), said["user_code"])
    assert page.status_code == 200, page.text
    browser = Browser(here.company)
    page = await enter(here, browser, said["user_code"])
    await decide(browser, page, "deny")
    assert error(await poll(here, said["device_code"], "radio")) == (400, "access_denied")
    (act,) = [one for one in await acts(here) if one["detail"]["client"] == "radio"]
    assert act["detail"]["what"] == "denied"
    # the code leads nowhere any more, and the answer stands
    assert (await enter(here, browser, said["user_code"])).status_code == 400
    assert (await decide(browser, page)).status_code == 404


async def test_a_device_code_is_bound_to_its_client(here: Desk) -> None:
    said = (await begin(here)).json()
    for code, client in (
        (said["device_code"], "radio"),
        (said["device_code"] + "x", "tv"),
        (said["device_code"].partition(".")[0], "tv"),
        ("nothing.at-all", "tv"),
        (said["user_code"], "tv"),
    ):
        assert error(await poll(here, code, client)) == (400, "invalid_grant")
    assert error(await poll(here, said["device_code"])) == (400, "authorization_pending"), "no attempt counted"


async def test_an_address_with_the_code_in_it_allows_nothing(here: Desk) -> None:
    """Remote phishing (RFC 8628 section 5.4): opening the complete address only fills the field in."""
    said = (await begin(here)).json()
    browser = Browser(here.company)
    page = await here.through(await browser.get(said["verification_uri_complete"]), browser)
    assert page.status_code == 200, page.text
    fields = Form(page.text).fields
    assert fields["user_code"] == said["user_code"]
    assert 'name="decision"' not in page.text
    name = said["device_code"].partition(".")[0]
    assert (await browser.get("/approvals", {"r": name})).status_code == 404, "nor does the request's name"
    forged = {"r": name, "csrf": fields["csrf"], "decision": "allow"}
    assert (await browser.post("/approvals/decide", forged)).status_code == 400
    assert error(await poll(here, said["device_code"])) == (400, "authorization_pending")


async def test_cross_site_request_forgery(here: Desk) -> None:
    said = (await begin(here)).json()
    browser = Browser(here.company)
    page = await enter(here, browser, said["user_code"])
    fields = Form(page.text).fields
    sent = {"r": fields["r"], "seen": fields["seen"], "csrf": fields["csrf"], "decision": "allow"}
    elsewhere = await browser.post("/approvals/decide", sent, origin="https://evil.example")
    assert elsewhere.status_code == 400
    for changed in ({"csrf": ""}, {"csrf": fields["csrf"][::-1]}, {"r": "another"}, {"seen": "0" * 64}):
        assert (await browser.post("/approvals/decide", sent | changed)).status_code == 400
    other = Browser(here.company)
    assert (await other.post("/approvals/decide", sent)).status_code == 400, "nobody is signed in there"
    assert error(await poll(here, said["device_code"])) == (400, "authorization_pending")


async def test_user_codes_cannot_be_tried_out(here: Desk) -> None:
    said = (await begin(here)).json()
    here.corp.subject = "carol"
    try:
        browser = Browser(here.company)
        for number in range(5):
            page = await enter(here, browser, f"BBBB-BBB{'BCDFG'[number]}")
            assert page.status_code == 400
            assert "no device with this code" in page.text
        late = await enter(here, browser, said["user_code"])
        assert late.status_code == 400, "also the right one, for a while"
        assert "Wait ten minutes" in late.text
    finally:
        here.corp.subject = "alice"
    good = await enter(here, Browser(here.company), said["user_code"])
    assert good.status_code == 200, "and nobody else has to wait"


@pytest.mark.parametrize(
    ("kind", "name", "grant"), [("device_code", "device_code", GRANT), ("auth_req_id", "auth_req_id", CIBA)]
)
async def test_a_poll_after_its_end_is_told_so(here: Desk, kind: Any, name: str, grant: str) -> None:
    """RFC 8628 section 3.5, OpenID CIBA Core 1.0 section 11."""
    client = "tv" if kind == "device_code" else "desk"
    async with foundation(load_config(here.company.folder / "mintwarden.toml", environ={})) as base:
        now = base.clock.now()
        ended = Pending(
            name="", kind=kind, digest="", client_id=client, scopes={}, identity=(), began_at=now - 600_000,
            ends=now - 1000, confines=Confines("", "production", "", "", "", None),
        )  # fmt: skip
        code, _ = await memory_of(base).waiting.begin(os.urandom, ended)
    form = {"grant_type": grant, name: code}
    if kind == "device_code":
        answer = await here.company.http.post("/token", data=form | {"client_id": client})
    else:
        proven = here.company.assertion(int(time.time()), iss=client, sub=client)
        answer = await here.company.http.post("/token", data=form | proven)
    assert error(answer) == (400, "expired_token"), answer.text


async def test_nothing_is_allowed_that_the_policy_refuses(here: Desk) -> None:
    said = (await begin(here)).json()
    here.corp.subject = "mallory"  # who is in no group
    try:
        page = await enter(here, Browser(here.company), said["user_code"])
    finally:
        here.corp.subject = "alice"
    assert page.status_code == 403, page.text
    assert "refused by policy" in page.text
    assert error(await poll(here, said["device_code"])) == (400, "authorization_pending")


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"scope": "no:such"}, "invalid_scope"),
        ({"client_id": "web"}, "invalid_client"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_id": "native"}, "unauthorized_client"),
        ({"resource": "https://elsewhere.example"}, "invalid_target"),
    ],
)
async def test_what_no_device_may_ask(here: Desk, form: dict[str, str], expected: str) -> None:
    assert error(await begin(here, **form))[1] == expected


async def test_it_is_announced(here: Desk) -> None:
    metadata = (await here.company.http.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["device_authorization_endpoint"] == "https://tokens.example.com/device_authorization"
    assert GRANT in metadata["grant_types_supported"]
    assert error(await here.company.http.post("/token", data={"grant_type": GRANT, "client_id": "tv"})) == (
        400,
        "invalid_request",
    )

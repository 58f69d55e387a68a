"""What somebody allows on a page is what the page showed them."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.memory import memory_of
from mintwarden.issue.confines import Confines
from mintwarden.issue.fair import SHOWN
from mintwarden.issue.pending import Pending
from tests.flow.authorizing import Desk, desk
from tests.flow.browser import Browser, Form
from tests.flow.company import PAYMENTS
from tests.flow.test_device_code import acts, begin, decide, enter, error, poll, with_devices
from tests.flow.withdrawing import forms_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADMIN = "https://tokens.example.com/admin"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with desk(tmp_path_factory.mktemp("desk"), edit=with_devices) as made:
        yield made


async def risk(here: Desk, score: int) -> None:
    operator = await here.company.token(
        "operator", grant_type="client_credentials", scope="mintwarden:facts.write", resource=ADMIN
    )
    document = {"entity": "User:alice", "source": "risk", "facts": {"score": score}}
    answer = await here.company.http.put(
        "/admin/v1/facts", json={"documents": [document]}, headers={"authorization": f"Bearer {operator}"}
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("before", "after"), [(90, 1), (1, 90)])
async def test_what_the_rules_would_grant_since_the_page_was_shown_is_not_allowed(
    here: Desk, before: int, after: int
) -> None:
    """Whoever says yes to a sign-in has not said yes to payments: not even once the rules would grant both."""
    browser = Browser(here.company)
    await risk(here, before)
    said = (await begin(here, scope="openid payments:write")).json()
    page = await enter(here, browser, said["user_code"])
    assert page.status_code == 200, page.text
    await risk(here, after)
    refused = await decide(browser, page)
    assert refused.status_code == 400, refused.text
    assert "changed since you looked" in refused.text
    assert error(await poll(here, said["device_code"])) == (400, "authorization_pending")
    await risk(here, before)
    assert (await decide(browser, page)).status_code == 200
    await risk(here, 1)
    tokens = await poll(here, said["device_code"], resource=PAYMENTS)
    assert (tokens.status_code == 200) is (before == 1), tokens.text


async def test_no_is_always_an_answer(here: Desk) -> None:
    browser = Browser(here.company)
    await risk(here, 90)
    said = (await begin(here, scope="openid payments:write")).json()
    page = await enter(here, browser, said["user_code"])
    await risk(here, 1)
    assert (await decide(browser, page, "deny")).status_code == 200
    assert error(await poll(here, said["device_code"])) == (400, "access_denied")


async def test_what_was_shown_is_not_changed_by_whoever_sends_the_form(here: Desk) -> None:
    browser = Browser(here.company)
    await risk(here, 1)
    first, other = [(await begin(here, scope=scope)).json() for scope in ("openid", "openid payments:write")]
    seen = Form((await enter(here, browser, first["user_code"])).text).fields["seen"]
    fields = Form((await enter(here, browser, other["user_code"])).text).fields
    sent = {"r": fields["r"], "seen": seen, "csrf": fields["csrf"], "decision": "allow"}
    assert (await browser.post("/approvals/decide", sent)).status_code == 400
    assert error(await poll(here, other["device_code"])) == (400, "authorization_pending")


async def test_of_several_answers_at_once_one_grant_is_left(here: Desk) -> None:
    """Each is written down before it counts; what came too late for its request leaves nothing that could be used."""
    browser = Browser(here.company)
    await risk(here, 1)
    said = (await begin(here, "radio", scope="openid")).json()
    page = await enter(here, browser, said["user_code"])
    answers = await asyncio.gather(*(decide(browser, page) for _ in range(6)))
    assert sorted({answer.status_code for answer in answers}) in ([200], [200, 404])
    assert sum(answer.status_code == 200 for answer in answers) == 1
    shown = forms_of(await browser.get("/grants"), "grant")
    written = [act["detail"]["grant"] for act in await acts(here) if act["detail"]["client"] == "radio"]
    assert len([form for form in shown if form["name"] in written]) == 1


async def test_the_list_of_what_waits_is_bounded_and_no_clients_crowd_hides_others(here: Desk) -> None:
    """Ten clients ask twenty times each, before one that asks twice: both of these are on the page."""
    now = int(time.time() * 1000)
    asking = [(f"crowd{number % 10}", number) for number in range(200)] + [("helper", 998), ("helper", 999)]
    async with foundation(load_config(here.company.folder / "mintwarden.toml", environ={})) as base:
        states, shelf = base.store.states, memory_of(base).waiting._pending
        made = [
            Pending(
                name=f"n{number}",
                kind="auth_req_id",
                digest="",
                client_id=client,
                scopes={},
                identity=("openid",),
                confines=Confines("", "", "", "", "", None),
                began_at=now + number,
                ends=now + 600_000,
                person="User:zoe",
            )
            for client, number in asking
        ]
        assert await states.add([shelf.state(one.name, one, ends=one.ends, owner=one.person) for one in made])
    here.corp.subject = "zoe"
    browser = here.another()
    page = await here.through(await browser.get("/approvals", accept_language="en"), browser)
    here.corp.subject = "alice"
    assert page.status_code == 200, page.text
    names = set(re.findall(r"/approvals\?r=(n\d+)", page.text))
    assert len(names) == SHOWN
    assert {"n998", "n999"} <= names, "whoever asks for little is shown"
    assert "There are more" in page.text

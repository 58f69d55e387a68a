"""Tokens that are pushed by an approval that counts once: sent anew where the first did not arrive, and to nobody else."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from mintwarden.app import wiring
from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.telemetry import open_telemetry
from mintwarden.authn.ports import ClientSecret
from mintwarden.authn.secrets import hash_secret
from mintwarden.context.approvals import Circumstances
from mintwarden.issue.approval_requests import Wanted
from mintwarden.issue.memory import Memory
from mintwarden.model.clock import Clock, Millis
from mintwarden.model.values import EntityUid
from tests.flow.authorizing import desk
from tests.flow.company import PAYMENTS
from tests.flow.notified import NotificationEndpoint, client_server
from tests.flow.test_demanded_approvals import ACCESS, RULES, SECRETS, SOURCE, House
from tests.flow.test_device_code import acts, decide, error

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENT = """
[client]
id = "butler"
name = "The butler"
kind = "agent"
owner = "Payments"
environments = ["production"]
authentication = ["client_secret_basic"]
grants = ["ciba", "client_credentials", "refresh_token", "token_exchange"]
serves = ["payments"]
backchannel_token_delivery_mode = "push"
backchannel_client_notification_endpoint = "{url}"
[client.ceilings]
identity = "*"
payments = "*"
"""
WANTED = Wanted(
    approval="lead",
    name="payments:write",
    circumstances=Circumstances(
        client_id="butler", subject=EntityUid("User", "alice"), actors=(EntityUid("Agent", "butler"),),
        impersonate=False, audience="payments", purpose="", environment="production", tenant="", workspace="",
        project="", details=(),
    ),
)  # fmt: skip
AHEAD = 30_000
"""Milliseconds: longer than one node waits for another, and not so far ahead that its tokens are of the future."""
OWN = """
@id("butler-itself") @owner("Payments") @reason("it says who acts")
permit (principal == Agent::"butler", action == Action::"issue", resource == Scope::"payments:read");
"""
SIGNS_IN = """
@id("butler-signs-in") @owner("Token Governance") @reason("it has to know whom it works for")
permit (principal == Agent::"butler", action == Action::"act", resource in Audience::"identity");
"""


class Ahead:
    """A node whose clock is later, so that it does not wait for the one that has the tokens."""

    def __init__(self, clock: Clock, millis: int) -> None:
        self._clock = clock
        self._millis = millis

    def now(self) -> Millis:
        return Millis(self._clock.now() + self._millis)


class Errand:
    """Somebody's agent, what it is sent, and who approves what it does."""

    def __init__(self, house: House, there: NotificationEndpoint) -> None:
        self.house = house
        self.there = there

    async def asked(self, **more: str) -> str:
        """What the agent asks approval for, over HTTP, by an exchange of the person's token; the request's id."""
        form = await self.house.form(**more)
        auth = ("butler", SECRETS["butler"])
        answer = await self.house.here.company.http.post("/approval-requests", data=form, auth=auth)
        assert answer.status_code == 200, answer.text
        (told,) = answer.json()["approval_requests"]
        return str(told["id"])

    async def approved(self) -> str:
        """An approval of what the agent wants, asked for ahead and as itself; the request's id."""
        form = {"grant_type": "client_credentials", "scope": "payments:read", "resource": PAYMENTS}
        own = await self.house.here.company.http.post("/token", data=form, auth=("butler", SECRETS["butler"]))
        assert own.status_code == 200, own.text
        name = await self.asked(actor_token=own.json()["access_token"], actor_token_type=ACCESS)
        answered = await self.house.says("dave", name)
        assert answered.status_code == 200, answered.text
        return name

    async def counts(self) -> bool:
        """Whether the approval is there for anybody."""
        config = load_config(self.house.here.company.folder / "mintwarden.toml", environ={})
        async with foundation(config) as base:
            memory = Memory(states=base.store.states, seal=base.master, revocations=base.store.revocations)
            return bool(await memory.approvals.in_force(WANTED.circumstances.digest, base.clock.now()))

    async def allowed(self) -> dict[str, Any]:
        """What the client is sent first, after alice allowed it; it does not take it."""
        self.there.status = 503
        asked = {"scope": "openid payments:write", "login_hint": "alice", "client_notification_token": "n" * 32}
        http = self.house.here.company.http
        began = await http.post("/bc-authorize", data=asked, auth=("butler", SECRETS["butler"]))
        browser = await self.house.browser("alice")
        name = began.json()["auth_req_id"]
        page = await browser.get("/approvals", {"r": name.partition(".")[0]})
        page = await self.house.here.through(page, browser)
        assert (await decide(browser, page)).status_code == 200
        sent = await self.sent(name)
        assert sent["scope"] == "payments:write"
        return sent

    @contextlib.asynccontextmanager
    async def node(self) -> AsyncIterator[None]:
        """Another node, which knows nothing of what the first one minted."""
        config = load_config(self.house.here.company.folder / "mintwarden.toml", environ={})
        async with contextlib.AsyncExitStack() as stack:
            base = await stack.enter_async_context(foundation(config))
            later = replace(base, clock=Ahead(base.clock, AHEAD))
            running = await wiring._compose(later, open_telemetry(config), stack.pop_all())
            try:
                yield
            finally:
                await running.close()

    async def sent(self, name: str) -> dict[str, Any]:
        """The next that the client is sent about that request; what comes late about another is passed over."""
        while True:
            _, sent = await self.there.next()
            if sent["auth_req_id"] == name:
                return sent

    async def other_than(self, first: dict[str, Any]) -> dict[str, Any]:
        """The next that the client is sent and that is something else; it takes what comes after it."""
        while True:
            sent = await self.sent(first["auth_req_id"])
            if sent.get("access_token") != first["access_token"]:
                self.there.status = 204
                return sent


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def errand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Errand]:
    async with client_server(503) as there:

        def edit(bundle: Path) -> None:
            sources = bundle / "sources.toml"
            sources.write_text(sources.read_text() + SOURCE)
            (bundle / "clients/butler.toml").write_text(CLIENT.format(url=there.url))
            web = bundle / "clients/web.toml"
            web.write_text(web.read_text().replace('ledger = "*"', 'ledger = "*"\nmintwarden = "*"'))

        folder, people = tmp_path_factory.mktemp("desk"), ("alice", "dave")
        async with desk(folder, rules=RULES + SIGNS_IN + OWN, edit=edit, people=people) as made:
            async with foundation(load_config(folder / "mintwarden.toml", environ={})) as base:
                digest = hash_secret(base.pepper, SECRETS["butler"])
                row = ClientSecret(client_id="butler", scheme="hmac-sha256", digest=digest, created_at=0)
                await base.store.credentials.add_secrets([row])
            yield Errand(House(made), there)


async def test_an_approval_is_for_the_request_and_tokens_that_got_lost_are_sent_anew(errand: Errand) -> None:
    """The first tokens may have arrived: they are good no more, and others come of the same approval; nothing else does."""
    house = errand.house
    await errand.approved()
    first = await errand.allowed()
    assert not await errand.counts(), "it was used up for everybody else"
    async with errand.node():
        second = await errand.other_than(first)
    assert second.get("scope") == "payments:write", second
    earlier, claims = [await house.here.company.claims(one["access_token"]) for one in (first, second)]
    assert (claims["sub"], claims["act"]["sub"], claims["grant_id"]) == ("alice", "butler", earlier["grant_id"])
    ended = [act["detail"].get("token") for act in await acts(house.here, "revocation")]
    assert [jti for jti in ended if jti in (earlier["jti"], claims["jti"])] == [earlier["jti"]], "one set is good"
    for one, active in ((first, False), (second, True)):
        form, auth = {"token": one["access_token"]}, ("butler", SECRETS["butler"])
        shown = await house.here.company.http.post("/introspect", data=form, auth=auth)
        assert shown.json()["active"] is active
    assert not await errand.counts()
    renewed = await house.here.company.http.post(
        "/token",
        data={"grant_type": "refresh_token", "refresh_token": second["refresh_token"], "resource": PAYMENTS},
        auth=("butler", SECRETS["butler"]),
    )
    assert error(renewed) == (400, "invalid_scope"), "a renewal is another token"


async def test_it_is_asked_for_by_an_exchange_in_which_the_agent_stands(errand: Errand) -> None:
    """INVARIANT: an exchange without the agent's own token may hide the agent, and is approved for nothing else."""
    hidden = await errand.asked()
    shown = await errand.approved()
    assert shown == WANTED.id, "the circumstances of the authentication request"
    assert hidden != shown
    assert await errand.counts()
    first = await errand.allowed()
    assert first["scope"] == "payments:write"
    assert not await errand.counts()
    await errand.house.says("dave", hidden)
    errand.there.status = 204
    asked = {"scope": "openid payments:write", "login_hint": "alice", "client_notification_token": "n" * 32}
    http = errand.house.here.company.http
    began = await http.post("/bc-authorize", data=asked, auth=("butler", SECRETS["butler"]))
    browser = await errand.house.browser("alice")
    page = await browser.get("/approvals", {"r": began.json()["auth_req_id"].partition(".")[0]})
    page = await errand.house.here.through(page, browser)
    assert "Make payments: somebody has to approve it first" in page.text, "that of the other exchange is not for it"


async def test_an_approval_that_was_taken_back_meanwhile_sends_nothing_anew(errand: Errand) -> None:
    house = errand.house
    name = await errand.approved()
    first = await errand.allowed()
    taken = await house.admin("dave", "POST", f"/approval-requests/{name}/revocation", json={"reason": "a mistake"})
    assert taken.status_code == 200, taken.text
    async with errand.node():
        second = await errand.other_than(first)
    assert second["error"] == "transaction_failed"
    assert second["error_description"].startswith("it was allowed, and refused by policy after all (")
    ended = [act["detail"] for act in await acts(house.here, "revocation")]
    grant = (await house.here.company.claims(first["access_token"]))["grant_id"]
    assert [one["reason"] for one in ended if one.get("grant") == grant] == ["nothing came of it"]

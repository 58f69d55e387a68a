"""Tokens that are pushed to their client (OpenID CIBA Core 1.0 sections 10.3.1 and 12), over real HTTP."""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import KeySet

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.story import tell
from mintwarden.authn.ports import ClientSecret
from mintwarden.authn.secrets import generate_secret, hash_secret
from mintwarden.model.ids import decision_bytes
from tests.flow.authorizing import Desk, desk
from tests.flow.browser import Browser
from tests.flow.company import PAYMENTS
from tests.flow.notified import NotificationEndpoint, client_server
from tests.flow.test_ciba import CLIENT, GRANT
from tests.flow.test_device_code import acts, decide, error

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOTIFY = "8d67dc78-7faa-4d41-aabd-67707b374255"
AUTH_REQ_ID = "urn:openid:params:jwt:claim:auth_req_id"
RT_HASH = "urn:openid:params:jwt:claim:rt_hash"
SECRET = generate_secret(secrets.token_bytes)


class Till:
    """The company, a client that tokens are pushed to, and the browser of whoever is asked."""

    def __init__(self, here: Desk, there: NotificationEndpoint) -> None:
        self.here = here
        self.there = there
        self.browser = Browser(here.company)

    async def begin(self, **form: str) -> httpx2.Response:
        asked = {"scope": "openid payments:read", "login_hint": "alice", "client_notification_token": NOTIFY, **form}
        return await self.here.company.http.post("/bc-authorize", data=asked, auth=("till", SECRET))

    async def page(self, name: str) -> httpx2.Response:
        answer = await self.browser.get("/approvals", {"r": name.partition(".")[0]})
        return await self.here.through(answer, self.browser)

    async def answered(self, decision: str = "allow", **form: str) -> tuple[str, str, dict[str, Any]]:
        """The `auth_req_id` of a request that was answered, and what the client was sent: head and document."""
        name = (await self.begin(**form)).json()["auth_req_id"]
        page = await decide(self.browser, await self.page(name), decision)
        assert page.status_code == 200, page.text
        return name, *await self.there.next()

    async def poll(self, name: str) -> httpx2.Response:
        asked = {"grant_type": GRANT, "auth_req_id": name, "resource": PAYMENTS}
        return await self.here.company.http.post("/token", data=asked, auth=("till", SECRET))

    async def refreshed(self, token: str) -> httpx2.Response:
        asked = {"grant_type": "refresh_token", "refresh_token": token, "resource": PAYMENTS}
        return await self.here.company.http.post("/token", data=asked, auth=("till", SECRET))

    async def id_token(self, token: str) -> dict[str, Any]:
        keys = KeySet.import_key_set((await self.here.company.http.get("/jwks.json")).json())
        return jwt.decode(token, keys, algorithms=["ES256"]).claims


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def till(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Till]:
    async with client_server(204) as there:
        more = (
            f'backchannel_token_delivery_mode = "push"\nbackchannel_client_notification_endpoint = "{there.url}"\n'
            "[client.refresh]\nrotate = false\n"
        )

        def edit(bundle: Path) -> None:
            text = CLIENT.format(id="till", kind="web", more=more).replace(
                'payments = "*"', 'payments = "*"\nledger = "*"\nvault = "*"'
            )
            (bundle / "clients" / "till.toml").write_text(text)

        async with desk(tmp_path_factory.mktemp("desk"), edit=edit) as made:
            async with foundation(load_config(made.company.folder / "mintwarden.toml", environ={})) as base:
                digest = hash_secret(base.pepper, SECRET)
                row = ClientSecret(client_id="till", scheme="hmac-sha256", digest=digest, created_at=0)
                await base.store.credentials.add_secrets([row])
            yield Till(made, there)


def half(token: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(token.encode()).digest()[:16]).rstrip(b"=").decode()


async def test_what_somebody_allowed_is_pushed(till: Till) -> None:
    name, head, document = await till.answered(binding_message="Order 4711")
    assert head.startswith("POST /cb HTTP/1.1\r\n")
    assert f"authorization: Bearer {NOTIFY}" in head.split("\r\n")
    assert document["auth_req_id"] == name
    assert document["token_type"] == "Bearer"
    assert document["expires_in"] > 0
    claims = await till.here.company.claims(document["access_token"])
    assert (claims["sub"], claims["client_id"], claims["scope"]) == ("alice", "till", "payments:read")
    told = await till.id_token(document["id_token"])
    assert (told["sub"], told["aud"], told[AUTH_REQ_ID]) == ("alice", "till", name)
    assert told["at_hash"] == half(document["access_token"])
    assert told[RT_HASH] == half(document["refresh_token"])
    assert (await till.refreshed(document["refresh_token"])).status_code == 200
    said = (await acts(till.here))[-1]
    assert (said["detail"]["what"], said["detail"]["how"]) == ("allowed", "ciba")


async def test_what_was_pushed_is_the_recorded_decision(till: Till) -> None:
    """One entry for both tokens; it was written before they were signed: they carry its leaf."""
    _, _, document = await till.answered()
    access = await till.here.company.claims(document["access_token"])
    told = await till.id_token(document["id_token"])
    assert access["jti"] == told["jti"]
    assert access["ledger_leaf"] == told["ledger_leaf"]
    assert list(told)[-1] == "ledger_leaf", "the leaf is always the last"


async def test_whoever_is_pushed_to_may_not_ask(till: Till) -> None:
    name = (await till.begin()).json()["auth_req_id"]
    assert error(await till.poll(name)) == (400, "unauthorized_client"), "nobody answered yet"
    await decide(till.browser, await till.page(name))
    await till.there.next()
    assert error(await till.poll(name)) == (400, "unauthorized_client"), "nor afterwards"


async def test_a_no_is_pushed_too(till: Till) -> None:
    name, head, document = await till.answered("deny")
    assert f"authorization: Bearer {NOTIFY}" in head.split("\r\n")
    assert document == {
        "auth_req_id": name, "error": "access_denied", "error_description": "the person did not allow it"
    }  # fmt: skip


async def test_tokens_that_nobody_takes_are_good_no_more(till: Till) -> None:
    till.there.status = 401
    try:
        _, _, document = await till.answered()
    finally:
        till.there.status = 204
    heard = len(till.there.heard)
    renewed = await till.refreshed(document["refresh_token"])
    for _ in range(100):  # what follows is behind the client's answer
        if renewed.status_code != 200:
            break
        renewed = await till.refreshed(document["refresh_token"])
    assert error(renewed) == (400, "invalid_grant")
    assert len(till.there.heard) == heard, "a refusal is not tried again"
    ended = [act for act in await acts(till.here, "revocation") if act["detail"].get("about") == "grant"]
    assert ended[-1]["detail"]["reason"] == "its tokens could not be delivered"


async def test_what_the_policy_refuses_at_last_is_no_token(till: Till) -> None:
    """A rule demands a key, which nobody can prove for a token that is pushed: no bearer token comes of it."""
    name, _, document = await till.answered(scope="openid vault:carry")
    why = document.pop("error_description")
    assert document == {"auth_req_id": name, "error": "transaction_failed"}
    decision, _, remedy = why.removeprefix("it was allowed, and refused by policy after all (").partition(")")
    assert remedy == ": meet what it lacks, and have the person asked anew"
    async with foundation(load_config(till.here.company.folder / "mintwarden.toml", environ={})) as base:
        story = await tell(base, decision_bytes(decision))
    assert story is not None, "whoever is told of it can ask about it"
    ended = (await acts(till.here, "revocation"))[-1]["detail"]
    allowed = (await acts(till.here))[-1]["detail"]
    assert (ended["grant"], ended["reason"]) == (allowed["grant"], "nothing came of it"), "no grant is left of it"


async def test_pushed_tokens_are_for_one_audience(till: Till) -> None:
    asked = {"scope": "openid payments:read ledger:read"}
    assert error(await till.begin(**asked)) == (400, "invalid_target")


async def test_a_notification_token_is_at_most_as_long_as_it_may_be(till: Till) -> None:
    assert error(await till.begin(client_notification_token="")) == (400, "invalid_request")
    assert error(await till.begin(client_notification_token="x" * 1023 + "==")) == (400, "invalid_request")
    assert (await till.begin(client_notification_token="x" * 1022 + "==")).status_code == 200


async def test_nothing_that_was_pushed_lies_in_the_store_or_the_ledger(till: Till) -> None:
    name, _, document = await till.answered(binding_message="Order 4712")
    secrets_of = (document["access_token"], document["id_token"], document["refresh_token"], name, NOTIFY)
    config = load_config(till.here.company.folder / "mintwarden.toml", environ={})
    assert config.store.url.startswith("sqlite")
    raw = b"".join(path.read_bytes() for path in till.here.company.folder.rglob("*.db*"))
    assert raw
    for secret in secrets_of:
        assert secret.encode() not in raw
    assert json.dumps(await acts(till.here)).find(name) == -1

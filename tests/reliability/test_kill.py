"""`kill -9` under load: whatever a client was given is in the ledger, and the server comes up again by itself."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from mintwarden.app.answer_notices import KIND as ANSWER
from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.logout_notices import KIND as NOTICE
from mintwarden.app.sign_in import Upstreams, sign_ins
from mintwarden.app.telling import WAITING
from mintwarden.authn.ports import ClientSecret
from mintwarden.authn.secrets import generate_secret, hash_secret
from tests.flow.authorizing import IDENTITY
from tests.flow.browser import Browser, Form
from tests.flow.company import Company
from tests.flow.test_ciba import CLIENT as PUSHED
from tests.flow.test_device_code import decide
from tests.flow.test_sign_in import sign_in
from tests.flow.upstream import SECRET, provider_file, upstream
from tests.reliability.deployment import SQLITE, Node, Site, audit, site
from tests.reliability.load import Load, check_recorded, check_replays, claims_of
from tests.reliability.sabotage import is_ready, issued, needs_linux
from tests.unit.authn.loopback import Loopback, answer

KILLS = 20 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 4
REPLAYS = 25
TILL = generate_secret(secrets.token_bytes)
SIGNS_IN = """
@id("anybody-signs-in") @owner("Token Governance") @reason("whoever works here")
permit (principal is User, action == Action::"issue", resource in Audience::"identity");
"""


async def load_and_kill(where: Site, node: Node, load: Load, chance: random.Random, *, patient: bool) -> None:
    """One life: started, asked by everyone, killed after some number of answers, in the middle of the next.

    With `patient`, only once this life publishes checkpoints, so that the sequencer dies at work as well.
    """
    before = len(load.tokens)
    await node.start()
    company = where.ask(node)
    asking = asyncio.create_task(load.run(company))
    if patient:
        await published(company, beyond=before)
    await load.received(len(load.tokens) + chance.randrange(1, 120))
    # Somewhere within the next requests: the number of turns of the loop decides it, no clock does.
    for _ in range(chance.randrange(50)):
        await asyncio.sleep(0)
    await node.kill()
    await asyncio.wait_for(asking, 60)


async def published(company: Company, *, beyond: int) -> None:
    """Return once a checkpoint covers more than `beyond` entries, which the sequencer of a process that died delays."""
    async with asyncio.timeout(30):
        while True:
            answer = await company.http.get("/ledger/checkpoint")
            if answer.status_code == 200 and int(answer.text.split("\n")[1]) > beyond:
                return
            await asyncio.sleep(0.02)


async def survive(where: Site, port: int) -> None:
    chance, load, node = random.Random(KILLS), Load(), where.node(port)
    for number in range(KILLS):
        await load_and_kill(where, node, load, chance, patient=number % 2 == 0)
    assert load.refused == {}, load.refused
    await node.start()
    company = where.ask(node)
    async with asyncio.timeout(30):
        await company.token("batch", grant_type="client_credentials")
        await check_replays(company, load.spent[-REPLAYS:])
        assert (await company.http.get("/readyz")).status_code == 200
        await published(company, beyond=len(load.tokens))
    assert await node.stop() == 0
    report = await audit(node.config)
    async with foundation(load_config(node.config, environ={}), read_only=True) as base:
        await check_recorded(base, load.tokens)
        assert await base.store.entries.count() == report["size"] + report["waiting"] > len(load.tokens)
    ids = [claims_of(token)["jti"] for token in load.tokens]
    assert len(set(ids)) == len(ids)
    print(f"{KILLS} kills, {len(load.tokens)} tokens received, {report['size']} entries, each token has its own")


async def test_kill_9_under_load_on_sqlite(tmp_path: Path, free_port: Callable[[], int]) -> None:
    async with site(tmp_path, SQLITE) as where:
        await survive(where, free_port())


@pytest.mark.xdist_group("postgres")
async def test_kill_9_under_load_on_postgresql(
    tmp_path: Path, free_port: Callable[[], int], new_database: Callable[[], str]
) -> None:
    async with site(tmp_path, new_database()) as where:
        await survive(where, free_port())


async def test_what_clients_are_to_be_told_survives_kill_9(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Clients that cannot be reached when a person allows something, or signs out, have it after the restart."""
    told: asyncio.Queue[str] = asyncio.Queue()
    pushed: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    taking = False

    async def hear(path: str, _head: bytes, body: bytes) -> bytes:
        if path == "/cb":
            pushed.put_nowait(json.loads(body))
        else:
            told.put_nowait(dict(parse_qsl(body.decode()))["logout_token"])
        return answer() if taking else answer("503 Service Unavailable")

    async with Loopback({"/told": hear, "/cb": hear}) as client, upstream(lambda: int(time.time())) as corp:

        def extend(bundle: Path) -> None:
            (bundle / "issuers/login.toml").unlink()
            (bundle / "providers").mkdir()
            (bundle / "providers/corp.toml").write_text(provider_file(corp.issuer))
            web = bundle / "clients/web.toml"
            where = f'backchannel_logout_uri = "{client.url}/told"\n[client.ceilings]'
            web.write_text(web.read_text().replace("[client.ceilings]", where))
            more = f'backchannel_token_delivery_mode = "push"\nbackchannel_client_notification_endpoint = "{client.url}/cb"'
            (bundle / "audiences/identity.toml").write_text(IDENTITY)
            (bundle / "rules/identity.cedar").write_text(SIGNS_IN)
            (bundle / "clients/till.toml").write_text(PUSHED.format(id="till", kind="web", more=more))

        (tmp_path / "secret").write_text(SECRET)
        (tmp_path / "secret").chmod(0o600)
        async with site(tmp_path, extend=extend) as where:
            node = where.node(free_port(), more='[upstreams.corp]\nsecret_file = "secret"')
            await node.start()
            await is_ready(where.ask(node))
            browser = Browser(where.ask(node))
            await sign_in(browser, corp)
            session = browser.cookies["__Host-mintwarden"].partition(".")[0]
            async with foundation(load_config(node.config, environ={})) as base:
                await sign_ins(base, Upstreams(base)).sessions.remember_client(session, "web")
                digest, name = hash_secret(base.pepper, TILL), "till"
                row = ClientSecret(client_id=name, scheme="hmac-sha256", digest=digest, created_at=0)
                await base.store.credentials.add_secrets([row])
            request = await allowed(browser)
            before = await asyncio.wait_for(pushed.get(), 30)
            page = await browser.get("/logout")
            assert (await browser.post("/logout", Form(page.text).fields)).status_code == 200
            first = await asyncio.wait_for(told.get(), 30)
            await node.kill()
            taking = True
            await node.start()
            second = await asyncio.wait_for(told.get(), 30)
            assert first != second, "each attempt has a token of its own"
            after = await sent_anew(pushed, before)
            assert (before["auth_req_id"], after["auth_req_id"]) == (request, request)
            assert await node.stop() == 0
            async with foundation(load_config(node.config, environ={})) as base:
                assert await base.store.states.owned(NOTICE, WAITING, 10) == []
                assert await base.store.states.owned(ANSWER, WAITING, 10) == []
                entries = [json.loads(one.entry) for one in await base.store.entries.by_index(0, 10_000)]
                await check_recorded(base, [before["access_token"], after["access_token"]])
            gone = [
                one["detail"]["token"] for one in entries if one["kind"] == "revocation" and "token" in one["detail"]
            ]
            assert gone == [claims_of(before["access_token"])["jti"]], (
                "what may have arrived is good no more, as is said"
            )
            await audit(node.config)


async def allowed(browser: Browser) -> str:
    """The `auth_req_id` of a request that alice allowed, whose client is sent its tokens."""
    form = {
        "scope": "openid offline_access payments:read",
        "login_hint": "alice",
        "client_notification_token": "bearer-1",
    }
    begun = await browser.company.http.post("/bc-authorize", data=form, auth=("till", TILL))
    request = str(begun.json()["auth_req_id"])
    page = await browser.get("/approvals", {"r": request.partition(".")[0]})
    assert (await decide(browser, page)).status_code == 200
    return request


async def sent_anew(pushed: asyncio.Queue[dict[str, Any]], before: dict[str, Any]) -> dict[str, Any]:
    """What another process sent: the one before may have sent the same several times."""
    while True:
        after = await asyncio.wait_for(pushed.get(), 30)
        if after["access_token"] != before["access_token"]:
            return after


@needs_linux
async def test_workers_do_not_outlive_their_parent(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """They would keep the port, and the next start would fail."""
    async with site(tmp_path) as where:
        node = where.node(free_port(), server="workers = 2")
        await node.start()
        await is_ready(where.ask(node))
        load = Load()
        asking = asyncio.create_task(load.run(where.ask(node)))
        await load.received(50)
        workers = children(node.pid)
        assert len(workers) == 2
        await node.kill()
        await asyncio.wait_for(asking, 30)
        async with asyncio.timeout(10):
            while [worker for worker in workers if Path(f"/proc/{worker}").exists()]:
                await asyncio.sleep(0.05)
        await node.start()
        await is_ready(where.ask(node))
        await issued(where.ask(node))
        assert await node.stop() == 0
        await audit(node.config)
        async with foundation(load_config(node.config, environ={}), read_only=True) as base:
            await check_recorded(base, load.tokens)


def children(pid: int) -> list[int]:
    """The workers of a server."""
    found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [child for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]

"""Every way to a token, and everything that is remembered between requests, on two nodes of one PostgreSQL.

The rest of the flows runs on SQLite; what stores must do alike is the contract (`tests/contract/`). Here it is walked.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from msgspec import Struct

from mintwarden.issue.grants import ciba, device_code
from mintwarden.store.postgres.embedded import EmbeddedPostgres
from mintwarden.store.store import DocumentChange
from tests.contract.conftest import another_database
from tests.flow.authorizing import BACK
from tests.flow.company import PAYMENTS
from tests.flow.notified import client_server
from tests.flow.test_every_grant import ALL, GUARDS, NONE, PERMIT, House, furnish
from tests.flow.test_status_list import becomes
from tests.hostile.tokens.kinds import (
    AFTER,
    KINDS,
    REGISTERED,
    World,
    another_node,
    asked_out_of_band,
    asking,
    payload,
    world,
)
from tests.hostile.tokens.test_kinds import PLACES

pytestmark = [pytest.mark.xdist_group("postgres"), pytest.mark.asyncio(loop_scope="module")]

OWN = {"grant_type": "client_credentials", "scope": "payments:read"}


class Nodes(Struct, frozen=True):
    """The world at two nodes of it."""

    here: World
    there: World

    @property
    def both(self) -> tuple[World, World]:
        return self.here, self.there


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nodes(tmp_path_factory: pytest.TempPathFactory, postgres: EmbeddedPostgres) -> AsyncIterator[Nodes]:
    store = f'[store]\nurl = "{another_database(postgres)}"\n'
    folder = tmp_path_factory.mktemp("nodes")
    async with (
        client_server(204) as notified,
        world(folder, rules=PERMIT + GUARDS, edit=lambda made: furnish(made, notified.url), config=store) as here,
    ):
        here.notified = notified
        await House(here).put_in("auditors")
        known = json.dumps({"facts": {"department": "finance"}, "groups": []}).encode()
        wallet = DocumentChange("Workload:wallet", "directory", known, here.base.clock.now())
        await here.base.store.directory.apply([wallet])
        await here.code(asking())  # somebody is signed in
        here.initial = await KINDS["access token for registering"](here)
        async with another_node(here) as there:
            yield Nodes(here, there)


async def test_every_way_moves_with_one_fact_and_one_entitlement(nodes: Nodes) -> None:
    house = House(nodes.here)
    await house.alarm(1)
    assert await house.outcomes() == ALL
    assert await house.outcomes(lambda: house.alarm(5)) == NONE
    await house.alarm(1)
    assert await house.outcomes(house.put_in) == NONE
    await house.put_in("auditors")


ONCE = {
    "client assertion": "client_assertion",
    "typed client assertion": "client_assertion",
    "attestation proof": "OAuth-Client-Attestation-PoP",
    "DPoP proof": "DPoP",
    "assertion of a partner": "assertion",
    "identity assertion of a partner": "assertion",
    "refresh token": "refresh_token",
    "authorization code": "code",
    "device code": "device_code",
    "request out of band": "auth_req_id",
    "pushed request": "request_uri",
}
"""What counts once, and where it is handed in."""


@pytest.mark.parametrize("kind", ONCE)
async def test_what_counts_once_counts_once_at_all_nodes(kind: str, nodes: Nodes) -> None:
    offer = PLACES[ONCE[kind]].offer
    text = await KINDS[kind](nodes.here)
    answers = [await offer(node, text) for node in (nodes.there, nodes.here, nodes.there)]
    assert [taken for taken, _ in answers] == [True, False, False], answers


@pytest.mark.parametrize("kind", [kind for kind in ONCE if kind != "pushed request"])
async def test_and_of_two_who_come_at_once_one_at_most_gets_something(kind: str, nodes: Nodes) -> None:
    offer = PLACES[ONCE[kind]].offer
    text = await KINDS[kind](nodes.here)
    answers = await asyncio.gather(*(offer(node, text) for node in nodes.both * 2))
    assert sum(taken for taken, _ in answers) <= 1, answers


async def test_whoever_asks_too_often_does_so_at_all_nodes_together(nodes: Nodes) -> None:
    here, there = nodes.both
    form = here.assertion() | {"scope": "openid payments:read"}
    device = (await here.http.post("/device_authorization", data=form)).json()["device_code"]
    asked = (await asked_out_of_band(here)).json()["auth_req_id"]
    for poll in (
        {"grant_type": device_code.GRANT_TYPE, "device_code": device},
        {"grant_type": ciba.GRANT_TYPE, "auth_req_id": asked},
    ):
        told = [(await node.token(**poll)).json()["error"] for node in (here, there, here)]
        assert told == ["authorization_pending", "slow_down", "slow_down"]


async def grant(at: World) -> dict[str, Any]:
    """The tokens that somebody allowed."""
    asked = asking(scope="openid payments:read")
    form = {"grant_type": "authorization_code", "code": await at.code(asked), "redirect_uri": BACK}
    answer = await at.token(code_verifier=asked.verifier, resource=PAYMENTS, **form)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def is_active(at: World, token: str) -> bool:
    answer = await at.http.post("/introspect", data=at.assertion() | {"token": token})
    return bool(answer.json()["active"])


async def renewed(at: World, token: str) -> httpx2.Response:
    return await at.token(grant_type="refresh_token", refresh_token=token, resource=PAYMENTS)


async def test_what_one_node_ends_is_ended_at_the_other(nodes: Nodes) -> None:
    here, there = nodes.both
    first = await grant(here)
    second = (await renewed(there, first["refresh_token"])).json()
    tokens = [first["access_token"], second["access_token"]]
    assert [await is_active(node, token) for node in nodes.both for token in tokens] == [True] * 4
    given_back = await there.http.post("/revoke", data=there.assertion() | {"token": second["refresh_token"]})
    assert given_back.status_code == 200
    assert [await is_active(node, token) for node in nodes.both for token in tokens] == [False] * 4
    for node in nodes.both:
        assert (await renewed(node, second["refresh_token"])).json()["error"] == "invalid_grant"
        for token in tokens:
            assert await becomes(node.company, token, 1), "and its status list says so"


async def test_a_replay_at_one_node_ends_the_family_at_the_other(nodes: Nodes) -> None:
    here, there = nodes.both
    first = await grant(here)
    second = (await renewed(here, first["refresh_token"])).json()
    assert (await renewed(there, first["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await renewed(here, second["refresh_token"])).json()["error"] == "invalid_grant"
    assert not await is_active(here, second["access_token"])


async def test_no_place_in_a_status_list_is_given_twice(nodes: Nodes) -> None:
    tokens = [(await node.token(**OWN)).json()["access_token"] for node in nodes.both * 10]
    places = [tuple(payload(token)["status"]["status_list"].values()) for token in tokens]
    assert len(set(places)) == len(places) == 20


async def test_a_registration_is_the_same_at_all_nodes_until_it_is_deleted(nodes: Nodes) -> None:
    here, there = nodes.both
    headers = {"Authorization": f"Bearer {here.initial}"}
    made = (await here.http.post("/register", json=REGISTERED, headers=headers)).json()
    path, own = f"/register/{made['client_id']}", {"Authorization": f"Bearer {made['registration_access_token']}"}
    assert (await there.http.get(path, headers=own)).json()["client_id"] == made["client_id"]
    auth = (made["client_id"], made["client_secret"])
    assert (await there.http.post("/token", data=OWN, auth=auth)).json().get("error") != "invalid_client"
    assert (await there.http.delete(path, headers=own)).status_code == 204
    assert (await here.http.get(path, headers=own)).status_code == 401
    assert (await here.http.post("/token", data=OWN, auth=auth)).json()["error"] == "invalid_client"


async def test_whoever_signs_out_at_one_node_is_signed_out_at_the_other(nodes: Nodes) -> None:
    """The last one: it ends the session that the others have."""
    here, there = nodes.both
    tokens = await grant(here)
    silent = asking(prompt="none")
    assert "code=" in (await there.browser.get("/authorize", silent.parameters)).headers["location"]
    query = {"id_token_hint": tokens["id_token"], "client_id": "app", "post_logout_redirect_uri": AFTER}
    assert (await there.browser.get("/logout", query)).status_code == 303
    assert "login_required" in (await here.browser.get("/authorize", silent.parameters)).headers["location"]
    assert (await renewed(here, tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert "alice" not in json.dumps(await House(here).decisions()), "and the ledger names nobody"

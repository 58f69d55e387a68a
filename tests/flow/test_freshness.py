"""Invariant 7: a committed change shapes the very next decision, on the same node and on every other.

Nobody waits or asks twice here: the first answer after the commit must show the change. How long it took from the
commit to that answer is printed (`pytest -s`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from mintwarden.app.config import load_config
from mintwarden.app.following import Following
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.authn.authenticate import Authenticator
from mintwarden.authn.ports import ClientSecret
from mintwarden.authn.secrets import SecretVerifier, generate_secret, hash_secret
from mintwarden.issue.epoch import EpochMoved
from mintwarden.store.store import DocumentChange
from tests.flow.company import ACCESS_TOKEN, ADMIN, LEDGER, PAYMENTS, Company
from tests.reliability.deployment import SQLITE, site
from tests.reliability.load import header_of

TIMES = 5
Seen = Callable[[Company], Awaitable[object]]


class Pair:
    """Two server processes on one store, and a third place from which the store is changed."""

    def __init__(self, here: Company, there: Company, base: Foundation) -> None:
        self.here = here
        self.there = there
        self.base = base
        self.delays: dict[str, list[float]] = {}

    async def first_answers(self, what: str, committed: float, seen: Seen, expected: object) -> None:
        """What the first request to each node after a commit sees."""

        async def ask(company: Company) -> object:
            answer = await seen(company)
            self.delays.setdefault(what, []).append(time.perf_counter() - committed)
            return answer

        for answer in await asyncio.gather(ask(self.there), ask(self.here)):
            assert answer == expected, what

    def report(self, store: str) -> None:
        for what, delays in self.delays.items():
            typical, longest = sorted(delays)[len(delays) // 2] * 1000, max(delays) * 1000
            print(f"{store:>10}  {what:<28} from commit to answer: median {typical:6.1f} ms, longest {longest:6.1f} ms")


@contextlib.asynccontextmanager
async def pair(folder: Path, store: str, port: Callable[[], int]) -> AsyncIterator[Pair]:
    async with site(folder, store) as where:
        nodes = [where.node(port()), where.node(port())]
        await asyncio.gather(*(node.start() for node in nodes))
        here, there = (where.ask(node) for node in nodes)
        async with foundation(load_config(nodes[0].config, environ={})) as base:
            yield Pair(here, there, base)


def granted(person: str, scope: str) -> Seen:
    async def seen(company: Company) -> bool:
        signed_in = company.signed_in(person, int(time.time()), amr=["pwd", "mfa"])
        answer = await company.exchange("helper", signed_in, resource=PAYMENTS, scope=scope)
        assert answer.status_code in (200, 400), answer.text
        return answer.status_code == 200

    return seen


async def entitlements(pair: Pair) -> None:
    """The directory gives a group and takes it away."""
    document = {"facts": {"department": "finance"}, "groups": ["finance"]}
    for _ in range(TIMES):
        for groups in ([], ["finance"]):
            now = pair.base.clock.now()
            row = json.dumps(document | {"groups": groups}).encode()
            await pair.base.store.directory.apply([DocumentChange("User:alice", "directory", row, now)])
            await pair.first_answers(
                "entitlement", time.perf_counter(), granted("alice", "payments:read"), expected=bool(groups)
            )


async def pushed_facts(pair: Pair) -> None:
    """The risk of a person goes up and down; one node is told."""
    form = {"grant_type": "client_credentials", "scope": "mintwarden:facts.write", "resource": ADMIN}
    headers = {"authorization": f"Bearer {await pair.here.token('operator', **form)}"}
    for _ in range(TIMES):
        for score in (95, 5):
            document = {"entity": "User:alice", "source": "risk", "facts": {"score": score}}
            told = await pair.here.http.put("/admin/v1/facts", json={"documents": [document]}, headers=headers)
            assert told.status_code == 200, told.text
            await pair.first_answers(
                "pushed risk", time.perf_counter(), granted("alice", "payments:write"), expected=score < 80
            )


async def client_secrets(pair: Pair) -> None:
    """A secret is removed, another added: refused and taken at once."""
    base, old = pair.base, pair.here.secrets["batch"]
    for _ in range(TIMES):
        new = generate_secret(secrets.token_bytes)
        await base.store.credentials.remove_secrets("batch")
        await pair.first_answers("client secret removed", time.perf_counter(), knows(old), expected=401)
        row = ClientSecret(
            client_id="batch",
            scheme="hmac-sha256",
            digest=hash_secret(base.pepper, new),
            created_at=base.clock.now(),
        )
        await base.store.credentials.add_secrets([row])
        await pair.first_answers("client secret added", time.perf_counter(), knows(new), expected=200)
        old = new


def knows(secret: str) -> Seen:
    async def seen(company: Company) -> int:
        answer = await company.http.post("/token", data={"grant_type": "client_credentials"}, auth=("batch", secret))
        return answer.status_code

    return seen


async def keys(pair: Pair) -> None:
    """The next key takes over; then the active one is revoked, and with it every token that it signed."""
    for _ in range(TIMES):
        changes = await pair.base.keeper.rotate("ES256", pair.base.clock.now(), at_once=True)
        active = next(change.kid for change in changes if change.state == "active")
        await pair.first_answers("key rotated", time.perf_counter(), signing_key, expected=active)
        person = pair.here.signed_in("alice", int(time.time()))
        token = (await pair.here.exchange("helper", person, resource=PAYMENTS)).json()["access_token"]
        administrator = await pair.here.token("operator", **DECISIONS)
        assert header_of(token)["kid"] == header_of(administrator)["kid"] == active
        await pair.first_answers("(before)", time.perf_counter(), usable(token, administrator), expected=(200, 404))
        await pair.base.keeper.revoke(active, pair.base.clock.now())
        await pair.first_answers(
            "token of a revoked key", time.perf_counter(), usable(token, administrator), expected=(400, 401)
        )
    del pair.delays["(before)"]


DECISIONS = {"grant_type": "client_credentials", "scope": "mintwarden:decisions.read", "resource": ADMIN}


async def signing_key(company: Company) -> object:
    form = {"grant_type": "client_credentials", **company.assertion(int(time.time()))}
    return header_of((await company.http.post("/token", data=form)).json()["access_token"])["kid"]


def usable(token: str, administrator: str) -> Seen:
    """Is a token taken as a subject token, and another by the administration."""

    async def seen(company: Company) -> tuple[int, int]:
        exchanged = company.exchange("api", token, ACCESS_TOKEN, resource=LEDGER)
        nothing = f"/admin/v1/decisions/{'0' * 8}-0000-7000-8000-{'0' * 12}"
        asked = company.http.get(nothing, headers={"authorization": f"Bearer {administrator}"})
        first, second = await asyncio.gather(exchanged, asked)
        return first.status_code, second.status_code

    return seen


async def test_7_a_committed_change_shapes_the_next_decision_on_two_processes_of_one_sqlite(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    async with pair(tmp_path, SQLITE, free_port) as two:
        await all_changes(two, "sqlite")


@pytest.mark.xdist_group("postgres")
async def test_7_a_committed_change_shapes_the_next_decision_on_two_nodes_of_one_postgresql(
    tmp_path: Path, free_port: Callable[[], int], new_database: Callable[[], str]
) -> None:
    async with pair(tmp_path, new_database(), free_port) as two:
        await all_changes(two, "postgresql")


async def all_changes(two: Pair, store: str) -> None:
    await entitlements(two)
    await pushed_facts(two)
    await client_secrets(two)
    await keys(two)
    two.report(store)


class NoEvidence:
    async def verify(self, *_: Any) -> Any:
        raise AssertionError("no token is shown here")

    hinted = verify


async def test_7_keys_that_lag_behind_the_secrets_sign_nothing(tmp_path: Path) -> None:
    """Keys and secrets are read one after the other; a key may be revoked between the two."""
    async with site(tmp_path) as where, foundation(load_config(where.node(0).config, environ={})) as base:
        await base.keeper.tick(base.clock.now())
        authenticator = Authenticator(
            issuer=base.issuer,
            clients=base.bundle.catalogue.clients,
            credentials=base.store.credentials,
            secrets=SecretVerifier(pepper=base.pepper),
            evidence=NoEvidence(),
        )
        following = Following(base, authenticator)
        audience = base.bundle.catalogue.audiences["payments"]
        await following.refresh(await base.store.epoch())
        revoked = following.signer(audience).kid
        await base.keeper.revoke(revoked, base.clock.now())
        await authenticator.refresh()
        with pytest.raises(EpochMoved) as moved:
            following.signer(audience)
        await following.refresh(moved.value.epoch)
        assert following.signer(audience).kid != revoked

"""Reviews in processes of their own: their turn, their time, their end, and what other nodes see of them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from joserfc.jwk import ECKey

from mintwarden.app.config import load_config
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.app.reviews.apart import Came, Order, Progress
from mintwarden.app.reviews.running import Reviewing, Rhythm
from mintwarden.model.caller import Evidence
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.review.jobs import Job
from mintwarden.web.admin.resources.reviews import AT_ONCE, Asked, LintAsked, WhatCanAsked
from tests.flow.company import ADMIN, furnish, write_company
from tests.flow.process import Process, children, gone, made, serving

pytestmark = pytest.mark.xdist_group("postgres")
QUICK = Rhythm(word=0.02, lease=10.0)
DONE = Came(ok=True, found=b'{"result": {"ok": true}, "renderings": {}}')
LATER = 3_600_000


def evidence(name: str = "olga") -> Evidence:
    return Evidence(
        principal=EntityUid("User", name), issuer="", own=True, client_id="desk", scopes=("mintwarden:policy.read",)
    )


class Apart:
    """Stands in for a process: says how far it is, and ends when it is told to."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.ended = asyncio.Event()
        self.at_once = self.most = self.runs = 0

    async def __call__(self, _order: Order, progress: Progress) -> Came:
        self.runs += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.begun.set()
        progress(3, 10)
        try:
            await self.go.wait()
            return DONE
        finally:
            self.at_once -= 1
            self.ended.set()


class Node:
    """One node of the deployment."""

    def __init__(self, base: Foundation, **more: Any) -> None:
        self.base = base
        self.apart = Apart()
        self.heard: list[BaseException] = []
        self.reviewing = Reviewing(
            base,
            stumbled=lambda _task, error: self.heard.append(error),
            **{"run": self.apart, "rhythm": QUICK, **more},
        )

    @property
    def now(self) -> int:
        return self.base.clock.now()

    async def ask(self, asked: Asked | None = None, name: str = "olga") -> Job:
        job = await self.asked(asked, name)
        assert job is not None
        return job

    async def asked(self, asked: Asked | None = None, name: str = "olga") -> Job | None:
        asked = asked or LintAsked(version="active")
        return await self.reviewing.ask(asked, (), asked.needs(), evidence(name), self.now)

    async def until(self, name: str, is_so: Callable[[Job], bool]) -> Job:
        async with asyncio.timeout(20):
            while True:
                job = await self.reviewing.find(name, self.now)
                assert job is not None
                if is_so(job):
                    return job
                await asyncio.sleep(0.01)

    async def ended(self, name: str) -> Job:
        return await self.until(name, lambda job: not job.is_open)


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return ""
    return f'[store]\nurl = "{request.getfixturevalue("new_database")()}"\n'


@pytest.fixture
async def nodes(tmp_path: Path, store: str) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes on one store."""
    keys = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    config = write_company(tmp_path, *keys, more=f"{store}[reviews]\nwaiting = 3\n")
    await furnish(config)
    read = load_config(config, environ={})
    async with foundation(read) as one, foundation(read) as other:
        both = Node(one), Node(other)
        yield both
        for node in both:
            await node.reviewing.close()


async def test_every_node_sees_how_far_it_is_and_what_came_of_it(nodes):
    one, other = nodes
    job = await one.ask()
    seen = await other.until(job.id, lambda job: job.done == 3)
    assert (seen.state, seen.of) == ("running", 10)
    one.apart.go.set()
    ended = await other.ended(job.id)
    assert (ended.state, ended.ok) == ("done", True)
    found = await other.reviewing.found(ended, other.now)
    assert found is not None
    assert msgspec.json.decode(found.result) == {"ok": True}
    assert [each.id for each in await other.reviewing.of("User:olga", other.now)] == [job.id]
    assert await other.reviewing.of("User:omar", other.now) == []


async def test_one_after_the_other_on_one_machine(nodes):
    one, other = nodes
    first = await one.ask()
    await one.until(first.id, lambda job: job.state == "running")
    second, third = await other.ask(), await one.ask()
    assert not other.apart.begun.is_set()
    assert (await other.reviewing.find(second.id, other.now)).state == "waiting"
    for node in nodes:
        node.apart.go.set()
    for name in (first.id, second.id, third.id):
        assert (await one.ended(name)).state == "done"
    assert (one.apart.most, other.apart.most) == (1, 1)


async def test_another_node_ends_what_this_one_does(nodes):
    one, other = nodes
    job = await one.ask()
    await other.until(job.id, lambda job: job.state == "running")
    ended = await other.reviewing.end(job, other.now)
    assert ended.state == "cancelled"
    async with asyncio.timeout(20):
        await one.apart.ended.wait()
    assert (await one.ended(job.id)).state == "cancelled"
    one.apart.go.set()
    assert await one.reviewing.found(job, one.now) is None


async def test_what_waits_is_ended_before_it_begins(nodes):
    one, _ = nodes
    first, second = await one.ask(), await one.ask()
    await one.until(first.id, lambda job: job.state == "running")
    await one.reviewing.end(second, one.now)
    one.apart.go.set()
    assert (await one.ended(first.id)).state == "done"
    assert (await one.ended(second.id)).state == "cancelled"
    assert one.apart.runs == 1


async def test_a_node_that_says_nothing_any_more_has_failed(nodes):
    one, other = nodes
    still = Node(one.base, rhythm=Rhythm(word=3600.0, lease=0.2))
    job = await still.ask()
    await still.apart.begun.wait()
    async with asyncio.timeout(20):
        while (seen := await other.reviewing.find(job.id, other.now + 20_000)).is_open:
            await asyncio.sleep(0.01)
    assert (seen.state, seen.failure) == ("failed", "the process that did it is gone")
    still.apart.go.set()
    await still.apart.ended.wait()
    await still.reviewing.close()
    assert (await other.reviewing.find(job.id, other.now)).state == "failed", "a review ends once"
    assert await other.reviewing.found(job, other.now) is None


def asked_at(name: str, now: int) -> Job:
    return Job(
        id=name, kind="lint", needs=(), by="User:olga", client="desk", asked_at=now, heard_at=now, ends=now + LATER
    )


async def test_a_lease_that_nobody_holds_any_more_is_a_failure(nodes):
    one, other = nodes
    now = one.now
    assert await one.reviewing.jobs.add(asked_at("lost", now), 30.0, most=1)
    late = now + 60_000
    assert (await other.reviewing.find("lost", late)).state == "waiting", "its process holds the lease still"
    await one.reviewing.jobs.release("lost")
    assert (await other.reviewing.find("lost", now + 1_000)).state == "waiting", "a moment of silence says nothing"
    seen = await other.reviewing.find("lost", late)
    assert (seen.state, seen.failure) == ("failed", "the process that did it is gone")
    assert (await one.reviewing.find("lost", late)).state == "failed"
    assert await one.reviewing.jobs.change("lost", late, state="done") is None


async def test_what_is_stopped_with_its_service_says_so(nodes):
    one, other = nodes
    job = await one.ask()
    await other.until(job.id, lambda job: job.state == "running")
    await one.reviewing.close()
    ended = await other.ended(job.id)
    assert (ended.state, ended.failure) == ("failed", "the service was stopped")
    assert one.apart.ended.is_set()


async def test_too_many_that_wait_are_refused(nodes):
    one, _ = nodes
    for _number in range(4):
        await one.ask()
    with pytest.raises(MintwardenError, match="too many reviews wait") as refused:
        await one.ask()
    assert refused.value.kind is ErrorKind.OVERLOADED


async def test_nobody_has_more_than_a_few_open_however_they_ask_at_once(nodes):
    roomy = with_room(nodes[0].base)
    async with closing(Node(roomy)) as one, closing(Node(roomy)) as other:
        answers = await asyncio.gather(*(node.asked() for node in (one, other) for _ in range(AT_ONCE)))
        kept = [job for job in answers if job is not None]
        assert len(kept) == AT_ONCE
        assert {job.id for job in await one.reviewing.of("User:olga", one.now)} == {job.id for job in kept}
        assert await other.asked() is None
        assert await other.asked(name="omar") is not None, "one does not fill the place of another"
        await other.reviewing.end(kept[0], other.now)
        again = await asyncio.gather(other.asked(), other.asked())
        assert sum(job is not None for job in again) == 1


def with_room(base: Foundation) -> Foundation:
    """The same deployment, whose nodes each have places for all that anybody asks here."""
    reviews = msgspec.structs.replace(base.config.reviews, waiting=4 * AT_ONCE)
    return msgspec.structs.replace(base, config=msgspec.structs.replace(base.config, reviews=reviews))


@contextlib.asynccontextmanager
async def closing(node: Node) -> AsyncIterator[Node]:
    try:
        yield node
    finally:
        await node.reviewing.close()


async def test_those_who_come_at_once_are_no_more_than_may_wait(nodes):
    one, _ = nodes
    found = await asyncio.gather(*(one.asked(name=f"p{number}") for number in range(6)), return_exceptions=True)
    refused = [told for told in found if isinstance(told, MintwardenError)]
    assert [told.kind for told in refused] == [ErrorKind.OVERLOADED] * 2


async def test_what_was_open_before_everything_was_forgotten_is_not_counted(nodes):
    jobs, now = nodes[0].reviewing.jobs, nodes[0].now
    late = now + 2 * LATER
    assert await jobs.add(asked_at("first", now), 30.0, most=1)
    assert not await jobs.add(asked_at("second", now + 1), 30.0, most=1)
    assert await jobs.find("second", now) is None
    assert await jobs.add(asked_at("third", late), 30.0, most=1)
    assert not await jobs.add(asked_at("fourth", late), 30.0, most=1)


async def test_everything_is_forgotten_and_of_people_sooner(nodes):
    one, _ = nodes
    one.apart.go.set()
    policy, people = await one.ask(), await one.ask(WhatCanAsked(version="active", principal="User:alice"))
    for job in (policy, people):
        await one.ended(job.id)
    assert people.ends < policy.ends
    assert await one.reviewing.find(people.id, people.ends) is None
    assert await one.reviewing.find(policy.id, people.ends) is not None
    assert await one.reviewing.found(people, people.ends) is None
    assert await one.reviewing.find(policy.id, policy.ends) is None


async def test_an_erasure_in_its_midst_leaves_nothing_of_people(nodes):
    one, other = nodes
    job = await one.ask(WhatCanAsked(version="active", principal="User:alice"))
    await one.until(job.id, lambda job: job.state == "running")
    await other.base.store.bump_epoch()
    one.apart.go.set()
    ended = await one.ended(job.id)
    assert (ended.state, ended.failure) == ("failed", "something that it rests on has changed meanwhile")
    assert await one.reviewing.found(ended, one.now) is None


async def test_what_is_ours_alone_is_told_to_us_alone(nodes):
    one, _ = nodes

    async def broken(_order: Order, _progress: Progress) -> Came:
        raise MintwardenError(ErrorKind.INTERNAL, "KeyError", hint="/srv/secret.py:7")

    node = Node(one.base, run=broken)
    ended = await node.ended((await node.ask()).id)
    assert (ended.state, ended.failure) == ("failed", "something went wrong here")
    assert [str(error) for error in node.heard] == ["KeyError"]


# -- a service that is killed ------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def served(config: Path, secrets: Mapping[str, str]) -> AsyncIterator[tuple[Process, httpx2.AsyncClient]]:
    async with serving(config) as node, httpx2.AsyncClient(base_url=node.base) as http:
        form = {"grant_type": "client_credentials", "scope": "mintwarden:policy.read", "resource": ADMIN}
        answer = await http.post("/token", data=form, auth=("operator", secrets["operator"]))
        http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        yield node, http


@pytest.mark.skipif(sys.platform != "linux", reason="explained: processes are looked at as Linux shows them")
async def test_a_node_that_is_killed_takes_its_reviews_with_it_and_another_says_so(tmp_path):
    config, secrets = await made(tmp_path, "port = 0")
    async with served(config, secrets) as (node, http), asyncio.timeout(120):
        sent = await http.post("/admin/v1/reviews/prove", json={}, headers={"idempotency-key": "killed-node-1"})
        where = sent.headers["location"]
        while (await http.get(where)).json()["state"] == "waiting":
            await asyncio.sleep(0.01)
        begun = children(node.process.pid)
        assert begun
        node.process.kill()
        await node.process.wait()
        await gone(*begun)
    async with served(config, secrets) as (_, http), asyncio.timeout(60):
        while (told := (await http.get(where)).json())["state"] == "running":
            await asyncio.sleep(0.2)
    assert (told["state"], told["failure"]) == ("failed", "the process that did it is gone")

"""Several nodes on one PostgreSQL: one log, one sequencer, one use of each proof, one rotation."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from mintwarden.app.config import load_config
from mintwarden.app.foundation import SELF, Foundation, foundation
from mintwarden.ledger.checkpoint import parse_checkpoint
from mintwarden.ledger.note import parse_note
from mintwarden.model.errors import ErrorKind, MintwardenError
from tests.flow.company import Company
from tests.reliability.deployment import Node, Site, audit, site
from tests.reliability.load import Load, check_recorded, check_replays, claims_of

pytestmark = pytest.mark.xdist_group("postgres")


@pytest.fixture
async def where(tmp_path: Path, new_database: Callable[[], str]) -> AsyncIterator[Site]:
    async with site(tmp_path, new_database()) as made:
        yield made


@pytest.fixture
async def nodes(where: Site, free_port: Callable[[], int]) -> list[Node]:
    """Two nodes that start at the same moment on an empty store."""
    nodes = [where.node(free_port()) for _ in range(2)]
    await asyncio.gather(*(node.start() for node in nodes))
    return nodes


async def look(where: Site, query: str) -> Any:
    """One value of the database."""
    async with await psycopg.AsyncConnection.connect(where.store) as connection:
        row = await (await connection.execute(query.encode())).fetchone()
    return None if row is None else row[0]


async def sequencer(where: Site) -> str:
    return str(await look(where, "SELECT holder FROM leases WHERE name = 'sequencer'"))


async def governance(base: Foundation, kind: str) -> list[dict[str, object]]:
    entries = [msgspec.json.decode(stored.entry) for stored in await base.store.entries.by_index(0, 1_000_000)]
    return [entry["detail"] for entry in entries if entry["kind"] == kind]


async def head(company: Company) -> tuple[int, bytes]:
    answer = await company.http.get("/ledger/checkpoint")
    if answer.status_code == 404:  # before the first
        return 0, b""
    checkpoint = parse_checkpoint(parse_note(answer.content).text)
    return checkpoint.size, checkpoint.root


async def watch(companies: list[Company], until: asyncio.Event) -> dict[int, bytes]:
    """Every head that any node showed: none goes back, and none contradicts another."""
    roots: dict[int, bytes] = {}
    last = [0] * len(companies)
    while not until.is_set():
        for number, (size, root) in enumerate(await asyncio.gather(*(head(company) for company in companies))):
            assert size >= last[number], "a node showed a smaller tree than before"
            assert roots.setdefault(size, root) == root, "two trees of the same size"
            last[number] = size
        await asyncio.sleep(0.01)
    return roots


async def covered(company: Company, size: int) -> float:
    """Seconds until a checkpoint covers `size` entries."""
    begun = time.monotonic()
    async with asyncio.timeout(30):
        while (await head(company))[0] < size:
            await asyncio.sleep(0.02)
    return time.monotonic() - begun


async def test_one_log_under_load_and_another_sequencer_when_one_dies(where: Site, nodes: list[Node]) -> None:
    companies, load, until = [where.ask(node) for node in nodes], Load(), asyncio.Event()
    await covered(companies[0], 1)
    watching = asyncio.create_task(watch(companies, until))
    asking = [asyncio.create_task(load.run(company, until=until)) for company in companies]
    await load.received(300)
    until.set()
    await asyncio.gather(*asking)
    roots = await watching
    assert load.refused == {}
    assert len(roots) > 1
    holder = await sequencer(where)
    elected = next(node for node in nodes if f"-{node.pid}-" in holder)
    await elected.kill()
    others = [company for node, company in zip(nodes, companies, strict=True) if node is not elected]
    for company in others:
        load.tokens.append(await company.token("batch", grant_type="client_credentials"))
    took = await covered(others[0], await look(where, "SELECT count(*) FROM entries"))
    print(f"{len(load.tokens)} tokens from two nodes; another sequencer published {took:.1f} s after the first died")
    assert f"-{elected.pid}-" not in await sequencer(where)
    for node in nodes:
        if node is not elected:
            assert await node.stop() == 0
    report = await audit(elected.config)
    assert report["waiting"] == 0
    async with foundation(load_config(elected.config, environ={}), read_only=True) as base:
        await check_recorded(base, load.tokens)
        stored = await base.store.entries.by_index(0, 1_000_000)
    assert [entry.index for entry in stored] == list(range(len(stored))), "a leaf is lost or there twice"
    ids = [entry.decision_id for entry in stored]
    assert len(set(ids)) == len(ids) == report["size"]
    assert len({claims_of(token)["jti"] for token in load.tokens}) == len(load.tokens)


async def test_nodes_that_start_together_make_keys_and_activate_once(where: Site, nodes: list[Node]) -> None:
    async with foundation(load_config(nodes[0].config, environ={})) as base:
        assert Counter((key.purpose, key.state) for key in base.ring.keys) == {
            ("checkpoint", "active"): 1,
            ("access_token", "active"): 1,
            ("access_token", "next"): 1,
        }
        await covered(where.ask(nodes[0]), await base.store.entries.count())
        made = Counter((str(change["kid"]), str(change["state"])) for change in await governance(base, "key_rotation"))
        assert set(made.values()) == {1}
        assert {kid for kid, _ in made} == {key.kid for key in base.ring.keys}
        assert len(await governance(base, "policy_activation")) == 1
    sets = [(await where.ask(node).http.get("/jwks.json")).json() for node in nodes]
    assert sets[0] == sets[1]


async def test_an_assertion_counts_once_on_all_nodes_together(where: Site, nodes: list[Node]) -> None:
    here, there = (where.ask(node) for node in nodes)
    proof = here.assertion(int(time.time()))
    form = {"grant_type": "client_credentials", **proof}
    assert (await here.http.post("/token", data=form)).status_code == 200
    for company in (there, here):
        await check_replays(company, [proof])
    for _ in range(10):
        form = {"grant_type": "client_credentials", **here.assertion(int(time.time()))}
        answers = await asyncio.gather(*(c.http.post("/token", data=form) for c in (here, there) * 4))
        assert Counter(answer.status_code for answer in answers) == {200: 1, 401: 7}


async def test_keys_rotate_once_when_every_node_finds_that_it_is_time(where: Site) -> None:
    keys = '[keys]\nmaster_key_file = "master.key"\nrotation_interval = "1h"\npublish_before = "10m"\n'
    config = where.node(0).config
    config.write_text(config.read_text().replace('[keys]\nmaster_key_file = "master.key"\n', keys))
    async with (
        foundation(load_config(config, environ={})) as first,
        foundation(load_config(config, environ={})) as second,
    ):
        now = first.clock.now()
        await first.record_key_changes(await first.keeper.tick(now), by=SELF)
        for hours in (1, 2, 3):
            then = now + hours * 3_601_000
            # as if both were elected: the election spares work, it does not keep keys from turning twice
            many = await asyncio.gather(
                *(base.keeper.tick(then, elected=False) for base in (first, second, first, second))
            )
            changes = Counter(change.state for some in many for change in some if change.purpose == "access_token")
            assert (changes["retiring"], changes["active"], changes["next"]) == (1, 1, 1)
        asked = await asyncio.gather(
            *(base.keeper.rotate("ES256", now, at_once=True) for base in (first, second)), return_exceptions=True
        )
        for answer in asked:
            if isinstance(answer, BaseException):
                assert isinstance(answer, MintwardenError)
                assert answer.kind is ErrorKind.CONFLICT
        states = Counter(key.state for key in await first.store.keys.keys() if key.purpose == "access_token")
        assert (states["active"], states["next"]) == (1, 1)

"""Versions on several nodes under load: one swap for all, no request refused, every decision under exactly one version."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psycopg
import pytest

from mintwarden.app.acting import versions_of
from mintwarden.app.config import load_config
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.govern.ports import Activation
from mintwarden.model.ids import decision_bytes
from tests.flow.company import PAYMENTS, Company
from tests.flow.governed import activated, change, decisions, submitted, with_people
from tests.flow.process import run
from tests.reliability.deployment import Node, Site, command, site
from tests.reliability.load import Load, claims_of

pytestmark = pytest.mark.xdist_group("postgres")
NODES = 3
OUTSIDE = "dev = false"


@pytest.fixture
async def where(tmp_path: Path, new_database: Callable[[], str]) -> AsyncIterator[Site]:
    async with site(tmp_path, new_database(), extend=with_people) as made:
        yield made


async def last(base: Foundation) -> Activation:
    found = await base.store.versions.active()
    assert found is not None
    return found


async def started(where: Site, free_port: Callable[[], int], count: int = NODES) -> list[Node]:
    nodes = [where.node(free_port(), server=OUTSIDE) for _ in range(count)]
    await activated(nodes[0].config, where.folder / "bundle")
    await asyncio.gather(*(node.start() for node in nodes))
    return nodes


async def test_a_folder_that_nobody_signed_governs_in_development_alone(
    where: Site, free_port: Callable[[], int]
) -> None:
    for workers in (1, 2):
        config = where.node(free_port(), server=f"{OUTSIDE}\nworkers = {workers}").config
        code, out, err = await run("serve", "--config", str(config))
        assert (code, out) == (2, ""), err
        assert "mintwarden: no bundle version was activated" in err
        assert "`mintwarden policy sign`, `approve` and `activate` it" in err


async def test_activation_under_load_on_three_nodes(where: Site, free_port: Callable[[], int]) -> None:
    nodes = await started(where, free_port)
    bundle, companies = where.folder / "bundle", [where.ask(node) for node in nodes]
    load, until = Load(), asyncio.Event()
    asking = [asyncio.create_task(load.run(company, until=until, connections=2)) for company in companies]
    await load.received(60)
    change(bundle, "audiences/payments.toml", 'description = "Payments"', 'description = "Payments, and more"')
    async with foundation(load_config(nodes[0].config, environ={})) as base:
        old = (await last(base)).digest
        new = await submitted(base, bundle, "Ann", "Bob")
        versions = versions_of(base)
        await versions.checks(new, base.clock.now())  # as `--dry-run` does: built before it is needed
        count = len(load.tokens)
        await load.received(count + 60)  # nodes have loaded it meanwhile, or do so when they need it
        await versions.activate(new, by="op", now=base.clock.now())
        committed, by_the_clock = time.monotonic(), base.clock.now()
        first = await asyncio.gather(*(effective(company, base, new) for company in companies))
        took = [at - committed for at in first]
        # whoever asks from now on is decided under the new version, on every node
        later = [await company.token("batch", grant_type="client_credentials") for company in companies]
        await load.received(len(load.tokens) + 60)
        # and back again, by one approver's word
        await submitted(base, _restored(bundle), "Cem", act="rollback")
        going_back = base.clock.now()
        await versions.rollback("", by="op", reason="it was a test", now=going_back)
        gone_back = base.clock.now()
        again = [await company.token("batch", grant_type="client_credentials") for company in companies]
        until.set()
        await asyncio.gather(*asking)
        while await base.store.tree.sequence(1000):
            pass
        recorded = await decisions(base)
        history = list(reversed(await base.store.versions.activations(9)))
    by_id = {entry["id"]: entry["bundle"] for entry in recorded}
    assert load.refused == {}, "a request was refused because of the switch"
    assert {by_id[claims_of(token)["jti"]] for token in later} == {new}
    assert {by_id[claims_of(token)["jti"]] for token in again} == {old}
    assert {entry["bundle"] for entry in recorded} == {old, new}
    assert all(claims_of(token)["jti"] in by_id for token in load.tokens)
    begun = [(entry["at"], entry["bundle"]) for entry in recorded]
    assert [b for at, b in begun if by_the_clock < at < going_back and b == old] == [], (
        "begun after it, and under the old"
    )
    assert [b for at, b in begun if at > gone_back and b == new] == []
    assert [one.kind for one in history] == ["activate", "activate", "rollback"]
    print(f"time to effect on {NODES} nodes under load: {max(took) * 1000:.0f} ms at most, {len(load.tokens)} tokens")
    assert max(took) < 1.0


def _restored(bundle: Path) -> Path:
    change(bundle, "audiences/payments.toml", 'description = "Payments, and more"', 'description = "Payments"')
    return bundle


async def effective(company: Company, base: Foundation, digest: str) -> float:
    """When the first answer came that was decided under the version."""
    while True:
        token = await company.token("batch", grant_type="client_credentials")
        at = time.monotonic()
        stored = await base.store.entries.by_decision(decision_bytes(claims_of(token)["jti"]))
        assert stored is not None
        if digest.encode() in stored.entry:
            return at


async def test_an_emergency_version_ends_by_itself_on_every_node(where: Site, free_port: Callable[[], int]) -> None:
    """To the second, without waiting for anybody to record it; and its end is recorded, once."""
    nodes = await started(where, free_port, 2)
    bundle, companies = where.folder / "bundle", [where.ask(node) for node in nodes]
    rule = 'permit (principal == Workload::"batch", action == Action::"issue", resource == Scope::"payments:read");'
    assert (await companies[0].ask("batch", grant_type="client_credentials")).status_code == 200
    change(bundle, "rules/all.cedar", rule, rule.removesuffix(";") + " when { context.request has purpose };")
    async with foundation(load_config(nodes[0].config, environ={})) as base:
        first = (await last(base)).digest
        digest = await submitted(base, bundle, "Ann", act="break_glass")
        done = await versions_of(base).break_glass(
            digest, by="op", reason="the batch runs wild", seconds=4, now=base.clock.now()
        )
        assert done.until is not None
        refused = [await company.ask("batch", grant_type="client_credentials") for company in companies]
        assert [answer.status_code for answer in refused] == [400, 400]
        for company in companies:
            assert "mintwarden_break_glass 1.0" in (await company.http.get("/metrics")).text
        async with asyncio.timeout(20):
            while any([(await c.ask("batch", grant_type="client_credentials")).status_code != 200 for c in companies]):
                assert base.clock.now() < done.until + 1_000
                await asyncio.sleep(0.02)
            ended = base.clock.now()
            while (await last(base)).kind != "return":
                await asyncio.sleep(0.05)
        assert 0 <= ended - done.until < 1_000
        back = await last(base)
        assert (back.digest, back.number) == (first, done.number + 1)
        assert [one.id for one in await base.store.versions.findings()] == [f"break-glass-{done.number}"]
        print(f"the emergency ended {ended - done.until} ms after its time on both nodes")
        until = done.until
        while await base.store.tree.sequence(1000):
            pass
        late = [entry for entry in await decisions(base) if entry["at"] >= until and entry["bundle"] == digest]
        assert late == [], "a decision was made under an emergency version whose time was over"
    await nodes[0].tells("break-glass: an emergency version governs")
    assert await nodes[0].stop() == 0


async def test_an_activation_past_the_ledger_governs_nothing(where: Site, free_port: Callable[[], int]) -> None:
    """Whoever can write to the database cannot make a version govern: nodes decide nothing rather than that."""
    (node,) = await started(where, free_port, 1)
    company = where.ask(node)
    change(where.folder / "bundle", "audiences/payments.toml", 'description = "Payments"', 'description = "P"')
    async with foundation(load_config(node.config, environ={})) as base:
        digest = await submitted(base, where.folder / "bundle")
        old = (await last(base)).digest
    async with await psycopg.AsyncConnection.connect(where.store, autocommit=True) as connection:
        await connection.execute(
            "INSERT INTO activations VALUES (2, %s, %s, 'activate', 1, NULL, '', '', 'eve', 'x')", (digest, old)
        )
        await connection.execute("UPDATE meta SET epoch = epoch + 1")
        answer = await company.ask("batch", grant_type="client_credentials")
        assert answer.status_code == 503, answer.text
        assert (await company.http.get("/readyz")).status_code == 503
        await connection.execute("DELETE FROM activations WHERE number = 2")
        await connection.execute("UPDATE meta SET epoch = epoch + 1")
    assert (await company.ask("batch", grant_type="client_credentials")).status_code == 200


async def test_the_person_who_asks_is_told_which_version_it_was(where: Site, free_port: Callable[[], int]) -> None:
    (node,) = await started(where, free_port, 1)
    token = await where.ask(node).token("batch", grant_type="client_credentials", resource=PAYMENTS)
    code, out, err = await command("explain", claims_of(token)["jti"], "--config", str(node.config), "--json")
    assert code == 0, err
    async with foundation(load_config(node.config, environ={})) as base:
        assert base.bundle.digest in out

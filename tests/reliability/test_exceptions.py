"""Nothing lengthens an exception: no clock, no crash, no ledger that fails, no database that comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from mintwarden.app.config import load_config
from mintwarden.app.excepting import exceptions_of
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.govern.exceptions import Known, Wanted, end_id
from mintwarden.model.errors import MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.store.sqlite.connection import connect
from tests.conftest import FrozenClock
from tests.flow.company import Company
from tests.reliability.deployment import site
from tests.reliability.fateful import Fateful, keep, keep_and_break, refuse
from tests.reliability.inside import service
from tests.unit.govern.exceptional import key_of, signed

HOUR = 3_600
RITA = EntityUid("User", "rita")


def extend(bundle: Path) -> None:
    """One approver, exceptions for writing, and a batch that may write as far as its ceiling goes."""
    head = (bundle / "bundle.toml").read_text()
    head = head.replace(
        'description = "writes"', 'description = "writes"\nexception_max = "1d"\nexception_approvals = 1'
    )
    approver = f'[[approvers]]\nname = "Ann"\nuser = "ann"\nkeys = ["{key_of("ann").text}"]\n'
    (bundle / "bundle.toml").write_text(head + approver)
    batch = (bundle / "clients/batch.toml").read_text()
    (bundle / "clients/batch.toml").write_text(
        batch.replace('["payments:read"]', '["payments:read", "payments:write"]')
    )


async def begun(base: Foundation) -> Known:
    """An exception of an hour for the batch."""

    async def acts() -> Known:
        exceptions, now = exceptions_of(base), base.clock.now()
        wanted = Wanted(
            principal=EntityUid("Workload", "batch"),
            scope="payments:write",
            expires_at=now + HOUR * 1000,
            reason="r",
            ticket="t",
            control="c",
        )
        made = await exceptions.request(wanted, RITA, endangered=lambda _bundle, _request: ())
        return await exceptions.approve(made.request.id, signed(made.request, "ann", now))

    known = await acts()
    assert known.counts
    return known


async def status(company: Company) -> int:
    return (await company.ask("batch", grant_type="client_credentials", scope="payments:write")).status_code


async def becomes(company: Company, wanted: int) -> None:
    async with asyncio.timeout(10):
        while await status(company) != wanted:
            await asyncio.sleep(0.05)


def stopped(clock: FrozenClock) -> Callable[[Foundation], Foundation]:
    def change(base: Foundation) -> Foundation:
        if clock.time < 1:
            clock.time = base.clock.now()
        return replace(base, clock=clock)

    return change


async def test_a_clock_that_steps_back_in_a_running_service(tmp_path: Path) -> None:
    clock = FrozenClock(0)  # type: ignore[arg-type]
    async with site(tmp_path, extend=extend) as where, service(where, stopped(clock)) as (company, base):
        assert await status(company) == 400
        known = await begun(base)
        assert await status(company) == 200
        clock.advance(seconds=HOUR - 1)
        assert await status(company) == 200
        clock.advance(millis=1)
        assert await status(company) == 400, "less than a second is left"
        clock.advance(seconds=1)
        assert await status(company) == 400
        for back in (1, HOUR // 2, HOUR, 24 * HOUR):
            clock.advance(seconds=-back)
            assert await status(company) == 400, "what has ended stays ended"
            clock.advance(seconds=back)
        async with asyncio.timeout(10):
            while (await exceptions_of(base).known(known.request.id)).stored.state != "ended":
                await asyncio.sleep(0.05)


async def test_a_service_that_starts_with_a_clock_that_is_late(tmp_path: Path) -> None:
    """It died right after the end, before anybody wrote that down: the ledger's newest entry says how late it is."""
    clock = FrozenClock(0)  # type: ignore[arg-type]
    async with site(tmp_path, extend=extend) as where:
        async with foundation(load_config(where.node(0).config, environ={})) as base:
            base = stopped(clock)(base)
            known = await begun(base)
            clock.advance(seconds=HOUR + 1)
            await base.recorder.record_act(
                entry_id=base.new_id(),
                kind="configuration",
                at=clock.now(),
                actor=EntityUid("Workload", "x"),
                detail={},
            )
        clock.advance(seconds=-HOUR)
        async with service(where, stopped(clock)) as (company, base):
            assert known.request.expires_at - clock.now() > 1_000_000
            assert await status(company) == 400


async def test_two_nodes_whose_clocks_are_apart(tmp_path: Path) -> None:
    right, late = FrozenClock(0), FrozenClock(0)  # type: ignore[arg-type]
    async with (
        site(tmp_path, extend=extend) as where,
        service(where, stopped(right)) as (one, base),
        service(where, stopped(late)) as (other, _),
    ):
        late.time = right.now()
        await begun(base)
        assert (await status(one), await status(other)) == (200, 200)
        right.advance(seconds=HOUR)
        assert await status(one) == 400
        await becomes(other, 400)
        right.advance(seconds=-HOUR)
        assert (await status(one), await status(other)) == (400, 400)


async def test_what_the_ledger_does_not_take_does_not_happen(tmp_path: Path) -> None:
    clock = FrozenClock(0)  # type: ignore[arg-type]
    appenders: list[Fateful] = []

    def change(base: Foundation) -> Foundation:
        base = stopped(clock)(base)
        appenders.append(Fateful(base.store.entries))
        base.recorder._appender = appenders[-1]
        return base

    async with site(tmp_path, extend=extend) as where, service(where, change) as (company, base):
        known = await begun(base)
        appenders[0].fate = refuse
        with pytest.raises(MintwardenError):
            await exceptions_of(base).revoke(known.request.id, RITA, "misused")
        appenders[0].fate = keep
        assert await status(company) == 200, "no end without its entry"
        # the entry is written, and the process that wrote it never hears of it
        clock.advance(seconds=11)
        appenders[0].fate = keep_and_break
        with pytest.raises(MintwardenError):
            await exceptions_of(base).revoke(known.request.id, RITA, "misused")
        appenders[0].fate = keep
        await becomes(company, 400)
        assert (await exceptions_of(base).known(known.request.id)).stored.state == "revoked"


async def test_a_store_that_lost_the_end_and_fell_back(tmp_path: Path) -> None:
    """What a copy without the last transactions looks like: an earlier epoch, an open exception, no end in the ledger."""
    clock = FrozenClock(0)  # type: ignore[arg-type]
    async with site(tmp_path, extend=extend) as where, service(where, stopped(clock)) as (company, base):
        known = await begun(base)
        assert await status(company) == 200
        await exceptions_of(base).revoke(known.request.id, RITA, "misused")
        assert await status(company) == 400
        edit(tmp_path, "UPDATE exceptions SET state = 'active', end_entry = NULL")
        edit(tmp_path, f"DELETE FROM entries WHERE decision_id = x'{end_id(known.request.id).hex()}'")
        edit(tmp_path, "UPDATE meta SET epoch = epoch + 1")
        assert (await exceptions_of(base).known(known.request.id)).counts, "the store knows no better"
        await becomes_stable(company, 400)


async def becomes_stable(company: Company, wanted: int) -> None:
    """For longer than the store is looked at behind the requests."""
    for _ in range(30):
        assert await status(company) == wanted
        await asyncio.sleep(0.05)


def edit(folder: Path, statement: str) -> None:
    connection = connect(str(folder / "mintwarden.db"))
    try:
        connection.execute(statement)
    finally:
        connection.close()


@pytest.mark.xdist_group("postgres")
async def test_postgresql_that_drops_its_connections(tmp_path: Path, new_database: Callable[[], str]) -> None:
    import psycopg

    url = new_database()
    clock = FrozenClock(0)  # type: ignore[arg-type]
    async with (
        site(tmp_path, url, extend=extend) as where,
        service(where, stopped(clock)) as (one, base),
        service(where, stopped(clock)) as (other, _),
    ):
        known = await begun(base)
        assert (await status(one), await status(other)) == (200, 200)
        await drop(psycopg, url)
        for company in (one, other):
            await becomes(company, 200)
        await exceptions_of(base).revoke(known.request.id, RITA, "misused")
        assert (await status(one), await status(other)) == (400, 400)
        await drop(psycopg, url)
        for company in (one, other):
            async with asyncio.timeout(10):
                while (found := await status(company)) != 400:
                    assert found == 503, "unavailable, never granted"
                    await asyncio.sleep(0.05)


async def drop(psycopg: Any, url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

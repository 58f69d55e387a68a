"""A clock that steps back, and forward again: nothing is repeated, nothing is guessed, nothing is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

from msgspec.structs import replace

from mintwarden.app.config import load_config
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.app.tasks import purge_claims
from tests.conftest import FrozenClock
from tests.flow.company import PAYMENTS, Company
from tests.reliability.deployment import audit, site
from tests.reliability.inside import service
from tests.reliability.load import check_recorded, check_replays, claims_of
from tests.reliability.sabotage import edit, issued

HOUR = 3600


async def person(company: Company, clock: FrozenClock) -> int:
    signed_in = company.signed_in("alice", clock.now() // 1000)
    return (await company.exchange("helper", signed_in, resource=PAYMENTS, scope="payments:read")).status_code


async def test_a_clock_that_steps_back(tmp_path: Path) -> None:
    clock = FrozenClock()

    def stopped(base: Foundation) -> Foundation:
        clock.time = base.clock.now()
        return replace(base, clock=clock)

    async with site(tmp_path) as where:
        async with service(where, stopped) as (company, base):
            started = clock.now() // 1000
            proof = company.assertion(started)
            form = {"grant_type": "client_credentials", **proof}
            first = await company.http.post("/token", data=form)
            tokens = [first.json()["access_token"], await issued(company)]
            assert await person(company, clock) == 200

            clock.advance(seconds=-HOUR)
            tokens += [await issued(company) for _ in range(3)]
            said = claims_of(tokens[-1])
            assert (said["iat"], said["exp"]) == (started - HOUR, started - HOUR + 300), "by the clock as it is"
            # what was observed in the future is not believed: refused, and told as what it is
            assert await person(company, clock) == 400
            await check_replays(company, [proof])

            clock.advance(seconds=HOUR + 30)
            tokens.append(await issued(company))
            assert await person(company, clock) == 200
            await check_replays(company, [proof])

            clock.advance(seconds=-45)
            tokens.append(await issued(company))
            assert await person(company, clock) == 200, "less than a minute: clocks may differ by that"
            await check_replays(company, [proof])

            ids = [claims_of(token)["jti"] for token in tokens]
            assert len(set(ids)) == len(ids)
            await check_recorded(base, tokens)
            async with asyncio.timeout(10):
                while (await base.store.tree.head()).size < await base.store.entries.count():
                    await asyncio.sleep(0.02)
            config = Path(base.config.file)
        await audit(config)


async def test_claimed_proofs_outlive_a_clock_that_jumped_ahead_and_came_back(tmp_path: Path) -> None:
    """Claims are cleaned up by the clock. One that ran ahead for a moment must not make room for replays."""
    clock = FrozenClock()

    def stopped(base: Foundation) -> Foundation:
        clock.time = base.clock.now()
        return replace(base, clock=clock)

    async with site(tmp_path) as where:
        proofs = []
        for node in range(2):
            async with service(where, stopped) as (company, base):
                if node == 0:
                    proofs.append(company.assertion(clock.now() // 1000))
                    form = {"grant_type": "client_credentials", **proofs[0]}
                    assert (await company.http.post("/token", data=form)).status_code == 200
                    clock.advance(seconds=600)
                    await purge_claims(base)
                else:  # another process, which remembers nothing, at the true time
                    await check_replays(company, proofs)


async def test_claims_that_ran_out_are_cleaned_up_however_many_they_are(tmp_path: Path) -> None:
    async with site(tmp_path) as where, foundation(load_config(where.node(0).config, environ={})) as base:
        now = base.clock.now()
        rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000) "
        edit(
            tmp_path,
            rows + "INSERT INTO replay (expires_at, digest) SELECT ? + i, randomblob(16) FROM n",
            now - HOUR * 1000,
        )
        edit(tmp_path, "INSERT INTO replay (expires_at, digest) VALUES (?, randomblob(16))", now - 60_000)
        await purge_claims(base)
        assert edit(tmp_path, "SELECT count(*) FROM replay") == [(1,)]

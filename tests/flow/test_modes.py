"""An audience comes from its older system to the rules: observed, looked at, promoted, enforced, over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey

from mintwarden.app.cli import main
from mintwarden.app.config import load_config
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.app.server import serving
from mintwarden.app.wiring import open_service
from mintwarden.context.ports import FactRow
from mintwarden.govern.modes import Modes
from mintwarden.ledger.reveal import read_entry
from mintwarden.policy.mode_changes import ModeChange
from tests.flow.company import PAYMENTS, Company, furnish, write_company

OBSERVED = """mode = "observe"  # since the old server went
"""
MAPPING = """
[legacy]
everyone = ["payments:read"]
finance = ["payments:read"]
[legacy_clients]
batch = ["payments:read"]
[readiness]
days = 1
min_decisions = 5
"""


class Town:
    """The company while one audience observes; its service can be started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.signer, self.login = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
        self.config = write_company(folder, self.signer, self.login)
        self.file = folder / "bundle/audiences/payments.toml"
        text = self.file.read_text().replace('disclose = "challenge"\n', f'disclose = "challenge"\n{OBSERVED}')
        self.file.write_text(text.replace("[claims]", f"{MAPPING}[claims]"))
        self.secrets: dict[str, str] = {}

    async def furnish(self) -> None:
        self.secrets = await furnish(self.config)
        await self.put("bob", "everyone")

    async def put(self, person: str, *groups: str) -> None:
        document = json.dumps({"facts": {"department": "ports"}, "groups": groups}).encode()
        async with foundation(load_config(self.config, environ={})) as base:
            await base.store.facts.put([(f"User:{person}", FactRow("directory", document, base.clock.now()))])

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Company]:
        service = await open_service(load_config(self.config, environ={}))
        try:
            listening = socket.create_server(("127.0.0.1", 0))
            async with serving(service.surface, listening) as base, httpx2.AsyncClient(base_url=base) as http:
                yield Company(
                    folder=self.folder,
                    base=base,
                    http=http,
                    secrets=self.secrets,
                    signer=self.signer,
                    login=self.login,
                )
        finally:
            await service.close()

    async def command(self, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = await asyncio.to_thread(main, [*words, "--config", str(self.config)])
        told = capsys.readouterr()  # what the service logs goes to the same place as errors
        return code, told.out or told.err

    async def report(self, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
        code, told = await self.command(capsys, "review", "readiness", "payments", "--json", *words)
        return code, json.loads(told)


async def reads(company: Company, person: str, scope: str = "payments:read") -> httpx2.Response:
    signed_in = company.signed_in(person, int(time.time()))
    return await company.exchange("helper", signed_in, resource=PAYMENTS, scope=scope)


async def test_from_observing_to_enforcing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    town = Town(tmp_path)
    await town.furnish()
    async with town.running() as company:
        # What the mapping gives is issued, whatever the rules say; nothing else is.
        token = (await reads(company, "bob")).json()
        assert token["scope"] == "payments:read"
        claims = await company.claims(token["access_token"])
        assert "observe" not in json.dumps(claims)
        assert "legacy" not in json.dumps(claims)
        assert set(claims) == set(await company.claims((await reads(company, "alice")).json()["access_token"]))
        assert (await reads(company, "alice", "payments:write")).status_code == 400
        assert (await company.ask("batch", grant_type="client_credentials")).status_code == 200

        # The explanation says so plainly, with what would mend it.
        code, told = await town.command(capsys, "explain", claims["jti"])
        assert code == 0
        assert "granted under observe at" in told
        assert "payments:read granted by the mapping of the older system (legacy:everyone)" in told
        assert "issued under observe: the rules would have refused it: no rule permits it" in told
        assert 'subject joins Group::"finance"' in told

        # It is not ready: too few decisions, and bob would lose what he has.
        code, report = await town.report(capsys)
        assert (code, report["ready"], report["decisions"]) == (1, False, 4)
        assert {one["name"]: one["met"] for one in report["criteria"]} == {
            "days": True,
            "min_decisions": False,
            "unexplained": False,
        }
        (loss,) = report["breaking"]
        assert (loss["client"], loss["scope"], loss["count"], loss["state"]) == ("helper", "payments:read", 1, "breaks")
        assert loss["change"] == ['subject joins Group::"finance"']
        assert "bob" not in json.dumps(report)
        assert (await town.report(capsys, "--show-subjects"))[1]["breaking"][0]["subject"] == "User:bob"
        code, markdown = await town.command(capsys, "review", "readiness", "payments", "--markdown")
        assert (code, markdown.splitlines()[0]) == (1, "# payments: not ready to enforce")
        assert [(day["decisions"], day["would_lose"]) for day in report["trend"]] == [(4, 1)]

        # So it is not promoted.
        before = town.file.read_text()
        code, told = await town.command(capsys, "policy", "promote", "payments")
        assert (code, town.file.read_text()) == (1, before)
        assert "not met: at most 0 losses without an explanation: 1" in told

        # Bob joins the group that the rules ask for; he need not do anything but ask again.
        await town.put("bob", "everyone", "finance")
        assert (await reads(company, "bob")).status_code == 200
        code, report = await town.report(capsys)
        assert (code, report["ready"], report["breaking"][0]["state"]) == (0, True, "mended")

        code, told = await town.command(capsys, "policy", "promote", "payments")
        assert code == 0, told
        assert "mode observe -> enforce" in told
        assert town.file.read_text() == before.replace('"observe"', '"enforce"')
        # Nothing is in force by that.
        assert (await company.ask("batch", grant_type="client_credentials")).status_code == 200

    await town.put("carol", "everyone")
    async with town.running() as company:
        assert (await reads(company, "bob")).status_code == 200
        assert (await company.ask("batch", grant_type="client_credentials")).status_code == 200
        refused = await reads(company, "carol")
        assert refused.status_code == 400
        code, told = await town.command(capsys, "explain", refused.json()["error_description"].split()[-1].strip("`."))
        assert "under observe" not in told
    code, told = await town.command(capsys, "policy", "promote", "payments")
    assert code == 2
    assert "is in `enforce`" in told


async def test_a_reason_promotes_what_is_not_ready_and_stands_in_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    town = Town(tmp_path)
    await town.furnish()
    async with town.running() as company:
        assert (await reads(company, "bob")).status_code == 200
    code, told = await town.command(capsys, "policy", "promote", "payments", "--despite", "PAY-7: the old server burns")
    assert code == 0, told
    (line,) = [line for line in town.file.read_text().splitlines() if line.startswith("mode")]
    assert line == (
        'mode = "enforce"  # since the old server went; not ready, and promoted because: PAY-7: the old server burns'
    )


async def test_a_canary_is_enforced_for_its_clients_and_is_looked_at_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    town = Town(tmp_path)
    text = town.file.read_text().replace('mode = "observe"', 'mode = "canary"')
    town.file.write_text(text.replace("[legacy]", '[canary]\nclients = ["helper"]\n[legacy]', 1))
    await town.furnish()
    async with town.running() as company:
        assert (await reads(company, "bob")).status_code == 400
        granted = await company.exchange("web", company.signed_in("bob", int(time.time())), resource=PAYMENTS)
        assert granted.status_code == 200, granted.text
        _, report = await town.report(capsys)
        assert (report["decisions"], report["enforced"], report["refused"], report["mode"]) == (1, 1, 1, "canary")
        claims = await company.claims(granted.json()["access_token"])
        _, told = await town.command(capsys, "explain", claims["jti"])
        assert "(canary: not yet for this caller" in told


async def test_questions_about_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    town = Town(tmp_path)
    await town.furnish()
    async with town.running():
        code, told = await town.command(capsys, "review", "readiness", "paymets")
        assert code == 2
        assert "there is no audience `paymets`" in told
        assert "payments" in told
        assert (await town.command(capsys, "review", "readiness", "payments", "--since", "yesterday"))[0] == 2
        assert (await town.command(capsys, "review", "readiness", "payments", "--json", "--markdown"))[0] == 2
        code, told = await town.command(capsys, "review", "readiness", "payments", "--since", "1h")
        assert code == 1
        assert "NO   at least 5 decisions: 0" in told
        assert (await town.command(capsys, "policy", "promote", "paymets"))[0] == 2
        code, told = await town.command(capsys, "policy", "promote", "payments", "--to", "canary", "--despite", "x")
        assert code == 2
        assert "does not say for whom" in told


async def until(seen: Callable[[], Awaitable[bool]]) -> None:
    """Return when it is so; fail when it is not within ten seconds."""
    deadline = time.monotonic() + 10
    while not await seen():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def returns(base: Foundation) -> list[Mapping[str, Any]]:
    entries = [read_entry(stored.entry) for stored in await base.store.entries.by_index(0, 100)]
    return [entry for entry in entries if entry["kind"] == "mode_change"]


async def test_a_downgrade_ends_by_itself_and_is_recorded_once(tmp_path: Path) -> None:
    town = Town(tmp_path)
    ends = int(time.time() * 1000) + 3_000
    limit = datetime.fromtimestamp(ends / 1000, UTC).isoformat()
    text = town.file.read_text().replace("[legacy]", f'[downgrade]\nreason = "PAY-9"\nuntil = "{limit}"\n[legacy]', 1)
    town.file.write_text(text)
    await town.furnish()
    async with town.running() as company:
        assert (await reads(company, "bob")).status_code == 200
        assert "mintwarden_downgrades 1.0" in (await company.http.get("/metrics")).text

        async def over() -> bool:
            return (await reads(company, "bob")).status_code == 400

        await until(over)
        # In its last second it gives nothing any more: a token lives for whole seconds, and none outlives it.
        assert int(time.time() * 1000) >= ends - 1_000
        async with foundation(load_config(town.config, environ={})) as base:

            async def recorded() -> bool:
                return bool(await returns(base))

            await until(recorded)
            # Other nodes find that it was done.
            told = Heard()
            for _ in range(2):
                other = Modes(
                    recorder=base.recorder,
                    entries=base.store.entries,
                    leases=base.store.leases,
                    holder=base.holder,
                    told=told,
                )
                await other.tend(base.bundle, base.clock.now())
            assert [change.id for change in told.changes] == ["payments", "payments"]
            (entry,) = await returns(base)
        assert entry["detail"] == {
            "after": "enforce",
            "audience": "payments",
            "before": "observe",
            "bundle": base.bundle.digest,
            "by_itself": True,
            "reason": "PAY-9",
            "until": ends,
        }

        async def quiet() -> bool:
            return "mintwarden_downgrades 0.0" in (await company.http.get("/metrics")).text

        await until(quiet)


class Heard:
    """What one node was told."""

    def __init__(self) -> None:
        self.changes: list[ModeChange] = []

    def returned(self, change: ModeChange) -> None:
        self.changes.append(change)

    def downgrades(self, count: int) -> None:
        assert count == 0

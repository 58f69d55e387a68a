"""The traffic generator: real decisions, as many as wanted, the same for the same seed, in a ledger without fault."""

from __future__ import annotations

import itertools
import json
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from mintwarden.app.cli import main
from mintwarden.app.config import load_config
from mintwarden.app.demo.cast import DAY
from mintwarden.app.demo.days import Days
from mintwarden.app.demo.errands import HOUR, Company, errand
from mintwarden.app.demo.stage import meridian
from mintwarden.app.demo.traffic import SPELL, Tally, Wishes, make_traffic
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.context.ports import FactRow
from mintwarden.ledger.ports import StoredEntry
from mintwarden.model.errors import ErrorKind, MintwardenError

NOW = 1_795_600_000_000
CONFIG = """
[server]
dev = true
[store]
url = "sqlite:///mintwarden.db"
[bundle]
path = "BUNDLE"
[keys]
master_key_file = "master.key"
"""


def deployment(folder: Path, bundle: Path | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    key = folder / "master.key"
    key.write_text("A" * 43 + "\n")
    key.chmod(0o600)
    config = folder / "mintwarden.toml"
    config.write_text(CONFIG.replace("BUNDLE", str(bundle or meridian())))
    return config


@asynccontextmanager
async def opened(folder: Path, bundle: Path | None = None) -> AsyncIterator[Foundation]:
    async with foundation(load_config(deployment(folder, bundle)), create=True) as base:
        yield base


async def made(folder: Path, count: int, seed: int = 7) -> tuple[Tally, list[dict], list[StoredEntry], str]:
    """The tally, the decisions' entries as JSON, all entries, and the bundle's digest."""
    async with opened(folder) as base:
        tally = await make_traffic(base, Wishes(count=count, seed=seed), now=NOW)
        await base.recorder.close()
        entries = list(await base.store.entries.by_index(0, count + 100))
        decoded = [json.loads(stored.entry) for stored in entries]
        return tally, [entry for entry in decoded if entry["kind"] == "decision"], entries, base.bundle.digest


async def test_the_same_seed_gives_the_same_decisions_and_another_seed_others(tmp_path: Path):
    first, entries, _, digest = await made(tmp_path / "a", 400)
    again, others, _, _ = await made(tmp_path / "b", 400)
    different, _, _, _ = await made(tmp_path / "c", 400, seed=8)
    assert msgspec.structs.asdict(again) == msgspec.structs.asdict(first)
    assert msgspec.structs.asdict(different) != msgspec.structs.asdict(first)

    def told(entry: dict) -> tuple:
        scopes = [(scope["scope"], scope["granted"], scope.get("reason")) for scope in entry["scopes"]]
        return entry["at"], entry["client"], entry["audience"], scopes, entry.get("lifetime")

    assert sorted(map(told, entries), key=repr) == sorted(map(told, others), key=repr)
    assert len(entries) == first.decisions == 400
    assert sum(entry["granted"] for entry in entries) == first.granted > first.refused > 20
    assert {entry["bundle"] for entry in entries} == {digest}
    assert first.narrowed > 0
    assert len(first.audiences) == 12
    times = [entry["at"] for entry in entries]
    assert (min(times), max(times)) == (first.first, first.last)
    assert times[0] < NOW - 20 * DAY
    assert max(times) < NOW
    assert all(later >= at - 2 * SPELL for at, later in itertools.pairwise(times))
    assert {entry["grant"] for entry in entries} == {"client_credentials", "token_exchange"}
    assert max(len(entry.get("actors", ())) for entry in entries) >= 2, "no chain of two actors"
    reasons = {scope.get("reason") for entry in entries for scope in entry["scopes"] if not scope["granted"]}
    assert len(reasons) >= 3, reasons


def test_the_command_leaves_a_ledger_without_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config = str(deployment(tmp_path))
    assert main(["demo", "traffic", "--config", config, "--count", "120", "--days", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["decisions"] == told["granted"] + told["refused"] == sum(told["audiences"].values()) == 120
    assert main(["ledger", "audit", "--config", config]) == 0
    shown = capsys.readouterr().out
    assert "nothing is wrong" in shown
    assert " 0 waiting" in shown
    # A second time: what is stored by now is of a later time than the traffic would begin at.
    assert main(["demo", "traffic", "--config", config, "--count", "10", "--days", "3"]) == 2
    assert "facts of a later time" in capsys.readouterr().err


def test_the_command_tells_people_how_it_went(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["demo", "traffic", "--config", str(deployment(tmp_path)), "--count", "60"]) == 0
    shown = capsys.readouterr().out
    assert "60 decisions recorded, from 20" in shown
    assert "granted: " in shown
    assert "payments" in shown


@pytest.mark.parametrize("hours", range(0, 24, 3))
async def test_however_little_is_asked_what_the_sources_say_is_fresh_at_the_end(tmp_path: Path, hours: int):
    """The last busy spell may be days ago."""
    now = NOW + hours * HOUR
    async with opened(tmp_path) as base:
        await make_traffic(base, Wishes(count=30), now=now)
        person = "User:kai.jensen"
        said = {row.source: row.observed_at for row in (await base.store.facts.read([person])).rows[person]}
    for source in ("directory", "entitlements", "hr"):
        assert now - DAY < said[source] <= now


async def test_another_companys_ledger_is_left_alone(tmp_path: Path):
    bundle = tmp_path / "other"
    shutil.copytree(meridian(), bundle)
    head = bundle / "bundle.toml"
    head.write_text(head.read_text().replace('name = "meridian"', 'name = "acme"'))
    async with opened(tmp_path / "d", bundle) as base:
        with pytest.raises(MintwardenError, match="not the example company") as refused:
            await make_traffic(base, Wishes(count=10), now=NOW)
        assert await base.store.entries.count() == 0
    assert refused.value.kind is ErrorKind.CONFLICT


async def test_an_issuer_that_others_might_trust_is_left_alone(tmp_path: Path):
    bundle = tmp_path / "real"
    shutil.copytree(meridian(), bundle)
    for file in ("bundle.toml", "audiences/identity.toml"):
        text = (bundle / file).read_text()
        (bundle / file).write_text(text.replace("https://tokens.meridian.example", "https://tokens.meridian-pay.com"))
    async with opened(tmp_path / "d", bundle) as base:
        with pytest.raises(MintwardenError, match="not the example company"):
            await make_traffic(base, Wishes(count=10), now=NOW)


async def test_facts_of_a_later_time_are_not_overwritten(tmp_path: Path):
    async with opened(tmp_path) as base:
        row = FactRow("directory", b"{}", NOW - DAY)
        await base.store.facts.put([("User:maya.lindqvist", row)])
        with pytest.raises(MintwardenError, match="facts of a later time") as refused:
            await make_traffic(base, Wishes(count=10), now=NOW)
    assert refused.value.kind is ErrorKind.CONFLICT


def test_errands_are_within_what_the_bundle_knows():
    company, chance = Company(NOW), random.Random(1)
    for hour in range(24):
        for _ in range(60):
            asked = errand(chance, company, NOW - NOW % DAY + hour * HOUR)
            assert {"audience", "scope"} <= asked.form.keys()
            who = asked.subject
            assert who is None or who.issuer != "login" or f"User:{who.name}" in company.said


def test_days_push_each_thing_once_a_day_and_never_ahead():
    company = Company(NOW)
    begin = NOW - 30 * DAY
    days = Days(company, random.Random(3), begin=begin, length=30 * DAY)
    pushed: dict[tuple[str, str], list[int]] = {}
    for step in range(30 * 24):
        at = begin + step * HOUR
        who = errand(random.Random(step), company, at)
        for entity, row in days.until(at, [who]):
            assert row.observed_at == at
            pushed.setdefault((entity, row.source), []).append(at)
    directory = pushed["User:maya.lindqvist", "directory"]
    assert len({at // DAY for at in directory}) == len(directory) >= 30
    late = [at % DAY for at in pushed["User:maya.lindqvist", "hr"]]
    assert max(late) >= 11 * HOUR, "the personnel system was never late"
    assert len(pushed["world:", "incidents"]) == 4, "quiet, declared, critical, over"

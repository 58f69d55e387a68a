"""`mintwarden policy impact`, as a person, a pipeline and a machine see it, over a ledger of real entries."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mintwarden.app.cli import main
from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.govern.content import content_of
from mintwarden.govern.ports import StoredVersion
from mintwarden.ledger.tree import leaf_hash
from mintwarden.policy.bundle.load import load_bundle
from mintwarden.review.impact.state import RANGE, read_state
from tests.property.replay_cases import EDITS, FILES, RULE_FILE
from tests.unit.review.past import Past

COUNT = 150
CONFIG = """[server]
dev = true
[store]
url = "sqlite:///{folder}/mintwarden.db"
[bundle]
path = "{folder}/bundle"
[keys]
master_key_file = "{folder}/master.key"
"""


def write_bundle(folder: Path, *edits: int) -> Path:
    texts = dict(FILES)
    for index in edits:
        file, old, new = EDITS[index]
        texts[file] = texts[file].replace(old, new)
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_site(tmp_path_factory.mktemp("site"))
    asyncio.run(fill(folder))
    return folder


def write_site(folder: Path) -> Path:
    write_bundle(folder / "bundle")
    write_bundle(folder / "stricter", 0, 1)
    write_bundle(folder / "reads-more", 10)
    key = folder / "master.key"
    key.write_text(base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("="))
    key.chmod(0o600)
    (folder / "mintwarden.toml").write_text(CONFIG.format(folder=folder))
    return folder


async def fill(folder: Path) -> None:
    config = load_config(folder / "mintwarden.toml")
    async with foundation(config, create=True) as base:
        past = Past(base.store, by=base.sealer)
        await past.record(base.bundle, COUNT)
        # a version of before, of which only the store knows
        texts = {**FILES, "claims.toml": FILES["claims.toml"].replace("refuse", "omit")}
        before = write_bundle(folder / "before")
        (before / "claims.toml").write_text(texts["claims.toml"])
        bundle = load_bundle(before)
        await base.store.versions.put_version(StoredVersion(bundle.digest, content_of(texts), 1), ())
        await past.record(bundle, 30, different=30)


def ask(site: Path, capsys: Any, *words: str) -> tuple[int, Any]:
    code = main(["policy", "impact", *words, "--config", str(site / "mintwarden.toml"), "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out or err)


def test_the_active_bundle_reproduces_its_own_decisions(site, capsys):
    code, found = ask(site, capsys, "active")
    assert code == 0
    assert found["ok"]
    assert found["decisions"] == found["replayed"] == COUNT + 30
    reproduced = found["reproduced"]
    assert reproduced["same"] + reproduced["same_but_token"] == COUNT
    assert found["changed"] == 0 or found["kinds"]["reason"]["count"] > 0


def test_what_changes_is_told_by_client_audience_scope_and_rule_with_its_first_and_last(site, capsys):
    code, found = ask(site, capsys, str(site / "stricter"))
    assert code == 0
    lost = found["kinds"]["lost"]
    assert lost["count"] > 0
    assert {"client", "audience", "scope", "rule", "reason"} <= lost["by"].keys()
    assert sum(one["count"] for one in lost["by"]["audience"]) == lost["count"]
    assert lost["first"]["leaf"] <= lost["last"]["leaf"]
    assert lost["first"]["before"]["granted"]
    assert not lost["first"]["after"]["granted"]
    assert lost["first"]["subject"] == ""


def test_people_are_named_only_when_asked_for(site, capsys):
    assert "User:u" not in json.dumps(ask(site, capsys, str(site / "stricter"))[1])
    assert "User:u" in json.dumps(ask(site, capsys, str(site / "stricter"), "--show-subjects")[1])


def test_a_pipeline_fails_on_what_it_names(site, capsys):
    assert ask(site, capsys, str(site / "stricter"), "--fail-on", "lost,narrowed")[0] == 1
    code, found = ask(site, capsys, str(site / "stricter"), "--fail-on", "gained, unbound")
    assert (code, found["failing"]) == (0, [])
    code, found = ask(site, capsys, str(site / "reads-more"), "--fail-on", "unreplayable")
    assert (code, found["failing"]) == (1, ["unreplayable"])
    (cause,) = (one for one in found["causes"] if one["cause"] == "facts_not_recorded")
    assert cause["detail"] == "context.device.compliant"
    assert cause["first"]


def test_what_is_supposed(site, capsys):
    found = ask(site, capsys, "active", "--without-group", "finance", "--without-group", "finanse")[1]
    assert found["kinds"]["lost"]["count"] > 0
    assert found["candidate"]["unread_groups"] == ["finanse"], "a name that says nothing is pointed out"
    assert ask(site, capsys, "active", "--source-down", "risk", "--without-group", "everyone")[1]["candidate"]["sources_down"] == ["risk"]  # fmt: skip


def test_the_report_for_people_and_for_a_pull_request(site, capsys, tmp_path):
    file = tmp_path / "impact.md"
    config = str(site / "mintwarden.toml")
    assert main(["policy", "impact", str(site / "stricter"), "--config", config, "--markdown", str(file)]) == 0
    out = capsys.readouterr().out
    assert f"decisions   {COUNT + 30}" in out
    assert " lost: no token where there was one" in out
    assert "-> refused, " in out
    text = file.read_text()
    assert "| **lost**: no token where there was one |" in text
    assert main(["policy", "impact", "active", "--config", config, "--markdown", str(tmp_path)]) == 2


def test_filters_and_limits(site, capsys):
    assert ask(site, capsys, "active", "--limit", "40")[1]["entries"] == 40
    assert ask(site, capsys, "active", "--client", "nobody")[1]["decisions"] == 0
    some = ask(site, capsys, "active", "--scope", "pay:write", "--audience", "payments")[1]
    assert 0 < some["decisions"] < COUNT
    # the recorded past lies at a fixed time
    assert ask(site, capsys, "active", "--since", "2026-11-18T11:07:40Z", "--until", "2026-11-18T11:08:40+00:00")[1]["decisions"] == 60  # fmt: skip


def test_an_interrupted_run_goes_on(site, capsys, tmp_path):
    state = tmp_path / "state.json"
    _, first = ask(site, capsys, str(site / "stricter"), "--resume", str(state))
    _, again = ask(site, capsys, str(site / "stricter"), "--resume", str(state))
    assert first == again
    code, refused = ask(site, capsys, "active", "--resume", str(state))
    assert (code, refused["error"]) == (2, "conflict")
    assert ask(site, capsys, str(site / "stricter"), "--client", "app", "--resume", str(state))[0] == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["active", "--since", "yesterday"], "no time"),
        (["active", "--since", "0d"], "no time"),
        (["active", "--fail-on", "everything"], "no kind of change"),
        (["active", "--workers", "-1"], "processes"),
        (["active", "--source-down", "nowhere"], "no source"),
        (["nowhere"], "is not a folder"),
        ([f"sha256:{'0' * 64}"], "keeps no version"),
        (["active", "--limit", "-5"], "--limit"),
    ],
)
def test_bad_input_is_refused(site, capsys, words, says):
    code, told = ask(site, capsys, *words)
    assert code == 2
    assert says in json.dumps(told)


def test_a_decision_that_came_out_otherwise_under_the_same_bundle_fails_the_run(site, capsys, tmp_path):
    for name in ("mintwarden.db", "mintwarden.db-wal"):
        source = site / name
        if source.exists():
            (tmp_path / name).write_bytes(source.read_bytes())
    config = tmp_path / "mintwarden.toml"
    config.write_text(
        (site / "mintwarden.toml").read_text().replace(f"{site}/mintwarden.db", f"{tmp_path}/mintwarden.db")
    )
    with contextlib.closing(sqlite3.connect(tmp_path / "mintwarden.db")) as connection, connection:
        entry, leaf = connection.execute(
            "SELECT CAST(entry AS TEXT), leaf FROM entries WHERE instr(entry, '\"granted\":true') LIMIT 1"
        ).fetchone()
        changed = entry.replace('"granted":true', '"granted":false', 1).encode()
        connection.execute(
            "UPDATE entries SET entry = ?, leaf_hash = ? WHERE leaf = ?", (changed, leaf_hash(changed), leaf)
        )
    connection.close()
    assert main(["policy", "impact", "active", "--config", str(config), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["failing"] == ["different"]
    assert found["reproduced"]["different"] == 1
    assert "granted" in found["reproduced"]["members"]


async def fill_long(folder: Path) -> None:
    async with foundation(load_config(folder / "mintwarden.toml"), create=True) as base:
        await Past(base.store, by=base.sealer).record(base.bundle, 2 * RANGE + 500, different=150)


def test_a_process_that_was_killed_is_gone_on_with(tmp_path, capsys):
    site = write_site(tmp_path)
    asyncio.run(fill_long(site))
    state = tmp_path / "state.json"
    command = [sys.executable, "-m", "mintwarden", "policy", "impact", str(site / "stricter"), "--resume", str(state)]
    with subprocess.Popen(
        [*command, "--workers", "1", "--config", str(site / "mintwarden.toml")], stdout=subprocess.DEVNULL
    ) as process:
        for _ in range(3000):
            if state.exists() or process.poll() is not None:
                break
            time.sleep(0.01)
        process.kill()
    interrupted = read_state(state)
    assert interrupted is not None
    assert 0 < interrupted.leaves_done <= interrupted.end
    _, found = ask(site, capsys, str(site / "stricter"), "--resume", str(state), "--workers", "2")
    _, at_once = ask(site, capsys, str(site / "stricter"), "--workers", "1")
    assert found == at_once
    assert found["decisions"] == 2 * RANGE + 500


def test_a_version_that_was_changed_in_the_store_is_not_taken_for_what_decided(tmp_path, capsys):
    site = write_site(tmp_path)
    asyncio.run(fill(site))
    before = load_bundle(site / "before").digest
    with contextlib.closing(sqlite3.connect(site / "mintwarden.db")) as connection, connection:
        texts = {
            **FILES,
            "claims.toml": FILES["claims.toml"].replace("refuse", "omit"),
            RULE_FILE: FILES[RULE_FILE][:-1] + "\n\n",
        }
        (table,) = connection.execute(
            "SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE TABLE%digest%content%' AND name LIKE '%versions%'"
        ).fetchone()
        connection.execute(f"UPDATE {table} SET content = ? WHERE digest = ?", (content_of(texts), before))
    connection.close()
    code, told = ask(site, capsys, before)
    assert (code, told["error"]) == (3, "store")
    code, found = ask(site, capsys, "active")
    assert [(one["cause"], one["count"]) for one in found["causes"]] == [("bundle_unknown", 30)]

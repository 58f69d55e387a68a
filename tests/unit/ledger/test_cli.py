"""`mintwarden ledger ...` on a real store: every command, its JSON and its exit codes."""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
import sys
from pathlib import Path

import pytest

from mintwarden.app.cli import main
from mintwarden.app.config import load_config
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.app.sequencing import _LogSigner
from mintwarden.app.wiring import ensure_keys
from mintwarden.ledger.sequencer import Sequencer
from mintwarden.model.ids import decision_text
from mintwarden.model.values import EntityUid
from tests.unit.ledger import samples

COUNT = 300


async def write(base: Foundation, count: int, start: int = 0) -> list[str]:
    names = []
    for number, raw_id in enumerate(itertools.islice(samples.ids(samples.NOW + start), count)):
        person = EntityUid("User", f"person-{number % 7}")
        await base.recorder.record(
            decision_id=raw_id,
            decision=samples.decision(person),
            asked=samples.asked(person),
            facts=samples.facts(person),
            prepared=samples.prepared(raw_id),
        )
        names.append(decision_text(raw_id))
    await publish(base)
    return names


async def publish(base: Foundation) -> None:
    await Sequencer(
        tree=base.store.tree,
        entries=base.store.entries,
        leases=base.store.leases,
        signer=_LogSigner(base.origin, base.ring.checkpoint_key()),
        origin=base.origin,
        holder="test",
        trusted=base.log_keys(),
    ).run_once()


class Deployment:
    """A deployment in a folder, with entries."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        assert main(["init", str(folder)]) == 0
        self.config = folder / "mintwarden.toml"
        self.names = asyncio.run(self._fill())
        capsys.readouterr()

    async def _fill(self) -> list[str]:
        async with foundation(load_config(self.config), create=True) as base:
            await ensure_keys(base)
            return await write(base, COUNT)

    def run(self, *words: str, configured: bool = True) -> tuple[int, str, str]:
        extra = ["--config", str(self.config)] if configured else []
        code = main(["ledger", *words, *extra])
        out, err = self._capsys.readouterr()
        return code, out, err

    def ok(self, *words: str, configured: bool = True) -> str:
        code, out, err = self.run(*words, configured=configured)
        assert code == 0, err
        return out

    @property
    def vkey(self) -> str:
        keys = json.loads(self.ok("status", "--json"))["vkeys"]
        assert len(keys) == 1
        return str(keys[0])


@pytest.fixture
def deployment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Deployment:
    return Deployment(tmp_path / "d", capsys)


def test_status_and_checkpoint(deployment: Deployment):
    status = json.loads(deployment.ok("status", "--json"))
    assert status["waiting"] == 0
    assert status["size"] >= COUNT
    assert f"size           {status['size']}" in deployment.ok("status")
    note = deployment.ok("checkpoint")
    assert note.startswith(f"{status['origin']}\n{status['size']}\n")
    found = json.loads(deployment.ok("checkpoint", "--json"))
    assert (found["note"], found["size"]) == (note, status["size"])


@pytest.mark.parametrize("form", ["json", "tlog-proof"])
def test_prove_and_verify_offline(deployment: Deployment, form):
    file = deployment.folder / "proof"
    deployment.ok("prove", deployment.names[7], "--form", form, "--output", str(file))
    vkey = deployment.vkey
    found = json.loads(deployment.ok("verify", str(file), "--vkey", vkey, "--json", configured=False))
    assert found["ok"]
    assert found["entry"]["id"] == deployment.names[7]
    keys = deployment.folder / "keys"
    keys.write_text(f"# the log\n{vkey}\n")
    assert deployment.names[7] in deployment.ok("verify", str(file), "--vkey", str(keys), configured=False)
    file.write_bytes(file.read_bytes().replace(b"index", b"indez", 1))
    code, _, err = deployment.run("verify", str(file), "--vkey", vkey, configured=False)
    assert (code, "proof" in err) == (1, True)


def test_a_proof_under_another_key_does_not_hold(deployment: Deployment):
    file = deployment.folder / "proof"
    deployment.ok("prove", "3", "--output", str(file))
    other = str(samples.note_signer().key)
    code, _, err = deployment.run("verify", str(file), "--vkey", other, configured=False)
    assert (code, "trusted key" in err) == (1, True)
    code, _, err = deployment.run("verify", str(file), "--vkey", "a+b", configured=False)
    assert (code, "verifier key" in err) == (2, True)
    code, _, err = deployment.run("verify", str(file), configured=False)
    assert code == 2


def test_what_cannot_be_proven(deployment: Deployment):
    code, _, err = deployment.run("prove", "01020304-0506-7008-890a-0b0c0d0e0f10")
    assert (code, "has no entry" in err) == (2, True)
    code, _, err = deployment.run(
        "verify", str(deployment.folder / "none"), "--vkey", deployment.vkey, configured=False
    )
    assert (code, "no such file" in err) == (2, True)


def test_audit_is_clean_and_finds_a_tampered_entry(deployment: Deployment):
    kept = deployment.folder / "kept"
    told = deployment.ok("checkpoint", "--output", str(kept), "--json")
    assert json.loads(told)["note"] == kept.read_text() == deployment.ok("checkpoint", "--output", "-")
    report = json.loads(deployment.ok("audit", "--against", str(kept), "--vkey", deployment.vkey, "--json"))
    assert report["ok"]
    assert report["compared"] == 1
    assert report["opened"] == report["size"]
    assert "nothing is wrong" in deployment.ok("audit")
    with sqlite3.connect(deployment.folder / "mintwarden.db") as database:
        database.execute(
            "UPDATE entries SET entry = CAST(replace(CAST(entry AS TEXT), 'payments-batch', 'payments-other') AS BLOB)"
            " WHERE leaf = 150"
        )
    database.close()
    code, out, _ = deployment.run("audit", "--json")
    report = json.loads(out)
    assert code == 1
    assert [(f["kind"], f["index"]) for f in report["findings"]] == [("edited_entry", 150)]
    code, out, _ = deployment.run("audit")
    assert (code, "edited_entry" in out) == (1, True)


def test_audit_with_another_key_finds_a_swapped_key(deployment: Deployment):
    code, out, _ = deployment.run("audit", "--vkey", str(samples.note_signer().key), "--no-sealed", "--json")
    assert code == 1
    assert {f["kind"] for f in json.loads(out)["findings"]} == {"swapped_key"}


def test_export_and_resume(deployment: Deployment):
    file, again = deployment.folder / "export.jsonl", deployment.folder / "again.jsonl"
    deployment.ok("export", str(file))
    whole = file.read_bytes()
    size = json.loads(whole.splitlines()[0])["size"]
    assert whole.count(b"\n") == size + 1
    again.write_bytes(whole[: len(whole) // 2])
    code, _, err = deployment.run("verify", str(again), "--vkey", deployment.vkey, configured=False)
    assert (code, "export" in err) == (1, True)
    deployment.ok("export", str(again), "--resume")
    assert again.read_bytes() == whole
    assert f"{size} entries" in deployment.ok("verify", str(again), "--vkey", deployment.vkey, configured=False)
    code, _, err = deployment.run("export", str(file))
    assert (code, "--resume" in err) == (2, True)
    assert file.read_bytes() == whole
    code, _, err = deployment.run("export", "-", "--resume")
    assert code == 2


def test_erase(deployment: Deployment):
    code, _, err = deployment.run("erase", "User:person-3")
    assert (code, "nothing was erased" in err) == (1, True)
    code, _, _ = deployment.run("erase", "person-3", "--yes")
    assert code == 2
    found = json.loads(deployment.ok("erase", "User:person-3", "--yes", "--ticket", "GDPR-7", "--json"))
    assert found["erased"] == "User:person-3"
    report = json.loads(deployment.ok("audit", "--json"))
    assert report["ok"]
    assert report["erased"] == len(range(3, COUNT, 7))
    assert report["waiting"] == 1
    code, _, err = deployment.run("erase", "User:person-3", "--yes")
    assert (code, "no decision is sealed" in err) == (2, True)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="explained: the other tool needs Python 3.12")
def test_another_tool_verifies_the_file(deployment: Deployment):
    import aics_tlog

    file = deployment.folder / "proof.json"
    deployment.ok("prove", deployment.names[99], "--output", str(file))
    found = aics_tlog.verify_bundle(file.read_bytes(), aics_tlog.parse_vkey(deployment.vkey))
    assert found.ok, found.error

"""`mintwarden keys` on a real store, as typed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from mintwarden.app.cli import main
from mintwarden.app.config import load_config
from mintwarden.app.foundation import SELF, foundation


@pytest.fixture
def config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """A deployment that has served once: its keys are made."""
    assert main(["init", str(tmp_path / "d")]) == 0
    file = tmp_path / "d" / "mintwarden.toml"

    async def start() -> None:
        async with foundation(load_config(file), create=True) as base:
            await base.record_key_changes(list(await base.keeper.tick(base.clock.now())), by=SELF)

    asyncio.run(start())
    capsys.readouterr()
    return str(file)


def listed(config: str, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    assert main(["keys", "list", "--json", "--config", config]) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def test_list(config: str, capsys: pytest.CaptureFixture[str]):
    rows = listed(config, capsys)
    assert {(row["algorithm"], row["state"]) for row in rows} == {
        ("Ed25519", "active"),
        ("ES256", "active"),
        ("ES256", "next"),
    }
    assert main(["keys", "list", "--config", config]) == 0
    table = capsys.readouterr().out
    assert all(row["kid"] in table for row in rows)


def test_rotate_waits_unless_told(config: str, capsys: pytest.CaptureFixture[str]):
    assert main(["keys", "rotate", "ES256", "--config", config]) == 2
    said = capsys.readouterr().err
    assert "must stay published for another" in said
    assert "--at-once" in said
    assert main(["keys", "rotate", "ES256", "--at-once", "--json", "--config", config]) == 0
    changes = json.loads(capsys.readouterr().out)
    assert [change["state"] for change in changes] == ["retiring", "active", "next"]
    assert {row["state"] for row in listed(config, capsys) if row["kid"] == changes[0]["kid"]} == {"retiring"}


def test_revoke(config: str, capsys: pytest.CaptureFixture[str]):
    active = next(
        row["kid"] for row in listed(config, capsys) if (row["algorithm"], row["state"]) == ("ES256", "active")
    )
    assert main(["keys", "revoke", active, "--config", config]) == 0
    assert f"{active}  ES256  gone (revoked)" in capsys.readouterr().out
    assert main(["keys", "revoke", active, "--config", config]) == 2
    for unknown in ("nothing", "-4-s4tc5uUyDDDvt8otGNUqIL3xLO-_TPMNNBaHdfnI"):
        assert main(["keys", "revoke", unknown, "--config", config]) == 2
        assert f"there is no key `{unknown}`" in capsys.readouterr().err


def test_what_was_typed_is_in_the_ledger(config: str, capsys: pytest.CaptureFixture[str]):
    assert main(["keys", "rotate", "Ed25519", "--config", config]) == 0

    async def entries() -> list[dict[str, Any]]:
        async with foundation(load_config(Path(config)), read_only=True) as base:
            return [json.loads(row.entry) for row in await base.store.entries.by_index(0, 100)]

    rotations = [
        e for e in asyncio.run(entries()) if e["kind"] == "key_rotation" and e["detail"]["reason"] == "requested"
    ]
    assert [e["detail"]["state"] for e in rotations] == ["retiring"]
    assert rotations[0]["actor"]["type"] == "User"


def test_a_damaged_master_key_is_a_clear_error(config: str, capsys: pytest.CaptureFixture[str]):
    key = Path(config).parent / "master.key"
    key.write_text("A" * 43 + "\n")
    assert main(["keys", "list", "--config", config]) == 2
    assert "does not open" in capsys.readouterr().err
    key.write_text("short\n")
    assert main(["keys", "list", "--config", config]) == 2
    assert "the master key is unusable" in capsys.readouterr().err

"""The folder to change the example company's policy in: its approvers' keys are at hand, and nothing governs yet."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from mintwarden.app.cli import main
from mintwarden.app.config import load_config
from mintwarden.app.demo.premises import make_premises
from mintwarden.app.demo.stage import meridian
from mintwarden.app.signing import owner_of, public_half
from mintwarden.app.wiring import rehearse
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.load import load_bundle


def test_each_approver_has_a_key_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "company"
    assert main(["demo", "company", str(folder)]) == 0
    assert "keys/ines: the key of Ines Okafor" in capsys.readouterr().out
    made, example = load_bundle(folder / "meridian"), load_bundle(meridian())
    assert len(made.approvals.approvers) == len(example.approvals.approvers) >= 3
    for approver in made.approvals.approvers:
        key = folder / "keys" / approver.name.partition(" ")[0].lower()
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert owner_of(public_half(key), made.approvals) == approver.name
        assert not owner_of(public_half(key), example.approvals)


async def test_nothing_governs_before_somebody_has_signed(tmp_path: Path):
    folder = tmp_path / "company"
    make_premises(folder)
    with pytest.raises(MintwardenError, match="no bundle version was activated"):
        await rehearse(load_config(folder / "mintwarden.toml"))


def test_with_activate_the_first_version_governs_by_everybodys_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "company"
    assert main(["demo", "company", str(folder), "--activate"]) == 0
    assert " governs: signed by its author, approved by all others" in capsys.readouterr().out
    assert len(list((folder / "meridian" / "signatures").iterdir())) == 4
    assert main(["policy", "show", "active", "--config", str(folder / "mintwarden.toml"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["governs"] is True
    assert [one["number"] for one in shown["activations"]] == [1]


def test_nothing_is_overwritten(tmp_path: Path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(MintwardenError, match="not an empty folder") as refused:
        make_premises(tmp_path)
    assert refused.value.kind is ErrorKind.CONFLICT

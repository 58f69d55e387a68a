"""Commands run as processes: what they print and how they end."""

from __future__ import annotations

from pathlib import Path

import pytest

from mintwarden.app.demo.process import command, last_lines, serving
from mintwarden.model.errors import MintwardenError


def test_exit_codes_reach_whoever_ran_the_command(tmp_path: Path) -> None:
    assert command("--version", folder=tmp_path).code == 0
    failed = command("config", "check", "--config", "absent.toml", folder=tmp_path)
    assert failed.code == 2
    assert "absent.toml" in failed.complaint


def test_overrides_of_another_configuration_stay_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINTWARDEN_SERVER_PORT", "not a port")
    assert command("init", "here", folder=tmp_path).code == 0
    assert command("config", "check", "--config", "here/mintwarden.toml", folder=tmp_path).code == 0


def test_a_server_that_does_not_start_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with pytest.raises(MintwardenError, match="did not start") as raised, serving(tmp_path / "no.toml", log=log):
        pytest.fail("it started")
    assert "no.toml" in raised.value.hint


def test_last_lines_of_nothing_are_none(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "absent", 3) == ()

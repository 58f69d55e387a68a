"""`mintwarden check` and `mintwarden init`, as a person and as a machine see them."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest

from mintwarden.app.cli import main

STARTER = Path(__file__).parents[3] / "src/mintwarden/app/starter/bundle"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the starter bundle."""
    return Path(shutil.copytree(STARTER, tmp_path / "bundle"))


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_good_bundle_exits_0(bundle, capsys):
    assert main(["check", str(bundle)]) == 0
    assert capsys.readouterr().out.startswith("good: ")


def test_verbose_names_what_passed(bundle, capsys):
    assert main(["check", str(bundle), "-v"]) == 0
    assert "ok export-at-night: the export may read" in capsys.readouterr().out


def test_a_problem_exits_2_and_is_one_line_and_its_remedy(bundle, capsys):
    _replace(bundle / "claims.toml", "subject.department", "subject.departmnt")
    assert main(["check", str(bundle)]) == 2
    where, remedy, summary = capsys.readouterr().out.splitlines()
    assert where == f"{bundle}/claims.toml:12:8: no source provides `subject.departmnt`"
    assert remedy == "  did you mean `subject.department`?"
    assert summary == "1 problem: the bundle is refused"


def test_a_failing_scenario_exits_1(bundle, capsys):
    _replace(bundle / "tests/orders.toml", "lifetime = 300", "lifetime = 301")
    assert main(["check", str(bundle)]) == 1
    out = capsys.readouterr().out
    assert f"{bundle}/tests/orders.toml:8: scenario export-at-night" in out
    assert "  lifetime: expected 301s, got 300s by default:orders" in out
    assert "1 of 4 scenarios came out otherwise" in out


def test_problems_for_a_machine(bundle, capsys):
    _replace(bundle / "claims.toml", "subject.department", "subject.departmnt")
    assert main(["check", str(bundle), "--json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert report["problems"] == [
        {
            "file": "claims.toml",
            "line": 12,
            "column": 8,
            "message": "no source provides `subject.departmnt`",
            "remedy": "did you mean `subject.department`?",
        }
    ]


def test_scenarios_for_a_machine(bundle, capsys):
    _replace(bundle / "tests/orders.toml", "lifetime = 300", "lifetime = 301")
    assert main(["check", str(bundle), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert [scenario["passed"] for scenario in report["scenarios"]] == [False, True, True, True]
    assert report["scenarios"][0]["differences"][0]["what"] == "lifetime"
    assert report["digest"].startswith("sha256:")
    assert report["counts"]["rules"] == 5


def test_hostile_names_do_not_reach_the_terminal(bundle, capsys):
    (bundle / "rules" / "\x1b[31mred\n.cedar").write_text("permit")
    assert main(["check", str(bundle)]) == 2
    assert "\x1b" not in capsys.readouterr().out


def test_init_writes_a_bundle_that_passes_and_a_configuration(tmp_path, capsys):
    assert main(["init", str(tmp_path / "new")]) == 0
    assert main(["check", str(tmp_path / "new/bundle")]) == 0
    assert main(["config", "check", "--config", str(tmp_path / "new/mintwarden.toml")]) == 0
    assert "master.key" in (tmp_path / "new/.gitignore").read_text()


def test_init_writes_a_key_of_its_own_that_nobody_else_reads(tmp_path, capsys):
    main(["init", str(tmp_path / "a")])
    main(["init", str(tmp_path / "b")])
    assert (tmp_path / "a/master.key").read_text() != (tmp_path / "b/master.key").read_text()
    assert stat.S_IMODE((tmp_path / "a/master.key").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "name", ["mintwarden.toml", "master.key", ".gitignore", "bundle/bundle.toml", "bundle/mine.toml"]
)
def test_init_overwrites_nothing(name, tmp_path, capsys):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    assert main(["init", str(tmp_path)]) == 2
    assert "exists already, nothing was written" in capsys.readouterr().err
    assert (tmp_path / name).read_text() == "mine"
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_init_says_so_when_it_cannot_write(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["init", str(tmp_path / "file/below")]) == 2
    assert "cannot be written" in capsys.readouterr().err

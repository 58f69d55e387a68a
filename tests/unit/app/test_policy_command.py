"""`mintwarden policy`, as a person and as a machine see it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mintwarden.app.cli import main
from mintwarden.app.reviews.spread import spread, workers_of
from mintwarden.model.errors import MintwardenError

STARTER = Path(__file__).parents[3] / "src/mintwarden/app/starter/bundle"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the starter bundle."""
    return Path(shutil.copytree(STARTER, tmp_path / "bundle"))


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_lint_of_a_good_bundle_exits_0(bundle, capsys):
    assert main(["policy", "lint", str(bundle)]) == 0
    assert capsys.readouterr().out == "0 findings, 0 suppressed\n"


def test_lint_tells_place_remedy_and_documentation_and_exits_1(bundle, capsys):
    _replace(bundle / "clients/shop-web.toml", "Shop Platform", "todo")
    assert main(["policy", "lint", str(bundle)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{bundle}/clients/shop-web.toml:7: warning: client `shop-web` has no owner: `todo`",
        "  name the team that answers for it (docs/policy-lint.md#client-without-owner)",
        "1 finding, 0 suppressed",
    ]


def test_lint_for_machines(bundle, tmp_path, capsys):
    _replace(bundle / "clients/shop-web.toml", "Shop Platform", "todo")
    assert main(["policy", "lint", str(bundle), "--json", "--sarif", str(tmp_path / "out.sarif")]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert [finding["id"] for finding in told["findings"]] == ["client-without-owner"]
    assert json.loads((tmp_path / "out.sarif").read_text())["runs"][0]["results"][0]["ruleId"] == "client-without-owner"


@pytest.mark.parametrize(("command", "option"), [("lint", "--sarif"), ("test", "--junit")])
def test_a_report_may_go_to_standard_output_alone(bundle, tmp_path, capsys, command, option):
    file = tmp_path / "report"
    assert main(["policy", command, str(bundle), option, str(file)]) == 0
    assert capsys.readouterr().out
    assert main(["policy", command, str(bundle), option, "-"]) == 0
    assert capsys.readouterr().out == file.read_text()
    assert main(["policy", command, str(bundle), option, "-", "--json"]) == 2
    assert f"`{option} -` and `--json` both want standard output" in capsys.readouterr().err
    assert main(["policy", command, str(bundle), option, "--json"]) == 2
    assert f"`{option}` needs a file, and `--json` is an option" in capsys.readouterr().err


def test_lint_of_what_is_no_bundle_exits_2(tmp_path, bundle, capsys):
    assert main(["policy", "lint", str(tmp_path / "gone")]) == 2
    assert main(["policy", "lint", str(bundle), "--sarif", str(tmp_path / "no/where")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_test_of_a_good_bundle_exits_0(bundle, capsys):
    assert main(["policy", "test", str(bundle)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "scenarios: 4 of 4 came out as they say"
    assert told[1].startswith("rules that held and did not: ")


def test_test_tells_a_difference_line_by_line_and_exits_1(bundle, capsys):
    _replace(bundle / "tests/orders.toml", "lifetime = 300", "lifetime = 301")
    assert main(["policy", "test", str(bundle), "--mutants"]) == 1
    told = capsys.readouterr().out
    assert "scenario export-at-night" in told
    assert "  lifetime\n    - 301s\n    + 300s by " in told
    assert told.splitlines()[-1] == "mutants: none made while a scenario fails"


def test_test_lists_survivors_with_what_to_write(bundle, capsys):
    assert main(["policy", "test", str(bundle), "--mutants", "--verbose"]) == 0
    told = capsys.readouterr().out
    assert "nobody notices no-writing-at-risk: `principal.score >= 80` moved" in told
    assert "write a request in which all else of `no-writing-at-risk` holds and the sides of" in told
    assert "`principal.score >= 80` was never seen false" in told


def test_test_demands_a_score(bundle, capsys):
    assert main(["policy", "test", str(bundle), "--mutants", "--at-least", "100", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert 0 < told["score"] < 100
    assert {mutant["way"] for mutant in told["mutants"]} == {"negated", "moved", "dropped", "removed"}
    assert all(bool(mutant["write"]) != bool(mutant["killed_by"]) for mutant in told["mutants"])
    assert all(scenario["passed"] for scenario in told["scenarios"])
    assert {rule["rule"] for rule in told["coverage"]} >= {"no-writing-at-risk"}


def test_test_finds_the_same_with_several_processes(bundle, capsys):
    words = ["policy", "test", str(bundle), "--mutants", "--json", "--workers"]
    told = []
    for count in ("1", "2"):
        assert main([*words, count]) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    assert main([*words, "-1"]) == 2
    assert "is not a number of processes" in capsys.readouterr().err


def test_processes_are_started_where_that_pays():
    assert workers_of(0, pays=False) == 1
    assert workers_of(0) >= 1
    assert workers_of(3, pays=False) == 3


def test_a_process_that_ends_before_its_time_is_told():
    with pytest.raises(MintwardenError, match="a worker ended before its time"), spread({}, 1) as apart:
        apart.scenarios(3)


def test_test_writes_junit_or_says_why_not(bundle, tmp_path, capsys):
    assert main(["policy", "test", str(bundle), "--junit", str(tmp_path / "out.xml")]) == 0
    assert (tmp_path / "out.xml").read_text().count("<testcase ") == 4
    assert main(["policy", "test", str(bundle), "--junit", str(tmp_path / "no/where")]) == 2
    assert "cannot be written" in capsys.readouterr().err

from __future__ import annotations

import pytest

from bench.commands import MERIDIAN, sooner, timed
from bench.document import PAGE
from bench.parts import PARTS
from bench.parts.diff import CHANGES
from bench.plan import Plan


def test_a_command_is_timed_as_often_as_things_are_run():
    plan = Plan(seconds=1, runs=2, warm=0, quick=True)
    times, told = timed(plan, "policy", "lint", str(MERIDIAN))
    assert len(times["all"]) == len(times["cpu_seconds"]) == 2
    assert min(times["all"]) <= times["seconds"] <= max(times["all"])
    assert min(times["cpu_seconds"]) > 0
    assert told


def test_a_command_that_fails_is_not_measured():
    with pytest.raises(SystemExit, match="ended with 2"):
        timed(Plan(seconds=1, runs=1, warm=0), "policy", "lint", "nowhere")


def test_verdicts():
    assert sooner("x", {"seconds": 9.9}, 10).met
    assert not sooner("x", {"seconds": 10.0}, 10).met


def test_what_diff_changes_stands_in_the_bundle():
    for file, old, _ in CHANGES.values():
        assert old in (MERIDIAN / file).read_text(encoding="utf-8")


def test_every_part_has_its_row_in_the_documentation():
    rows = {line.split("`")[1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")}
    assert {part.name for part in PARTS} <= rows

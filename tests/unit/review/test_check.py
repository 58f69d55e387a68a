"""`check`: problems or results, and the exit code that says which."""

from __future__ import annotations

import shutil

from mintwarden.review.check import check, check_loaded
from tests.unit.review.conftest import STARTER


def test_a_good_bundle(loaded):
    report = check(STARTER)
    assert report.exit_code == 0
    assert report.counts["rules"] == 5
    assert report.counts["scenarios"] == len(report.results) == 4
    assert report.digest == loaded().digest


def test_a_bundle_that_is_refused(tmp_path):
    report = check(tmp_path / "gone")
    assert report.exit_code == 2
    assert report.problems
    assert report.digest == ""


def test_a_scenario_that_comes_out_otherwise(loaded):
    report = check_loaded(loaded(("tests/orders.toml", "lifetime = 300", "lifetime = 301")))
    assert report.exit_code == 1
    assert [result.id for result in report.failed] == ["export-at-night"]


def test_the_bundle_is_read_from_its_folder(tmp_path):
    shutil.copytree(STARTER, tmp_path / "b")
    (tmp_path / "b/tests/orders.toml").unlink()
    assert check(tmp_path / "b").counts["scenarios"] == 0

"""Suppressions: where they hold, until when, and what is said about those that do not."""

from __future__ import annotations

import datetime

import pytest

from mintwarden.policy.lint.suppress import read_suppressions
from tests.unit.policy.lint.conftest import looked_over

C = "clients/shop-web.toml"
OWNER = 'owner = "Shop Platform"'
ALLOW = "# lint: allow client-without-owner until 2026-11-30: the shop is being sold"


def _changed(before: str = "", behind: str = "") -> tuple[str, str, str]:
    return (C, OWNER, f'{before}owner = "nobody"{behind}')


@pytest.mark.parametrize(
    ("before", "behind"), [(f"{ALLOW}\n", ""), ("", f"    {ALLOW}"), (f"{ALLOW}\n# more\n\n", ""), (f"\n{ALLOW}\n", "")]
)
def test_a_finding_is_let_be_with_its_reason(before, behind):
    (finding,) = looked_over(_changed(before, behind))
    assert (finding.id, finding.suppressed) == ("client-without-owner", "the shop is being sold")


def test_it_holds_on_its_last_day_and_not_after():
    change = _changed(f"{ALLOW}\n")
    assert [f.suppressed != "" for f in looked_over(change, today=datetime.date(2026, 11, 30))] == [True]
    after = looked_over(change, today=datetime.date(2026, 12, 1))
    assert [(f.id, f.suppressed) for f in after] == [("suppression-ended", ""), ("client-without-owner", "")]


@pytest.mark.parametrize(
    "text",
    [
        "# lint: allow client-without-owner",
        "# lint: allow client-without-owner until 2026-11-30",
        "# lint: allow client-without-owner until 2026-11-30:   ",
        "# lint: allow client-without-owner until 2026-13-30: reason",
        "# lint: allow client-without-owners until 2026-11-30: reason",
        "# lint: allow rule-never-applies until 2026-11-30: an error",
        "# lint: ignore",
    ],
)
def test_one_without_a_known_id_an_end_or_a_reason_hides_nothing(text):
    assert [f.id for f in looked_over(_changed(f"{text}\n"))] == ["suppression-malformed", "client-without-owner"]


def test_one_that_hides_nothing_is_told():
    assert [f.id for f in looked_over((C, OWNER, f"{ALLOW}\n{OWNER}"))] == ["suppression-unused"]


def test_in_a_rules_file_it_stands_behind_slashes():
    rules = "rules/orders.cedar"
    comment = "// lint: allow rule-without-owner until 2026-11-30: being written\n"
    change = (
        rules,
        '@id("orders-read-staff")\n@owner("Shop Platform")',
        f'{comment}@id("orders-read-staff")\n@owner("TBD")',
    )
    assert [f.suppressed for f in looked_over(change)] == ["being written"]


def test_what_stands_in_a_string_is_no_suppression():
    assert list(read_suppressions({"a.toml": 'x = "# lint: allow a until 2026-11-30: b"\n'})) == []


def test_a_comment_at_the_end_of_a_file_covers_nothing():
    (suppression,) = read_suppressions({"a.toml": f"x = 1\n{ALLOW}"})
    assert suppression.covers == 3

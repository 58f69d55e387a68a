"""Suppressions: where they hold, until when, and what is said about those that do not."""

from __future__ import annotations

import datetime
import itertools
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintwarden.policy.lint.suppress import covered, read_suppressions, strings
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


AS_WRITTEN = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')
"""What a string is, in short; on a long line whose quotes find no end it takes forever."""


@given(st.text(alphabet="\"'\\# a", max_size=40))
def test_a_string_is_what_it_looks_like(line):
    assert list(strings(line)) == [found.span() for found in AS_WRITTEN.finditer(line)]


class Counted(str):
    """A text that counts how often somebody looks at a character of it."""

    __slots__ = ("looks",)
    looks: int

    def __getitem__(self, at: Any) -> str:
        self.looks += 1
        return super().__getitem__(at)


class Lines(list[str]):
    """Lines that count the same."""

    looks = 0

    def __getitem__(self, at: Any) -> Any:
        self.looks += 1
        return super().__getitem__(at)


@pytest.mark.parametrize(
    "part",
    ['\\"', '"\\', '"\\\\\\"', "'\\\"", '"' + "\\\"' ", "\"'", "'\"", "\\", "'", '"', "x", "# lint: "],
    ids=repr,
)
@pytest.mark.parametrize("first", ["", '"', "'", "\"'", "'\""])
def test_no_character_is_looked_at_more_than_four_times(first, part):
    """Hostile bundle text: quote upon quote, none of which finds its end."""
    line = Counted(first + part * 1_000)
    line.looks = 0
    found = list(strings(line))
    assert line.looks <= 4 * len(line)
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(found))


def test_each_line_is_looked_at_once_however_many_comments_stand_upon_each_other():
    lines = Lines(["# lint: allow a until 2026-11-30: b"] * 1_000)
    assert covered(lines) == [1_001] * 1_000
    assert lines.looks == 1_000
    assert covered(["# a", "", "x = 1 # b", "// c", "y = 2", ""]) == [3, 3, 3, 5, 5, 7]


def test_a_comment_behind_a_quote_that_finds_no_end_counts():
    """It is no string then, and what hides a finding is read as whoever looks at the line reads it."""
    for line in ("x = don't # lint: ignore", 'x = " # lint: ignore', "x = \" 'y' # lint: ignore"):
        (suppression,) = read_suppressions({"a.toml": line})
        assert (suppression.id, suppression.covers) == ("", 1), line
    assert list(read_suppressions({"a.toml": "x = \" '# lint: ignore'"})) == []

"""What the command line shows of an exception."""

from __future__ import annotations

from mintwarden.app.exceptions_told import lines_of


def test_numbers_are_numbers_and_only_truth_is_yes_or_no():
    shown = list(lines_of({"counts": True, "needed": 1, "used": 0, "renews": False, "approved_by": ["Ann", "Ben"]}))
    assert [line.split(maxsplit=1)[1] for line in shown] == ["yes", "1", "0", "no", "Ann, Ben"]

from __future__ import annotations

import pytest

from mintwarden.policy.bundle.kinds import seconds_of
from mintwarden.policy.durations import written


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(14_400, "4h"), (5_400, "90m"), (90, "90s"), (86_400, "1d"), (90_000, "25h"), (0, "0s"), (61, "61s")],
)
def test_a_duration_is_told_as_it_may_be_written(seconds, text):
    assert written(seconds) == text
    assert seconds_of(text) == seconds

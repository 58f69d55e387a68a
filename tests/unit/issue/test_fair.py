"""What a page shows of what waits: bounded, and nobody's crowd in front of others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mintwarden.issue.fair import one_of_each


def test_who_asks_for_much_hides_nobody_who_asks_for_little() -> None:
    waiting = [("evil", number) for number in range(1_000)] + [("app", 1), ("app", 2)]
    assert one_of_each(waiting, lambda one: one[0], 4) == [("evil", 0), ("evil", 1), ("app", 1), ("app", 2)]
    assert one_of_each(waiting, lambda one: one[0], 2) == [("evil", 0), ("app", 1)]


@given(st.lists(st.sampled_from("abc")), st.integers(0, 20))
def test_as_many_as_may_be_shown_in_the_order_given_and_none_has_two_more_than_another_that_waits(
    waiting: list[str], most: int
) -> None:
    numbered = list(enumerate(waiting))
    shown = one_of_each(numbered, lambda one: one[1], most)
    assert len(shown) == min(most, len(waiting))
    assert shown == sorted(shown)
    counts = {name: sum(one[1] == name for one in shown) for name in waiting}
    for name, count in counts.items():
        left = waiting.count(name) > count
        assert not left or all(other <= count + 1 for other in counts.values())

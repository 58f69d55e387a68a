"""A bounded part of what waits, in which nobody's crowd hides what others ask for."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

SHOWN: Final = 100
"""What a page shows of what waits; what is beyond comes up as it is answered, or ends."""


def one_of_each(waiting: Sequence[T], whose: Callable[[T], Hashable], most: int = SHOWN) -> list[T]:
    """Up to `most`: the first of everybody, then the second of everybody, and so on, in the order given.

    Pure. So whoever has fewer waiting than others is shown before the rest of theirs.
    """
    ranks: dict[Hashable, int] = {}
    ranked = []
    for place, one in enumerate(waiting):
        rank = ranks[whose(one)] = ranks.get(whose(one), -1) + 1
        ranked.append((rank, place))
    return [waiting[place] for place in sorted(place for _, place in sorted(ranked)[:most])]

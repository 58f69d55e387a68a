"""Whose turn it is among hosts that are told something, so that those that do not answer delay no other.

INVARIANT: a host of which nothing is known, or that lets us wait, has one attempt at a time, and all such hosts
together have some of the places; the others are for hosts that answer. Whoever was told longest ago comes first.
Nothing of it is kept: a node that starts learns it anew, in one attempt at each host.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeVar

from msgspec import Struct

T = TypeVar("T")

AT_ONCE: Final = 32
"""Attempts at once."""
APART: Final = 16
"""Of them, to hosts that let us wait, and to those of strangers that have not answered yet."""
EACH: Final = 4
"""To one host that answers."""
QUICK: Final = 500
"""Milliseconds within which a host answers that lets nobody wait."""
MOST: Final = 5_000
"""Hosts and clients of which something is remembered, the last ones."""


class Lane(Struct, frozen=True):
    """Where a client is told: at which host. `ours`: the bundle's owner wrote the client down, no stranger."""

    host: str
    client: str
    ours: bool


class Lanes:
    """Counts attempts under way, and remembers how hosts answered."""

    def __init__(self) -> None:
        self._under_way: Counter[str] = Counter()
        self._apart: dict[str, int] = {}
        self._answered: OrderedDict[str, Literal["quick", "slow"]] = OrderedDict()
        self._served: OrderedDict[str, int] = OrderedDict()
        self._turns = 0

    @property
    def full(self) -> bool:
        """There is no place for anybody."""
        return self._under_way.total() >= AT_ONCE

    def quick(self, lane: Lane) -> bool:
        """Its host answered at once when it was told last."""
        return self._answered.get(lane.host) == "quick"

    def free(self, lane: Lane) -> bool:
        """Whether there is a place for one more."""
        if self.full or self._under_way[lane.host] >= (EACH if self.quick(lane) else 1):
            return False
        return not self._is_apart(lane) or sum(self._apart.values()) < APART

    def enter(self, lane: Lane) -> Callable[[object], None]:
        """One more attempt; call what is returned once it is over, with whatever was done."""
        self._turns += 1
        for name in (lane.host, _client(lane)):
            _note(self._served, name, self._turns)
        counted: list[Counter[str] | dict[str, int]] = [self._under_way]
        if self._is_apart(lane):
            counted.append(self._apart)
        for counts in counted:
            counts[lane.host] = counts.get(lane.host, 0) + 1

        def leave(_done: object) -> None:
            for counts in counted:
                counts[lane.host] -= 1
                if not counts[lane.host]:
                    del counts[lane.host]

        return leave

    def heard(self, host: str, millis: int) -> None:
        """A host answered, whatever it said."""
        _note(self._answered, host, "quick" if millis <= QUICK else "slow")

    def unheard(self, host: str) -> None:
        """A host did not answer, or not in time."""
        _note(self._answered, host, "slow")

    def in_turn(self, waiting: Sequence[tuple[Lane, T]]) -> list[tuple[Lane, T]]:
        """Those that wait, as they come: one of each host, then the second of each, and so on.

        Of hosts, and of the clients at one, those first that were told longest ago; otherwise in the order given.
        """
        each: dict[str, list[tuple[Lane, T]]] = {}
        for one in sorted(waiting, key=lambda one: self._served.get(_client(one[0]), 0)):
            each.setdefault(one[0].host, []).append(one)
        hosts = sorted(each.values(), key=lambda found: self._served.get(found[0][0].host, 0))
        longest = max((len(found) for found in hosts), default=0)
        return [found[rank] for rank in range(longest) for found in hosts if rank < len(found)]

    def _is_apart(self, lane: Lane) -> bool:
        known = self._answered.get(lane.host)
        return known == "slow" or (known is None and not lane.ours)


def _client(lane: Lane) -> str:
    return f"client {lane.client}"


V = TypeVar("V")


def _note(known: OrderedDict[str, V], name: str, value: V) -> None:
    known[name] = value
    known.move_to_end(name)
    if len(known) > MOST:
        known.popitem(last=False)

"""How often others' hosts are asked because somebody named a client there, and how many may wait for it.

Whoever names clients is a stranger. INVARIANT: none of them, nor a network of theirs, uses up what there is for all, or
for one host: somebody elsewhere, who names another client, still has it fetched.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from mintwarden.model.address import block_of, organisation_of
from mintwarden.model.errors import ErrorKind, MintwardenError

OURSELVES: Final = ""
"""The asker where it is for a page, a notice, or something that was begun before."""


class Limits(Struct, frozen=True, kw_only=True):
    """How much there is of something.

    Attributes:
        together: for all.
        host: at one host.
        site: for one address (of IPv6 a /64), and that at one host.
        organisation: for one network (a /24, or a /48 of IPv6), and that at one host.
        ourselves: for `OURSELVES`.
    """

    together: int
    host: int
    site: tuple[int, int]
    organisation: tuple[int, int]
    ourselves: int


A_MINUTE: Final = Limits(together=300, host=20, site=(20, 5), organisation=(60, 10), ourselves=100)
AT_ONCE: Final = Limits(together=32, host=16, site=(6, 6), organisation=(12, 12), ourselves=12)

Name = tuple[str, ...]


def _counted(limits: Limits, host: str, asker: str) -> Sequence[tuple[Name, int]]:
    """What somebody's asking at a host counts among, and how much there is of each."""
    both: list[tuple[Name, int]] = [((), limits.together), (("host", host), limits.host)]
    if asker == OURSELVES:
        return (*both, (("ourselves",), limits.ourselves))
    for kind, network, (all_hosts, one_host) in (
        ("site", block_of(asker), limits.site),
        ("organisation", organisation_of(asker), limits.organisation),
    ):
        both += [((kind, network), all_hosts), ((kind, network, host), one_host)]
    return both


class Throttle:
    """Counts what is asked by the minute."""

    def __init__(self, limits: Limits = A_MINUTE) -> None:
        self._limits = limits
        self._minute = -1
        self._asked: dict[Name, int] = {}

    def spend(self, host: str, asker: str, now: int) -> None:
        """Take note of one more, of an address or `OURSELVES`. Raises `OVERLOADED` where it is one too many.

        What is refused counts for nothing, so that no more is remembered than was asked.
        """
        if now // 60_000 != self._minute:
            self._minute, self._asked = now // 60_000, {}
        counted = _counted(self._limits, host, asker)
        if any(self._asked.get(name, 0) >= most for name, most in counted):
            raise MintwardenError(
                ErrorKind.OVERLOADED, "documents about clients are asked for too often", hint=f"at host `{host}`"
            )
        for name, _ in counted:
            self._asked[name] = self._asked.get(name, 0) + 1


class Waiting:
    """Counts who waits now."""

    def __init__(self, limits: Limits = AT_ONCE) -> None:
        self._limits = limits
        self._held: dict[Name, int] = {}

    @contextlib.contextmanager
    def one(self, host: str, asker: str) -> Iterator[None]:
        """One more, for as long as the block lasts. Raises `OVERLOADED` where it is one too many."""
        counted = _counted(self._limits, host, asker)
        if any(self._held.get(name, 0) >= most for name, most in counted):
            raise MintwardenError(ErrorKind.OVERLOADED, "too many requests wait for documents about clients")
        for name, _ in counted:
            self._held[name] = self._held.get(name, 0) + 1
        try:
            yield
        finally:
            for name, _ in counted:
                self._held[name] -= 1
                if not self._held[name]:
                    del self._held[name]

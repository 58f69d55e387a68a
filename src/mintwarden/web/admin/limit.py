"""How often somebody may call: a token bucket for each; and how much they may have under way at once."""

from __future__ import annotations

import contextlib
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator

MOST_CLIENTS = 10_000


class Buckets:
    """Lets each caller make `burst` calls at once, and `rate` a second in the long run; in this process.

    Remembers `MOST_CLIENTS`, those that called last; whoever was forgotten begins with a full bucket, which is what
    a bucket is after `burst / rate` seconds anyway.
    """

    def __init__(self, *, rate: float, burst: int, monotonic: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._monotonic = monotonic
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> int:
        """0 when the call may be made; otherwise in how many seconds one may."""
        now = self._monotonic()
        left, since = self._buckets.pop(client, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._rate)
        allowed = left >= 1
        self._buckets[client] = (left - 1 if allowed else left, now)
        if len(self._buckets) > MOST_CLIENTS:
            self._buckets.popitem(last=False)
        return 0 if allowed else max(1, math.ceil((1 - left) / self._rate))


class Shares:
    """Lets each caller have `most` calls under way at once; in this process."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[str, int] = {}

    @contextlib.contextmanager
    def held(self, caller: str) -> Iterator[bool]:
        """Whether there is one for this caller, for as long as the block lasts."""
        before = self._held.get(caller, 0)
        if before >= self._most:
            yield False
            return
        self._held[caller] = before + 1
        try:
            yield True
        finally:
            left = self._held.pop(caller) - 1
            if left:
                self._held[caller] = left

"""The program's clock."""

from __future__ import annotations

import time

from mintwarden.model.clock import Millis


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> Millis:
        """The present time."""
        return Millis(time.time_ns() // 1_000_000)

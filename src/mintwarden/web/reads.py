"""Admission of what anybody may read and the store is asked for: the published log, status lists.

INVARIANT: those who read take no place of those who come for tokens, and are few at once, so that whoever reads the
whole log has the store do little beside. Nobody, by their address, has more than half of all that may come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from mintwarden.model.address import block_of
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.admin.limit import Shares
from mintwarden.web.admit import Gate
from mintwarden.web.asgi import Asked, Page
from mintwarden.web.reply import Reply

AT_ONCE: Final = 4
"""Reads that are worked on at once, in one worker."""
QUEUED: Final = 124
"""Reads that may wait for it; beyond it the answer is 503, to come again later."""
EACH: Final = (AT_ONCE + QUEUED) // 2
"""Reads of one address (of IPv6 a /64) that are worked on or wait."""


class Reads:
    """Lets pages be read in turn. `timeout` is the seconds that one may take, waiting included."""

    def __init__(self, *, timeout: float, monotonic: Callable[[], float]) -> None:
        self.gate = Gate(in_flight=AT_ONCE, queued=QUEUED, timeout=timeout, monotonic=monotonic)
        self._shares = Shares(EACH)

    def admitted(self, page: Page) -> Page:
        """The page, answered once it is its turn.

        It raises `OVERLOADED` where too many read, and `UNAVAILABLE` where its time is over.
        """

        async def read(asked: Asked) -> Reply:
            with self._shares.held(block_of(asked.address)) as has_one:
                if not has_one:
                    raise MintwardenError(ErrorKind.OVERLOADED, "too many reads of one address at once")
                try:
                    return await self._in_turn(page, asked)
                except asyncio.CancelledError:
                    if not self.gate.expired(asyncio.current_task()):  # while it waited
                        raise
                    raise _late() from None

        return read

    async def _in_turn(self, page: Page, asked: Asked) -> Reply:
        task = await self.gate.enter()
        try:
            return await page(asked)
        except asyncio.CancelledError:
            if not self.gate.expired(task):
                raise
            raise _late() from None
        finally:
            self.gate.leave(task)


def _late() -> MintwardenError:
    return MintwardenError(ErrorKind.UNAVAILABLE, "the read took too long")

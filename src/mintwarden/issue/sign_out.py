"""Signing out: a session ends, the tokens of it with it, and every client that was given something for it is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mintwarden.authn.ports import Revocation, RevocationWriter
from mintwarden.authn.sessions import SESSION, Session
from mintwarden.authn.shelf import Held, Shelf

Record = Callable[[Session, str], Awaitable[object]]
"""Writes down, durably, that a session ends, and why."""

MARGIN = 24 * 60 * 60 * 1000
"""Milliseconds that its revocation outlives the last token of it: bundles change, and clocks differ."""


class SignOut:
    """Ends sessions.

    Args:
        longest: the longest that anything lives which a session was the beginning of, in seconds.
        keep: keeps, durably, what is to be told of it, and why it ended; `tell` has it sent, behind the answer.
    """

    def __init__(
        self,
        *,
        record: Record,
        shelf: Shelf[Session],
        revocations: RevocationWriter,
        now: Callable[[], int],
        longest: Callable[[], int],
        keep: Callable[[Session, str], Awaitable[None]],
        tell: Callable[[], None],
    ) -> None:
        if shelf.kind != SESSION:
            raise ValueError(shelf.kind)
        self._record = record
        self._shelf = shelf
        self._revocations = revocations
        self._now = now
        self._longest = longest
        self._keep = keep
        self._tell = tell

    async def __call__(self, held: Held[Session], why: str) -> None:
        """INVARIANT: it is written down before it takes effect; the tokens end before the session is forgotten.

        What its clients are to be told is kept before either: whatever fails then, none of them goes untold.
        """
        session = held.value
        await self._record(session, why)
        await self._keep(session, why)
        now = self._now()
        until = max(now + self._longest() * 1000, session.ends_at) + MARGIN
        name = session.sign_in.session
        await self._revocations.revoke([Revocation(about="session", value=name, before=now, until=until)])
        await self._shelf.remove(held)
        self._tell()

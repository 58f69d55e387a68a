"""Revoking what is out there: one token, or every token of a client, a subject, an actor or a session."""

from __future__ import annotations

from typing import Literal

from mintwarden.authn.ports import Revocation, RevocationWriter
from mintwarden.govern.scribe import Scribe
from mintwarden.model.clock import Clock
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid

About = Literal["token", "client", "subject", "actor", "session"]

MARGIN = 24 * 60 * 60 * 1000
"""Milliseconds that a revocation outlives the last token it can be about: bundles change, and clocks differ."""

_PUBLIC: frozenset[str] = frozenset({"token", "client"})
_TYPES = ("User", "Workload", "Agent")
_LONGEST = 500


class Revoker:
    """Revokes, once it is written down. `longest_token` is the longest life of any token, in seconds."""

    def __init__(self, *, scribe: Scribe, writer: RevocationWriter, clock: Clock, longest_token: int) -> None:
        self._scribe = scribe
        self._writer = writer
        self._clock = clock
        self._longest = longest_token * 1000

    async def revoke(self, about: About, value: str, *, reason: str, by: EntityUid) -> Revocation:
        """Every such token that was issued until now is good no more, on every node, when this returns.

        `value` is a `jti`, a client's id, an entity key (`User:alice`) or a session's id. Raises `INVALID_REQUEST`
        for a value that can be none and for a missing reason. Which person or session it was about, and why, is sealed.
        """
        if not value or len(value) > _LONGEST or not value.isprintable():
            raise MintwardenError(ErrorKind.INVALID_REQUEST, f"there is no such {about}", hint="say which one")
        if about in ("subject", "actor") and value.partition(":")[0] not in _TYPES:
            raise MintwardenError(
                ErrorKind.INVALID_REQUEST,
                f"`{value}` is no entity",
                hint="write `User:alice`, `Workload:x` or `Agent:x`",
            )
        if not reason.strip():
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "there is no reason", hint="say why it is revoked")
        public = {"about": about} | ({about: value} if about in _PUBLIC else {})
        await self._scribe.write("revocation", by, public, {"value": value, "reason": reason})
        now = self._clock.now()
        made = Revocation(about=about, value=value, before=now, until=now + self._longest + MARGIN)
        await self._writer.revoke([made])
        return made

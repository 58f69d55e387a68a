"""What follows when a grant of a person ends early: everything that came of it is good no more, on every node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any

from mintwarden.app.foundation import SELF, Foundation
from mintwarden.app.signals_out import SignalsOut
from mintwarden.authn.ports import Revocation
from mintwarden.authn.sign_in import SignIn
from mintwarden.context.approvals import SOMEBODY, sent_of
from mintwarden.issue.granted import Granted
from mintwarden.issue.grants import refresh_token
from mintwarden.issue.line import Record
from mintwarden.issue.memory import UNDER_WAY, Memory
from mintwarden.ledger.record import ProofReplayed
from mintwarden.model.asked import Asked
from mintwarden.model.budget import Budget
from mintwarden.model.caller import OnceKey
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.token import Receipt
from mintwarden.model.values import EntityUid
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.lost import is_lost

MARGIN = 24 * 60 * 60 * 1000
"""Milliseconds that the end of a grant is remembered beyond the last token that can come of it: clocks differ."""

AT_ONCE = 250
"""Grants that are ended together."""

_HANDED_OUT: Mapping[str, str] = {
    "code": "an authorization code",
    "refresh": "a refresh token",
    "device_code": "a device code",
    "auth_req_id": "an authentication request",
}
"""What a grant hands out to be used once, in words."""


class Endings:
    """Ends grants."""

    def __init__(self, base: Foundation, memory: Memory, signals: SignalsOut) -> None:
        self._base = base
        self._memory = memory
        self._signals = signals

    async def draw(self, budget: Budget, ends: int) -> None:
        """See `Memory.draw`."""
        await self._memory.draw(budget, ends, self._base.clock.now())

    async def use_up(self, once: tuple[OnceKey, ...], by: str = "") -> None:
        """Forget the approvals among what was claimed: no later decision finds them, but of the grant `by`.

        INVARIANT: an approval counts once because its claim does; where this is not reached, the next claim fails.
        """
        approvals, now = self._memory.approvals, self._base.clock.now()
        for key in once:
            if key.proof == "approval" and by:
                await approvals.used_up(key.digest.hex(), by, now)
            elif key.proof == "approval":
                await approvals.use_up(key.digest.hex(), now)

    async def end(
        self, grant_id: str, ends: int, *, reason: str, by: EntityUid = SELF, once: tuple[OnceKey, ...] = ()
    ) -> None:
        """End the grant, which would have ended at `ends` (`Millis`), with every token that came or will come of it."""
        await self._written(grant_id, reason=reason, by=by, once=once)
        await self._ended({grant_id: ends}, by)

    async def of(self, person: EntityUid) -> list[Granted]:
        """A person's grants that could still end early; see `Memory.of`."""
        return await self._memory.of(person, self._base.clock.now())

    async def end_all(self, grants: Mapping[str, int], *, reason: str, by: EntityUid = SELF) -> None:
        """End several of them, by when they would have ended: a client may have made many."""
        names = list(grants)
        for first in range(0, len(names), AT_ONCE):
            part = names[first : first + AT_ONCE]
            await asyncio.gather(*(self._written(name, reason=reason, by=by) for name in part))
            await self._ended({name: grants[name] for name in part}, by)

    async def given(
        self, people: Collection[EntityUid], *, meant: Callable[[SignIn], bool], until: int
    ) -> Mapping[str, int]:
        """What people were given up to `until` (`Millis`) by sign-ins that are `meant`, by when each grant would end.

        It hangs on them, whether or not their sessions are still kept: nobody may have visited for a while. What is
        `offline` does not.
        """
        return {
            one.grant_id: one.ends
            for person in people
            for one in await self.of(person)
            if not one.offline and one.granted_at <= until and meant(one.sign_in)
        }

    async def end_given(
        self, people: Collection[EntityUid], *, meant: Callable[[SignIn], bool], until: int, reason: str
    ) -> None:
        """End what is `given`. It may be done again."""
        await self.end_all(await self.given(people, meant=meant, until=until), reason=reason)

    async def _written(self, grant_id: str, *, reason: str, by: EntityUid, once: tuple[OnceKey, ...] = ()) -> None:
        """INVARIANT: written down first, and in this order: whatever fails, whoever asks again finds the rest to do."""
        detail = {"about": "grant", "grant": grant_id, "reason": reason}
        await self._base.scribe().write("revocation", by, detail, once=once)

    async def _ended(self, grants: Mapping[str, int], by: EntityUid) -> None:
        now = self._base.clock.now()
        before = now + UNDER_WAY
        await self._base.store.revocations.revoke(
            [Revocation(about="grant", value=name, before=before, until=ends + MARGIN) for name, ends in grants.items()]
        )
        if self._signals.on:  # before they are forgotten: whoever ends them again finds whom to tell of
            for name in grants:
                held = await self._memory.grants.get(name, now)
                if held is not None:
                    await self._signals.grant_ended(held.value, by)
        await self._memory.forget(*grants)

    async def end_token(self, token_id: str, ends: int, *, reason: str) -> None:
        """End one token, which would have ended at `ends` (`Millis`), with what came of it. As `end`."""
        detail = {"about": "token", "token": token_id, "reason": reason}
        await self._base.scribe().write("revocation", SELF, detail)
        before = self._base.clock.now() + UNDER_WAY
        await self._base.store.revocations.revoke(
            [Revocation(about="token", value=token_id, before=before, until=ends + MARGIN)]
        )


def with_aftermath(record: Record, endings: Endings, bundle: Callable[[], Bundle]) -> Record:
    """Step 7, and what follows from it for the grant that was asked under.

    Something that a grant handed out to be used once comes back: either its holder or a thief used it first, and
    nobody can tell who, so the whole grant ends (RFC 9700 section 4.14.2, RFC 6749 section 4.1.2). A renewal is
    refused because the account is gone or barred: so does the grant.
    """

    async def recorded(**what: Any) -> Receipt:
        asked: Asked = what["asked"]
        if asked.budget is not None and asked.budget.pool and what["prepared"] is not None and asked.parent is not None:
            await endings.draw(asked.budget, asked.parent.expires_at)
        try:
            receipt = await record(**what)
        except ProofReplayed as replay:
            if replay.proof == "approval":
                # Whoever was first may not have come to noting it, and the others were used up by nobody.
                await endings.use_up(tuple(key for key in what["once"] if key.digest == replay.digest), SOMEBODY)
                raise MintwardenError(
                    ErrorKind.UNAVAILABLE, "an approval was used up meanwhile", hint="try again"
                ) from None
            handed_out = _HANDED_OUT.get(replay.proof)
            if handed_out is not None and asked.parent is not None and asked.grant_id:
                await endings.end(asked.grant_id, asked.parent.expires_at, reason=f"{handed_out} was used twice")
            raise
        if what["once"]:
            await endings.use_up(what["once"], sent_of(asked))
        if asked.grant == refresh_token.NAME and what["prepared"] is None and asked.parent is not None:
            governing = bundle()
            if is_lost(what["decision"], what["facts"], governing.catalogue, governing.rules.rules):
                await endings.end(asked.grant_id, asked.parent.expires_at, reason="the account is gone or barred")
                raise MintwardenError(ErrorKind.INVALID_GRANT, "the grant has ended", hint="ask the person again")
        return receipt

    return recorded

"""Pushes events to receivers (RFC 8935): each until it was taken, or for some hours.

INVARIANT: an event that nobody takes is held, and its stream paused: what is given up is the pushing, not the event.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from mintwarden.app.foundation import Foundation
from mintwarden.app.governing import Governing
from mintwarden.app.lanes import Lane
from mintwarden.app.signals_out import TRIGGER, PushNotice, SignalsOut
from mintwarden.app.telling import Telling, Told
from mintwarden.authn.fetch import GuardedFetcher
from mintwarden.feeds.security_events import (
    ACCOUNT_DISABLED,
    ACCOUNT_ENABLED,
    ACCOUNT_PURGED,
    OF_STREAMS,
    TYP,
    SecurityEvent,
    claims_of,
)
from mintwarden.feeds.streams import PUSH, Stream
from mintwarden.feeds.transmitter import MOST_WAITING, UNREACHED, Waiting, goes_out
from mintwarden.mint.statement import sign_statement
from mintwarden.model.catalogue import Catalogue
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.ssf.endpoint import AUDIENCE

PAUSES: Sequence[int] = (1, 5, 30, 120, 600, 3_600)
"""Seconds before each further attempt."""
TAKEN: Final = (200, 202, 204)
"""RFC 8935 section 2.2 says 202. Whoever answers another success has it all the same."""
HOPELESS: Final = frozenset({"invalid_request", "invalid_key", "invalid_issuer", "invalid_audience", "invalid_state"})
"""What a receiver says of an event that would be no better the next time (RFC 8935 section 2.4, SSF 1.0)."""
IN_ORDER: Final = frozenset({ACCOUNT_DISABLED, ACCOUNT_ENABLED, ACCOUNT_PURGED})
"""What undoes one another: whoever got the last of them first would believe the first."""


class PushNotices(Telling[PushNotice]):
    """See `Telling`."""

    def __init__(
        self,
        base: Foundation,
        *,
        signals: SignalsOut,
        governing: Governing,
        way: Callable[[str], GuardedFetcher],
        told: Told,
    ) -> None:
        super().__init__("ssf", TRIGGER, PushNotice, base, told=told, now=base.clock.now)
        self._base = base
        self._signals = signals
        self._governing = governing
        self._way = way

    def _lane(self, notice: PushNotice) -> Lane:
        ours = notice.client_id in self._governing.current.bundle.catalogue.clients
        return Lane(notice.host, notice.client_id, ours=ours)

    def _pause(self, attempts: int) -> int | None:
        return PAUSES[attempts - 1] if attempts <= len(PAUSES) else None

    def _late(self, notice: PushNotice) -> MintwardenError:
        return MintwardenError(ErrorKind.SOURCE, f"an event could not be pushed to client `{notice.client_id}` in time")

    async def _send(self, taken: PushNotice) -> bool:
        found = await self._waiting(taken)
        if found is None:
            return True
        stream, event = found
        if event.event in IN_ORDER and await self._comes_later(stream, event):
            return False
        client = await self._governing.current.authenticator.find(taken.client_id, self._now())
        if client is None or AUDIENCE not in client.ceilings:
            return True  # held, for the case that it may hear again
        signed = await signed_event(self._base, self._governing, self._signals.transmitter.said(stream, event))
        begun = time.monotonic()
        try:
            answer = await self._way(taken.client_id).post_event(
                stream.push_url, signed.encode("ascii"), kind=f"application/{TYP}", authorization=stream.authorization
            )
        except MintwardenError:
            self._lanes.unheard(taken.host)
            raise
        self._lanes.heard(taken.host, round((time.monotonic() - begun) * 1000))
        code = "" if answer.status in TAKEN else _code(answer.status, answer.body)
        if answer.status not in TAKEN and code not in HOPELESS:
            raise MintwardenError(
                ErrorKind.SOURCE,
                f"the receiver `{taken.client_id}` did not take an event",
                hint=f"its push endpoint answered {answer.status}; 202 was expected",
            )
        if code:
            what = f"the receiver `{taken.client_id}` can make nothing of an event: `{code}`"
            self._told.notice_failed("ssf", taken.client_id, MintwardenError(ErrorKind.SOURCE, what))
        await self._signals.events.remove(stream.id, [event.token_id])
        return True

    async def _lost(self, notice: PushNotice) -> None:
        found = await self._waiting(notice)
        if found is None:
            return
        stream, event = found
        if event.event in OF_STREAMS:
            await self._signals.events.remove(stream.id, [event.token_id])
        else:
            await self._signals.transmitter.pause(stream, UNREACHED)

    async def _comes_later(self, stream: Stream, event: Waiting) -> bool:
        """Whether something waits that happened to the same account before (SSF 1.0 section 8.1.2.1)."""
        before = await self._signals.events.oldest(stream.id, MOST_WAITING)
        return any(one.event in IN_ORDER and one.subject == event.subject and one.at < event.at for one in before)

    async def _waiting(self, notice: PushNotice) -> tuple[Stream, Waiting] | None:
        """The stream and the event; None where it is not to be pushed, now or ever."""
        stream = await self._signals.streams.find(notice.client_id)
        if stream is None or stream.id != notice.stream_id or stream.method != PUSH:
            return None
        event = await self._signals.events.get(stream.id, notice.token_id)
        return (stream, event) if event is not None and goes_out(stream, event) else None


async def signed_event(base: Foundation, governing: Governing, event: SecurityEvent) -> str:
    """An event as a token of ours (`mint/statement.py`)."""
    algorithm = event_algorithm(governing.current.bundle.catalogue)
    return await sign_statement("security_event", claims_of(event), base.ring.signer_for(algorithm))


def event_algorithm(catalogue: Catalogue) -> str:
    """What events are signed with: RS256 where the bundle has keys for it, as the CAEP profile demands.

    Otherwise what the receivers' own audience is signed with.
    """
    has = {audience.algorithm for audience in catalogue.audiences.values()}
    return "RS256" if "RS256" in has else catalogue.audiences[AUDIENCE].algorithm


def _code(status: int, body: bytes) -> str:
    """The `err` of a 400; empty for any other answer, and for one that says nothing."""
    try:
        content = msgspec.json.decode(body) if status == 400 else None
    except msgspec.MsgspecError:
        return ""
    code = content.get("err") if isinstance(content, dict) else None
    return code if isinstance(code, str) else ""

"""Each endpoint's methods (SSF 1.0 section 8.1, RFC 8936 section 2): what comes in, and what is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final

from mintwarden.feeds.polling import PollRequest, read_poll
from mintwarden.feeds.security_events import SecurityEvent
from mintwarden.feeds.streams import LONGEST_TEXT, bad
from mintwarden.feeds.transmitter import Transmitter
from mintwarden.model.caller import Evidence
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.admin.limit import Shares
from mintwarden.web.reply import NO_STORE, NOSNIFF, Reply, json_reply
from mintwarden.web.ssf.endpoint import MANAGE, READ, Answer, Call, Method, Rest
from mintwarden.web.ssf.metadata import PATHS

PATIENCE: Final = 10.0
"""Seconds that a poll may wait for an event."""
LOOKS: Final = 0.5
"""Seconds between two looks at what waits: any node may have put something there."""
AT_ONCE: Final = 64
"""Polls of one process that may wait. Those beyond are answered at once, with nothing."""
EACH: Final = 4
"""Of them, those of one receiver."""

Sign = Callable[[SecurityEvent], Awaitable[str]]
Refused = Callable[[str, Collection[str]], None]


class Operations:
    """See the module.

    Args:
        transmitter: under what governs now.
        sign: an event as a token.
        refused: hears by which codes a client, by its id, can make nothing of events.
        patience: seconds that a poll waits at most.
    """

    def __init__(
        self, transmitter: Callable[[], Transmitter], *, sign: Sign, refused: Refused, patience: float = PATIENCE
    ) -> None:
        self._transmitter = transmitter
        self._sign = sign
        self._refused = refused
        self._patience = patience
        self._places = AT_ONCE
        self._shares = Shares(EACH)

    def methods(self) -> Mapping[str, Mapping[str, Method]]:
        """Of each endpoint, by its path below the issuer."""
        reads, manages = (READ, MANAGE), (MANAGE,)

        def does(answer: Answer) -> Method:
            return Method(manages, answer)

        return {
            PATHS["configuration_endpoint"]: {
                "GET": Method(reads, self._read, reads=False),
                "POST": does(self._create),
                "PATCH": does(self._change),
                "PUT": does(self._put),
                "DELETE": Method(manages, self._delete, reads=False),
            },
            PATHS["status_endpoint"]: {
                "GET": Method(reads, self._status, reads=False),
                "POST": does(self._set_status),
            },
            PATHS["add_subject_endpoint"]: {"POST": does(self._add)},
            PATHS["remove_subject_endpoint"]: {"POST": does(self._remove)},
            PATHS["verification_endpoint"]: {"POST": does(self._verify)},
        }

    def polling(self) -> Mapping[str, Method]:
        """Of the address of a stream that is polled."""
        return {"POST": Method((READ, MANAGE), self._poll)}

    async def _create(self, call: Call) -> Reply:
        return json_reply(201, await self._transmitter().create(call.who, call.content))

    async def _read(self, call: Call) -> Reply:
        transmitter = self._transmitter()
        if "stream_id" not in call.query:
            return json_reply(200, await transmitter.configurations(call.who))
        return json_reply(200, await transmitter.configuration(call.who, _stream(call)))

    async def _change(self, call: Call) -> Reply:
        return json_reply(200, await self._transmitter().update(call.who, call.content, whole=False))

    async def _put(self, call: Call) -> Reply:
        return json_reply(200, await self._transmitter().update(call.who, call.content, whole=True))

    async def _delete(self, call: Call) -> Reply:
        await self._transmitter().delete(call.who, _stream(call))
        return _empty(204)

    async def _status(self, call: Call) -> Reply:
        return json_reply(200, await self._transmitter().status(call.who, _stream(call)))

    async def _set_status(self, call: Call) -> Reply:
        return json_reply(200, await self._transmitter().set_status(call.who, call.content))

    async def _add(self, call: Call) -> Reply:
        await self._transmitter().add_subject(call.who, call.content)
        return _empty(200)

    async def _remove(self, call: Call) -> Reply:
        await self._transmitter().remove_subject(call.who, call.content)
        return _empty(204)

    async def _verify(self, call: Call) -> Reply:
        await self._transmitter().verify(call.who, call.content)
        return _empty(204)

    async def _poll(self, call: Call) -> Rest:
        asked = read_poll(call.content)
        # INVARIANT: whose stream it is, and what was taken, is settled before anybody waits.
        first = await self._answer(call.who, call.below, asked)
        if asked.refused:
            self._refused(call.who.client_id, sorted(set(asked.refused.values())))
        if first is not None or asked.at_once or not asked.most or not self._places:
            reply = first or _sets({}, more=False)
            return lambda: _now(reply)
        rest = PollRequest(most=asked.most, at_once=True, taken=(), refused={})
        return lambda: self._waited(call.who, call.below, rest)

    async def _waited(self, who: Evidence, stream_id: str, asked: PollRequest) -> Reply:
        """INVARIANT: it waits beside the requests that are worked on, and takes no place from them."""
        clock = asyncio.get_running_loop().time
        ends = clock() + self._patience
        self._places -= 1
        try:
            with self._shares.held(who.client_id) as free:
                return await self._looked(who, stream_id, asked, lambda: ends - clock() if free else 0.0)
        finally:
            self._places += 1

    async def _looked(self, who: Evidence, stream_id: str, asked: PollRequest, left: Callable[[], float]) -> Reply:
        """What comes within the seconds that are left."""
        while (seconds := left()) > 0:
            await asyncio.sleep(min(LOOKS, seconds))
            try:
                found = await self._answer(who, stream_id, asked)
            except MintwardenError as error:
                if error.kind is not ErrorKind.NOT_FOUND:
                    raise
                break  # it was deleted meanwhile
            if found is not None:
                return found
        return _sets({}, more=False)

    async def _answer(self, who: Evidence, stream_id: str, asked: PollRequest) -> Reply | None:
        """None where nothing is there, and something was asked for."""
        transmitter = self._transmitter()
        stream, found, more = await transmitter.poll(who, stream_id, asked)
        if asked.most and not found:
            return None
        tokens = [await self._sign(transmitter.said(stream, one)) for one in found]
        return _sets(dict(zip((one.token_id for one in found), tokens, strict=True)), more=more)


def _sets(sets: Mapping[str, str], *, more: bool) -> Reply:
    """RFC 8936 section 2.3."""
    return json_reply(200, {"sets": sets, **({"moreAvailable": True} if more else {})})


async def _now(reply: Reply) -> Reply:
    return reply


def _empty(status: int) -> Reply:
    return Reply(status, (NO_STORE, NOSNIFF), b"")


def _stream(call: Call) -> str:
    name = call.query.get("stream_id", "")
    if not name or len(name) > LONGEST_TEXT:
        raise bad("`stream_id` is missing in the query, or is too long")
    return name

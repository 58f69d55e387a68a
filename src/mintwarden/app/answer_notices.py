"""Tells clients that people answered, or sends what came of it (OpenID CIBA Core 1.0 sections 10.2, 10.3 and 12).

Kept is which request was answered, never a token: those are minted when they are sent. A node that meets a server
which fails sends the same tokens again for a while, out of its memory. Where they are lost with it, or became old,
others are minted. INVARIANT: at most one set is good: before others are minted, the access token that may have
arrived is revoked, with an entry, and the refresh tokens of both renew the one grant, once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from mintwarden.app.aftermath import Endings
from mintwarden.app.foundation import Foundation
from mintwarden.app.telling import TAKEN, WAITING, Declined, Notice, Telling, Told
from mintwarden.authn.fetch import GuardedFetcher
from mintwarden.issue.granted import Granted
from mintwarden.issue.memory import Memory
from mintwarden.issue.pending import Pending
from mintwarden.issue.pipeline import Outcome
from mintwarden.issue.pushing import Walk
from mintwarden.model.catalogue import Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.token import token_response

KIND: Final = "answer_notice"
"""The kind of their shelf."""
PAUSES: Sequence[int] = (1, 5, 30, 120)
"""Seconds before each further attempt; the last for all that follow, until the request ends."""
LATE: Final = 24 * 3_600_000
"""Milliseconds beyond the end of a request for which it is remembered that something of it is to be ended."""
FRESH: Final = 60_000
"""Milliseconds for which the same tokens are sent: what is true has changed since."""
BEHIND: Final = 3_000
"""Milliseconds that a node lets the one go first that may have the tokens."""
MOST: Final = 1_000
"""Sets of tokens that a node remembers; what comes beyond is minted for each attempt."""

_PASSING = frozenset({ErrorKind.OVERLOADED, ErrorKind.UNAVAILABLE, ErrorKind.STORE, ErrorKind.LEDGER, ErrorKind.SOURCE})
"""What is wrong with us, and will not stay so."""

_DENIED: Final = "the person did not allow it"
_REFUSED: Final = (
    "it was allowed, and refused by policy after all ({}): meet what it lacks, and have the person asked anew"
)
_FAILED: Final = "it was allowed, and something failed here: have the person asked anew"


class AnswerNotice(Notice, frozen=True, kw_only=True, omit_defaults=True):
    """That a request was answered.

    Attributes:
        name: the request's.
        node: who took it last, and may have its tokens in memory.
        token_id, token_ends: the access token that was sent last, or empty, and when it ends, `Millis`.
        grant_id, grant_ends: the grant that it is of.
        error, why: what the client is told instead of tokens, once that is certain.
    """

    name: str
    node: str = ""
    token_id: str = ""
    token_ends: int = 0
    grant_id: str = ""
    grant_ends: int = 0
    error: str = ""
    why: str = ""

    @property
    def handle(self) -> str:
        """A request is answered once."""
        return self.name


class _Minted(Struct, frozen=True):
    token_id: str
    content: Mapping[str, Any]
    at: int


class AnswerNotices(Telling[AnswerNotice]):
    """See `Telling`.

    Args:
        client: the client of that id, as the store says now; None for one that is gone.
        listed: one that is written down, and whether it is none of the bundle's.
        walk: mints for a request, the so-many-eth time.
    """

    def __init__(
        self,
        base: Foundation,
        *,
        way: Callable[[str], GuardedFetcher],
        memory: Memory,
        endings: Endings,
        client: Callable[[str, int], Awaitable[Client | None]],
        listed: Callable[[str], tuple[Client, bool] | None],
        walk: Walk,
        told: Told,
        now: Callable[[], int],
    ) -> None:
        super().__init__("ciba", KIND, AnswerNotice, base, told=told, now=now)
        self._node = base.holder
        self._way = way
        self._memory = memory
        self._endings = endings
        self._client = client
        self._written_down = listed
        self._walk = walk
        self._minted: dict[str, _Minted] = {}

    async def keep(self, pending: Pending) -> None:
        """Keep that the client is to be told, durably, before the answer is: it is told once that is there."""
        notice = AnswerNotice(
            name=pending.name,
            client_id=pending.client_id,
            ends=pending.ends,
            due=self._now() + TAKEN,
            node=self._node,
        )
        await self._shelf.add(notice.handle, notice, ends=pending.ends + LATE, owner=WAITING)

    async def answered(self, pending: Pending) -> None:
        """The answer is there: tell the client, without waiting for it."""
        held = await self._shelf.get(pending.name, 0)
        if held is not None and held.value.attempts == 0:
            await self._shelf.replace(held, replace(held.value, due=self._now()))
        self.tell()

    def _listed(self, client_id: str) -> tuple[Client, bool] | None:
        return self._written_down(client_id)

    def _endpoint(self, client: Client) -> str:
        return client.backchannel.endpoint

    def _pause(self, attempts: int) -> int | None:
        return PAUSES[min(attempts, len(PAUSES)) - 1]

    def _late(self, notice: AnswerNotice) -> MintwardenError:
        return MintwardenError(ErrorKind.SOURCE, f"client `{notice.client_id}` was not told of an answer in time")

    def _due(self, notice: AnswerNotice) -> int:
        """INVARIANT: whoever has the tokens comes first; the others wait until that node is gone."""
        return notice.due if notice.node in ("", self._node) else notice.due + BEHIND

    async def _send(self, taken: AnswerNotice) -> bool:
        now = self._now()
        pending = await self._memory.waiting.kept(taken.name, now)
        if pending is None or pending.told:
            self._minted.pop(taken.name, None)
            return True  # forgotten with its person, or another node was faster than this one knew
        if pending.state == "pending":
            return False  # the answer is being written; or it never was, and whoever answers comes here again
        client = await self._client(taken.client_id, now)
        if client is None or not client.backchannel.endpoint:
            raise Declined(f"client `{taken.client_id}` is not there to be told")
        content: Mapping[str, Any] | None = {}
        if pending.delivery == "push":
            content = await self._answer(taken, pending, now)
        if content is None:
            return False
        await self._post(client, pending, content)
        await self._finish(taken.name)
        return True

    async def _answer(self, taken: AnswerNotice, pending: Pending, now: int) -> Mapping[str, Any] | None:
        """What the client gets; None where another node has it by now. INVARIANT: noted before it is sent."""
        granted = pending.granted
        if granted is None:
            return _error("access_denied", _DENIED)
        if taken.error:
            return _error(taken.error, taken.why or _FAILED)
        made = self._minted.get(taken.name)
        fresh = made is not None and made.token_id == taken.token_id and now - made.at < FRESH
        if made is not None and fresh and await self._memory.live([granted], now):
            passed = (now - made.at) // 1000
            return {**made.content, "expires_in": made.content["expires_in"] - passed}
        self._minted.pop(taken.name, None)
        if taken.token_id:
            await self._endings.end_token(taken.token_id, taken.token_ends, reason="others are sent instead of it")
        outcome = await self._walked(taken, pending)
        if outcome is None or outcome.token is None:
            await self._end(granted, "nothing came of it")
            why = _FAILED if outcome is None else _REFUSED.format(outcome.decision_id)
            noted = await self._noted(taken, error="transaction_failed", why=why)
            return None if noted is None else _error(noted.error, noted.why)
        content: dict[str, Any] = msgspec.to_builtins(token_response(outcome, outcome.token))
        later = self._now()
        noted = await self._noted(
            taken,
            token_id=outcome.token.decision_id,
            token_ends=later + outcome.token.expires_in * 1000,
            grant_id=granted.grant_id,
            grant_ends=granted.ends,
            node=self._node,
            due=later + TAKEN,
        )
        if noted is None:
            return None  # nothing of it left this process
        self._remember(taken.name, _Minted(outcome.token.decision_id, content, later))
        return content

    async def _walked(self, taken: AnswerNotice, pending: Pending) -> Outcome | None:
        """None where there is nothing to be sent, and never will be. Raises what will not stay so."""
        try:
            return await self._walk(pending, taken.attempts)
        except MintwardenError as error:
            if error.kind in _PASSING:
                raise
            self._told.stumbled(self._about, error)
        except Exception as error:  # noqa: BLE001 - nobody foresaw it: the client hears that nothing comes
            self._told.stumbled(self._about, error)
        return None

    async def _post(self, client: Client, pending: Pending, content: Mapping[str, Any]) -> None:
        """INVARIANT: an answer that refuses or leads elsewhere is an answer: it is neither tried again nor followed."""
        posting = self._way(client.id).post_json(
            client.backchannel.endpoint,
            msgspec.json.encode({"auth_req_id": pending.handle, **content}),
            authorization=f"Bearer {pending.notify_token}",
        )
        answer = await self._called(client, posting)
        if answer.status in (200, 204):
            return
        said = f"client `{client.id}` answered {answer.status}"
        raise MintwardenError(ErrorKind.SOURCE, said) if answer.status >= 500 else Declined(said)

    async def _lost(self, notice: AnswerNotice) -> None:
        """INVARIANT: tokens that nobody took are good no more, whoever came by them on the way."""
        pending = await self._memory.waiting.kept(notice.name, self._now())
        granted = None if pending is None or pending.delivery != "push" else pending.granted
        held = await self._shelf.get(notice.name, 0)
        known = notice if held is None else held.value
        if not known.error:
            reason = "its tokens could not be delivered"
            if granted is not None:
                await self._end(granted, reason)
            elif known.grant_id:
                await self._endings.end(known.grant_id, known.grant_ends, reason=reason)
        await self._finish(notice.name)

    async def _end(self, granted: Granted, reason: str) -> None:
        await self._endings.end(granted.grant_id, granted.ends, reason=reason)

    async def _finish(self, name: str) -> None:
        self._minted.pop(name, None)
        await self._memory.waiting.tell(name, self._now())

    def _remember(self, name: str, made: _Minted) -> None:
        for old in [key for key, one in self._minted.items() if made.at - one.at >= FRESH]:
            del self._minted[old]
        if len(self._minted) < MOST:
            self._minted[name] = made


def _error(code: str, why: str) -> Mapping[str, Any]:
    return {"error": code, "error_description": why}

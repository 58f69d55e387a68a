"""Status lists on the consumer's side: fetched, kept for as long as they say, shared by the requests of one moment."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from mintwarden.consumer import status_list
from mintwarden.consumer.fetch import Fetched, fetched
from mintwarden.consumer.jws import ALGORITHMS, Malformed, check_signature, take_apart
from mintwarden.consumer.keys import KeyCache
from mintwarden.consumer.status_list import KIND, MOST, TYP, StatusList, lifetime, place_of

AGAIN: Final = 5.0
"""Seconds after which a list that could not be had is asked for again, whatever tokens say."""
AHEAD: Final = 0.75
"""Share of its time after which a list is fetched anew, while it is still good: nobody waits for that."""
KEPT: Final = 64
"""Lists that are kept. Those of ours have a million tokens each."""

Fetch = Callable[[str], Awaitable[Fetched]]
"""An address to its 200 answer; raises any exception for anything else."""

_log = logging.getLogger(__name__)


class NoStatus(Exception):
    """Whether the token was revoked cannot be found out now: the fault is not the token's."""


class _Kept:
    """One list, as it was had last. `until` and `again` are of the monotonic clock."""

    def __init__(self) -> None:
        self.found: StatusList | None = None
        self.until = self.ahead = self.again = float("-inf")
        self.why = ""
        self.fetching: asyncio.Task[None] | None = None


class StatusLists:
    """Tells of the tokens of one issuer whether they were revoked (draft-ietf-oauth-status-list-21 section 8.3).

    Args:
        issuer: whose lists; they are fetched from its own origin and from nowhere else.
        keys: the issuer's keys, by which the lists are signed.
        fail_open: what becomes of a token while its list cannot be had. It is refused, unless this is set: then it is
            let through, but never one that the last list called revoked.
        required: a token without a place in a list is refused; if this is not set, it is let through unasked.
        algorithms: by which lists may be signed.
        fetch: in place of our own, which takes https alone, follows no redirect, and takes no more than 512 kB and 5
            seconds.
        clock, monotonic: seconds since 1970, and of a clock that never steps back.

    A list is kept for its `ttl`, or else for as long as the answer's headers say, between a second and an hour, and
    never beyond its `exp`. One fetch at a time for each list; whoever finds one that is good does not wait. One object
    does for any number of verifiers. Each process has its own.
    """

    def __init__(
        self,
        issuer: str,
        *,
        keys: KeyCache,
        fail_open: bool = False,
        required: bool = True,
        algorithms: frozenset[str] = ALGORITHMS,
        fetch: Fetch | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._origin = urlsplit(issuer)[:2]
        self._keys = keys
        self._fail_open = fail_open
        self._required = required
        self._algorithms = algorithms
        self._fetch = fetch or fetch_list
        self._clock = clock
        self._monotonic = monotonic
        self._lists: OrderedDict[str, _Kept] = OrderedDict()

    async def check(self, claims: Mapping[str, Any]) -> None:
        """Return if a verified token, of which these are the claims, is good by its list.

        Raises `Malformed` for one that is not, and `NoStatus` where that cannot be found out.
        """
        place = place_of(claims)
        if place is None:
            if self._required:
                raise Malformed("the token has no place in a status list, by which it could be revoked")
            return
        uri, index = place
        kept = self._of(uri)
        await self._renewed(uri, kept)
        # INVARIANT: what was revoked stays so while nothing newer is known, also where lists may be lacking.
        if kept.found is not None:
            kept.found.check(index)
        if not self._good(kept) and not self._fail_open:
            raise NoStatus(f"the token's status list cannot be had: {kept.why}")

    def _of(self, uri: str) -> _Kept:
        kept = self._lists.get(uri)
        if kept is None:
            self._check_address(uri)
            kept = self._lists[uri] = _Kept()
            while len(self._lists) > KEPT:
                self._lists.popitem(last=False)
        self._lists.move_to_end(uri)
        return kept

    def _check_address(self, uri: str) -> None:
        """INVARIANT: nothing is fetched from elsewhere, even if a token says so."""
        try:
            origin = urlsplit(uri)[:2]
        except ValueError:
            origin = ("", "")
        plain = uri.isascii() and uri.isprintable() and not any(character in uri for character in ' "\\<>#')
        if not plain or origin != self._origin:
            raise Malformed("the token's status list is not at its issuer's")

    def _good(self, kept: _Kept) -> bool:
        return kept.found is not None and self._monotonic() < kept.until and self._clock() < kept.found.expires_at

    async def _renewed(self, uri: str, kept: _Kept) -> None:
        """Fetch the list anew when its time has come; wait for that only when there is none that is good."""
        now, good = self._monotonic(), self._good(kept)
        if (not good or now >= kept.ahead) and now >= kept.again and kept.fetching is None:
            # A task of its own: whoever asked may go away, and the others go on waiting for it.
            kept.fetching = asyncio.create_task(self._renew(uri, kept))
        if not good and kept.fetching is not None:
            await asyncio.shield(kept.fetching)

    async def _renew(self, uri: str, kept: _Kept) -> None:
        begun = self._monotonic()
        try:
            answer = await self._fetch(uri)
            kept.found = await self._read(uri, answer)
            life = lifetime(kept.found.ttl, answer.headers)
            kept.ahead = begun + life * AHEAD
            kept.until = max(begun + life, self._monotonic() + status_list.LEAST)
        except Exception as error:  # noqa: BLE001 - whatever it was: there is no newer list
            kept.again = self._monotonic() + AGAIN
            kept.why = str(error) or type(error).__name__
            _log.warning("the status list %r cannot be had: %s", uri, kept.why)
        finally:
            kept.fetching = None

    async def _read(self, uri: str, answer: Fetched) -> StatusList:
        if answer.headers.get("content-type", "").partition(";")[0].strip().lower() != KIND:
            raise Malformed(f"the answer is not `{KIND}`")
        token = take_apart(answer.body.decode("ascii"), limit=MOST)
        # Every other kind of what the issuer signs has another `typ`.
        if token.typ != TYP:
            raise Malformed("it is not a status list")
        kid = token.header.get("kid")
        keys = await self._keys.find(kid) if isinstance(kid, str) else []
        if len(keys) != 1:
            raise Malformed("its key is not among the issuer's")
        check_signature(token, keys[0], self._algorithms)
        return status_list.read(token, uri=uri, issuer=self._issuer, now=self._clock())


async def fetch_list(url: str) -> Fetched:
    """A status list as it is sent: at most 512 kB, as `fetched` has it."""
    return await fetched(url, accept=KIND, most=MOST)

"""Status lists as this deployment gives out, marks and serves them."""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import Awaitable, Callable

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.app.foundation import Foundation
from mintwarden.app.recorded import origins
from mintwarden.govern.status_marks import Parts, StatusMarks
from mintwarden.issue.status import StatusLists, StatusPlaces, algorithm_of
from mintwarden.ledger.ports import StoredEntry
from mintwarden.ledger.reveal import Revealed, reveal
from mintwarden.mint.ports import Signer
from mintwarden.mint.prepare import status_uri
from mintwarden.mint.statement import sign_statement
from mintwarden.mint.status_list import encoded
from mintwarden.model.clock import seconds
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.asgi import Asked
from mintwarden.web.reply import Reply
from mintwarden.web.status import Signed, aggregation_reply, status_reply

TTL = 60
"""Seconds for which whoever checks a token may keep a list; also how long ours is kept before it is signed anew."""

LIFE = 3600
"""Seconds after which a list is not to be believed any more."""

LOOK = 1.0
"""Seconds between two looks at whether a list has changed."""

KEPT = 64
"""Lists that a process keeps signed: some two hundred thousand bytes each at the most."""

LEASE, LEASE_SECONDS = "status-marks", 30.0


def places_of(base: Foundation) -> StatusPlaces:
    """Who gives out places."""
    longest = max((audience.max_ttl for audience in base.bundle.catalogue.audiences.values()), default=0)
    key = base.master.derive(b"status-lists")
    return StatusPlaces(states=base.store.states, key=key, clock=base.clock, longest=longest)


class _Kept(Struct, frozen=True):
    version: int
    kid: str
    signed: Signed
    at: int
    looked_at: float


class StatusPages:
    """Signed lists, each signed at most once in `TTL` seconds or when it has changed."""

    def __init__(self, base: Foundation, *, monotonic: Callable[[], float]) -> None:
        self._base = base
        self._lists = StatusLists(base.store.states)
        self._monotonic = monotonic
        self._kept: dict[int, _Kept] = {}
        self._signing = asyncio.Lock()

    async def page(self, asked: Asked) -> Reply:
        """`GET /status/<number>`."""
        return await status_reply(
            asked.path, query=asked.query, headers=asked.headers, none_match=asked.none_match, read=self.read
        )

    async def all(self, _asked: Asked) -> Reply:
        """`GET /status`."""
        issuer = self._base.issuer
        return aggregation_reply([status_uri(issuer, number) for number in await self._lists.numbers()], TTL)

    async def read(self, number: int) -> Signed | None:
        """The signed list; None where there is none."""
        if algorithm_of(number) is None:
            return None
        kept = self._fresh(number)
        if kept is None:
            async with self._signing:
                kept = self._fresh(number) or await self._renewed(number)
        return None if kept is None else kept.signed

    def _fresh(self, number: int) -> _Kept | None:
        kept = self._kept.get(number)
        return kept if kept is not None and self._monotonic() - kept.looked_at < LOOK else None

    async def _renewed(self, number: int) -> _Kept | None:
        found = await self._lists.kept(number)
        if found is None:
            self._kept.pop(number, None)
            return None
        version, compressed = found
        kept, now, looked_at = self._kept.pop(number, None), self._base.clock.now(), self._monotonic()
        signer = self._base.ring.signer_for(algorithm_of(number) or "")
        # INVARIANT: no list is shown any longer whose key is gone: nobody could check it, and nobody should believe it.
        of_now = kept is not None and (kept.version, kept.kid) == (version, signer.kid)
        if kept is None or not of_now or not 0 <= now - kept.at < TTL * 1000:
            kept = _Kept(version, signer.kid, await self._signed(number, compressed, signer, now), now, looked_at)
        else:
            kept = replace(kept, looked_at=looked_at)
        self._kept[number] = kept
        for old in list(self._kept)[:-KEPT]:
            del self._kept[old]
        return kept

    async def _signed(self, number: int, compressed: bytes, signer: Signer, now: int) -> Signed:
        issuer = self._base.issuer
        claims = {
            "sub": status_uri(issuer, number),
            "iss": issuer,
            "iat": seconds(now),
            "exp": seconds(now) + LIFE,
            "ttl": TTL,
            "status_list": {
                "bits": 1,
                "lst": encoded(compressed),
                "aggregation_uri": f"{issuer.rstrip('/')}/status",
            },
        }
        token = (await sign_statement("status_list", claims, signer)).encode()
        return Signed(token, b'"%s"' % hashlib.sha256(token).hexdigest()[:32].encode(), TTL)


def marking(base: Foundation, current: Callable[[], Foundation]) -> Callable[[], Awaitable[None]]:
    """Carries what was revoked into the lists, on one node at a time."""

    async def opened(stored: StoredEntry) -> Revealed | None:
        try:
            return await reveal(stored, keys=base.store.subject_keys, sealer=base.sealer)
        except MintwardenError as error:
            if error.kind is ErrorKind.LEDGER:  # the audit tells; a damaged entry must not hold up the others
                return None
            raise

    marks = StatusMarks(
        Parts(
            revocations=base.store.revocations,
            lists=StatusLists(base.store.states),
            index=base.store.decision_index,
            entries=base.store.entries,
            keys=base.store.subject_keys,
            reveal=opened,
            origins=functools.partial(origins, base),
        ),
        grace=round(base.config.server.request_timeout * 1000) + 2000,
    )

    async def run() -> None:
        catalogue = current().bundle.catalogue
        if not any(audience.status_list for audience in catalogue.audiences.values()):
            return
        if await base.store.leases.acquire(LEASE, base.holder, LEASE_SECONDS):
            await marks.tend(catalogue, base.clock.now())

    return run

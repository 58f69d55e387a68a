"""The transmitter under whatever governs when a request begins: its endpoints, and what is pushed behind them."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from mintwarden.app.decision_point import Doorway
from mintwarden.app.following import Following
from mintwarden.app.foundation import Foundation
from mintwarden.app.governing import Governing
from mintwarden.app.posting import way_to
from mintwarden.app.recorded import revocation_check
from mintwarden.app.signal_notices import PushNotices, signed_event
from mintwarden.app.signals_out import SignalsOut
from mintwarden.app.telling import Told
from mintwarden.feeds.security_events import SecurityEvent
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.admin.limit import Buckets
from mintwarden.web.doorway import Frame
from mintwarden.web.reply import Handler
from mintwarden.web.ssf.endpoint import Endpoint
from mintwarden.web.ssf.metadata import POLL
from mintwarden.web.ssf.operations import Operations


class SharedSignals:
    """See the module."""

    def __init__(self, base: Foundation, *, governing: Governing, following: Following, told: Told) -> None:
        self._base = base
        self._told = told
        self.out = signals = SignalsOut(base, lambda: governing.current.bundle.catalogue)
        self._governing = governing
        self._following = following
        self._revoked = revocation_check(base)
        server = base.config.server
        self._buckets = Buckets(rate=server.admin_rate, burst=server.admin_burst, monotonic=time.monotonic)
        self._operations = Operations(lambda: signals.transmitter, sign=self._sign, refused=self._heard_of)
        self.notices = PushNotices(
            base, signals=signals, governing=governing, way=way_to(base.config, governing), told=told
        )

    async def close(self) -> None:
        """Stop pushing; what was not sent stays in the store."""
        await self.notices.close()

    async def doorway(self) -> Doorway:
        """Who may come in, under what the store says now (invariant 7). Raises `NOT_FOUND` without a transmitter."""
        await self._following.now()
        if not self.out.on:
            raise MintwardenError(ErrorKind.NOT_FOUND, "there is nothing here")
        return Doorway(self._governing.current.receivers, self._revoked, self._base.store.revocations)

    def mounts(self, frame: Frame[Doorway], path: str) -> Sequence[tuple[str, Handler]]:
        """The endpoints below `path`, the issuer's own: those of streams, and where each is polled."""
        wait = self._buckets.take
        named = [
            (path + below, Endpoint(frame, methods, route="ssf", path=path + below, wait=wait))
            for below, methods in self._operations.methods().items()
        ]
        at = path + POLL
        return [
            *named,
            (at, Endpoint(frame, self._operations.polling(), route="ssf_poll", path=at, wait=wait, below=True)),
        ]

    def _heard_of(self, client_id: str, codes: Collection[str]) -> None:
        what = f"the receiver `{client_id}` can make nothing of events: {', '.join(f'`{code}`' for code in codes)}"
        self._told.notice_failed("ssf", client_id, MintwardenError(ErrorKind.SOURCE, what))

    async def _sign(self, event: SecurityEvent) -> str:
        return await signed_event(self._base, self._governing, event)

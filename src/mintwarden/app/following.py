"""Keeps what a process holds in memory (the governing version, client secrets, keys) as new as the store: invariant 7.

Whoever changes them raises the store's epoch in the same transaction, and every read of facts brings the epoch along.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from mintwarden.app.foundation import Foundation
from mintwarden.issue.epoch import EpochMoved
from mintwarden.mint.ports import Signer
from mintwarden.model.caller import Caller
from mintwarden.model.catalogue import Audience
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest

Authenticate = Callable[[TokenRequest, int], Awaitable[Caller]]


class Followed(Protocol):
    """Something in memory that is as new as an epoch."""

    @property
    def epoch(self) -> int: ...

    async def refresh(self) -> object:
        """Be as new as the store is now."""
        ...


class Following:
    """Reads keys, secrets and the governing version again when the epoch has moved, once for all who notice it."""

    def __init__(self, base: Foundation, followed: Followed) -> None:
        self._base = base
        self._followed = followed
        self._reading = asyncio.Lock()

    async def refresh(self, epoch: int) -> None:
        """Be at least as new as `epoch`."""
        async with self._reading:
            await self._base.ring.follow(epoch)
            if self._followed.epoch < epoch:
                await self._followed.refresh()

    async def now(self) -> None:
        """Be as new as the store is now; costs one read, shared with those of the same moment."""
        epoch = (await self._base.store.facts.read(())).epoch
        if self._base.ring.epoch < epoch or self._followed.epoch < epoch:
            await self.refresh(epoch)

    def signer(self, audience: Audience) -> Signer:
        """What signs for an audience now; raises `EpochMoved` when the keys lag behind the secrets."""
        # INVARIANT: secrets and keys are read one after the other, and the store may move on between the two. A walk
        # whose caller and facts are of a later epoch than the keys begins again, so that a revoked key signs nothing.
        if self._base.ring.epoch < self._followed.epoch:
            raise EpochMoved(self._followed.epoch)
        return self._base.ring.signer_for(audience.algorithm)

    def told_at_once(self, authenticate: Authenticate, authenticator: Followed) -> Authenticate:
        """`authenticate`, by which a client is refused only for what the store says now.

        A refusal costs one read, shared with those of the same moment.
        """

        async def current(request: TokenRequest, now: int) -> Caller:
            try:
                return await authenticate(request, now)
            except MintwardenError as error:
                if error.kind not in (ErrorKind.INVALID_CLIENT, ErrorKind.INVALID_CLIENT_ATTESTATION):
                    raise
                epoch = (await self._base.store.facts.read(())).epoch
                if epoch > authenticator.epoch:
                    raise EpochMoved(epoch) from None
                raise

        return current

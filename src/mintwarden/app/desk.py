"""Introspection and revocation under whatever governs when the request begins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from mintwarden.app.following import Following
from mintwarden.app.foundation import Foundation
from mintwarden.app.governing import Governing
from mintwarden.authn.ports import Revocation
from mintwarden.issue.desk import Desk
from mintwarden.issue.epoch import in_one_epoch
from mintwarden.issue.introspect import Told, introspect, statement
from mintwarden.issue.revoke import revoke
from mintwarden.mint.statement import sign_statement
from mintwarden.model.caller import Caller
from mintwarden.model.catalogue import Client
from mintwarden.model.request import TokenRequest
from mintwarden.model.values import EntityUid

T = TypeVar("T")


class ExistingTokens:
    """Serves requests about tokens that exist already."""

    def __init__(self, base: Foundation, *, governing: Governing, following: Following) -> None:
        self._base = base
        self._governing = governing
        self._following = following

    def introspect(self, request: TokenRequest) -> Coroutine[Any, Any, Told]:
        """What `issue.introspect` may tell."""
        return self._now(lambda desk: introspect(request, desk, self._base.clock.now()))

    async def signed(self, told: Told) -> str:
        """The same as a statement of ours."""
        claims = statement(told, self._base.issuer, self._base.clock.now())
        return await sign_statement("introspection", claims, self._base.ring.signer_for(told.algorithm))

    def revoke(self, request: TokenRequest) -> Coroutine[Any, Any, bool]:
        """Whether `issue.revoke` had something to revoke."""
        return self._now(
            lambda desk: revoke(
                request, desk, self._base.clock.now(), record=self._record, writer=self._base.store.revocations
            )
        )

    def _now(self, work: Callable[[Desk], Awaitable[T]]) -> Coroutine[Any, Any, T]:
        """`work` under what the store says now (invariant 7)."""

        async def now() -> T:
            await self._following.now()
            return await work(self._governing.current.desk)

        return in_one_epoch(now, self._following.refresh)

    async def _record(self, client: Client, caller: Caller, ended: Revocation) -> None:
        detail = {"about": ended.about, ended.about: ended.value, "reason": "given back by its client"}
        actor = EntityUid(client.principal, client.id)
        await self._base.scribe().write("revocation", actor, detail, once=caller.once)

"""Where clients come about tokens that exist already: who is asking, and what the token is that they show."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from mintwarden.authn.jose import JoseError
from mintwarden.authn.ports import Claims
from mintwarden.authn.presented import LiveTokens, Presented
from mintwarden.issue.fresh import Fresh
from mintwarden.issue.memory import Memory
from mintwarden.model.caller import Caller
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest


class Desk(Struct, frozen=True, kw_only=True):
    """What one bundle version and its credentials make of such requests.

    Attributes:
        claims: where proofs of requests that leave no decision are claimed.
        fresh: decides anew about tokens.
        memory: knows what refresh tokens stand for.
    """

    catalogue: Catalogue
    authenticate: Callable[[TokenRequest, int], Awaitable[Caller]]
    tokens: LiveTokens
    claims: Claims
    fresh: Fresh
    memory: Memory

    async def caller(self, request: TokenRequest, now: int) -> Caller:
        """Who asks. Raises as `Authenticator.authenticate`, and `INVALID_REQUEST` without a `token`."""
        caller = await self.authenticate(request, now)
        if not request.one("token"):
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "`token` is missing")
        return caller

    async def claim(self, caller: Caller) -> None:
        """INVARIANT: a proof counts once, also where it leads to no decision."""
        if caller.once and not await self.claims.claim(caller.once):
            kind = ErrorKind.INVALID_CLIENT_ATTESTATION if caller.instance else ErrorKind.INVALID_CLIENT
            raise MintwardenError(kind, "client authentication failed", hint="the proof was used before")

    def client(self, caller: Caller) -> Client:
        """The client that asks."""
        return caller.registered or self.catalogue.clients[caller.client_id]

    async def shown(self, request: TokenRequest, now: int) -> Presented | None:
        """The token, or None for whatever is not, or not any more, a good token of ours."""
        try:
            return await self.tokens.read(request.one("token") or "", now)
        except JoseError:
            return None

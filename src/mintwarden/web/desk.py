"""`POST /introspect` (RFC 7662, RFC 9701) and `POST /revoke` (RFC 7009): what their answers look like."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mintwarden.issue.introspect import Told
from mintwarden.model.request import TokenRequest
from mintwarden.web.accept import asks_for
from mintwarden.web.form_endpoint import Answer, Work
from mintwarden.web.reply import NO_STORE, NOSNIFF, Reply, json_reply

SIGNED = "application/token-introspection+jwt"
USUAL = "application/json"


def introspection(
    introspect: Callable[[TokenRequest], Awaitable[Told]], signed: Callable[[Told], Awaitable[str]]
) -> Answer:
    """Tells what `introspect` may tell of a token; signed where that is asked for (RFC 9701 section 4)."""

    async def answer(request: TokenRequest, work: Work) -> Reply:
        told = await introspect(request)
        work.outcome = "active" if told.content["active"] else "inactive"
        if asks_for(request.unverified_accept, SIGNED, USUAL):
            head = ((b"content-type", SIGNED.encode()), NO_STORE, NOSNIFF)
            return Reply(200, head, (await signed(told)).encode())
        return json_reply(200, told.content)

    return answer


def revocation(revoke: Callable[[TokenRequest], Awaitable[bool]]) -> Answer:
    """Says that the token is good no more, whether or not it was one (RFC 7009 section 2.2)."""

    async def answer(request: TokenRequest, work: Work) -> Reply:
        work.outcome = "revoked" if await revoke(request) else "nothing to revoke"
        return Reply(200, (NO_STORE,), b"")

    return answer

"""`POST /introspect` (RFC 7662) and `POST /revoke` (RFC 7009): what their answers look like."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mintwarden.model.request import TokenRequest
from mintwarden.web.form_endpoint import Answer, Work
from mintwarden.web.reply import NO_STORE, Reply, json_reply


def introspection(introspect: Callable[[TokenRequest], Awaitable[Mapping[str, Any]]]) -> Answer:
    """Tells what `introspect` may tell of a token."""

    async def answer(request: TokenRequest, work: Work) -> Reply:
        content = await introspect(request)
        work.outcome = "active" if content["active"] else "inactive"
        return json_reply(200, content)

    return answer


def revocation(revoke: Callable[[TokenRequest], Awaitable[bool]]) -> Answer:
    """Says that the token is good no more, whether or not it was one (RFC 7009 section 2.2)."""

    async def answer(request: TokenRequest, work: Work) -> Reply:
        work.outcome = "revoked" if await revoke(request) else "nothing to revoke"
        return Reply(200, (NO_STORE,), b"")

    return answer

"""Revocation (RFC 7009): a client gives back a token that it was issued."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mintwarden.authn.ports import Revocation, RevocationWriter
from mintwarden.issue.desk import Desk
from mintwarden.model.caller import Caller
from mintwarden.model.catalogue import Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest

Record = Callable[[Client, Caller, str], Awaitable[object]]
"""Writes down, durably, that a client revokes the token of that id, and claims the proofs that the caller brought."""


async def revoke(request: TokenRequest, desk: Desk, now: int, *, record: Record, writer: RevocationWriter) -> bool:
    """Revoke the token; False where there was nothing to revoke, which the client is not told (section 2.2).

    Raises `UNAUTHORIZED_CLIENT` for another client's token. INVARIANT: it is written down before it takes effect.
    """
    caller = await desk.caller(request, now)
    shown = await desk.shown(request, now)
    if shown is None:
        await desk.claim(caller)
        return False
    token = shown.evidence
    if token.client_id != caller.client_id:
        await desk.claim(caller)
        raise MintwardenError(ErrorKind.UNAUTHORIZED_CLIENT, "the token was issued to another client")
    await record(desk.client(caller), caller, token.token_id)
    await writer.revoke([Revocation(about="token", value=token.token_id, before=now, until=token.expires_at)])
    return True

"""Revocation (RFC 7009): a client gives back a token that it was issued: an access token, or a refresh token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from mintwarden.authn.ports import Revocation, RevocationWriter
from mintwarden.issue.desk import Desk
from mintwarden.issue.memory import REFRESH_PREFIX, UNDER_WAY
from mintwarden.model.caller import Caller
from mintwarden.model.catalogue import Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest

Record = Callable[[Client, Caller, Revocation], Awaitable[object]]
"""Writes down, durably, what a client revokes, and claims the proofs that the caller brought."""


async def revoke(request: TokenRequest, desk: Desk, now: int, *, record: Record, writer: RevocationWriter) -> bool:
    """Revoke the token; False where there was nothing to revoke, which the client is not told (section 2.2).

    `token_type_hint` is not needed, and ignored. Raises `UNAUTHORIZED_CLIENT` for another client's token,
    `UNSUPPORTED_TOKEN_TYPE` for what is ours and no token that can be revoked (section 2.2.1). INVARIANT: it is written
    down before it takes effect.
    """
    caller = await desk.caller(request, now)
    try:
        found = await _found(request, desk, now)
        if found is not None and found.client_id != caller.client_id:
            raise MintwardenError(ErrorKind.UNAUTHORIZED_CLIENT, "the token was issued to another client")
    except MintwardenError:
        await desk.claim(caller)
        raise
    if found is None:
        await desk.claim(caller)
        return False
    await record(desk.client(caller), caller, found.revocation)
    await writer.revoke([found.revocation])
    if found.revocation.about == "grant":
        await desk.memory.forget(found.revocation.value)
    return True


class _Found(Struct, frozen=True):
    """Whose a token is, and what ends it."""

    client_id: str
    revocation: Revocation


async def _found(request: TokenRequest, desk: Desk, now: int) -> _Found | None:
    unverified = request.one("token") or ""
    if unverified.startswith(REFRESH_PREFIX):
        return await _of_grant(unverified, desk, now)
    shown = await desk.shown(request, now)
    if shown is not None:
        token = shown.evidence
        ended = Revocation(about="token", value=token.token_id, before=now, until=token.expires_at)
        return _Found(token.client_id, ended)
    if desk.tokens.is_of_another_kind(unverified):
        raise MintwardenError(ErrorKind.UNSUPPORTED_TOKEN_TYPE, "what is sent is ours, and cannot be revoked")
    return None


async def _of_grant(unverified: str, desk: Desk, now: int) -> _Found | None:
    """INVARIANT: with a refresh token ends the grant, and every token that came of it (section 2.1)."""
    try:
        renewal = desk.memory.read(unverified)
    except MintwardenError:
        return None
    held = await desk.memory.grants.get(renewal.grant_id, now)
    if held is None:
        return None
    ends = max(held.value.ends, renewal.ends)
    ended = Revocation(about="grant", value=renewal.grant_id, before=now + UNDER_WAY, until=ends)
    return _Found(held.value.client_id, ended)

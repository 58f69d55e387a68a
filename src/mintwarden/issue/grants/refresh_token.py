"""Renewal is a new decision (RFC 6749 section 6): the whole line runs again, with everything as it is now."""

from __future__ import annotations

from mintwarden.authn.authenticate import signed_in
from mintwarden.issue.confines import CONFINES
from mintwarden.issue.details import DETAILS
from mintwarden.issue.granted import Recalled, Renewal, as_of_now, asked_of
from mintwarden.issue.limits import LIMITS
from mintwarden.issue.memory import Memory, once
from mintwarden.issue.target import TARGET
from mintwarden.model.asked import Asked
from mintwarden.model.caller import Caller
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest

NAME = "refresh_token"
GRANT_TYPE = "refresh_token"
PARAMETERS = frozenset({"grant_type", "refresh_token", *TARGET, *DETAILS, *CONFINES, *LIMITS})


async def recall(
    request: TokenRequest, caller: Caller, client: Client, memory: Memory, now: int
) -> tuple[Caller, Recalled]:
    """What the refresh token renews. Raises `INVALID_GRANT` for one that is not, or not any more, this client's.

    Unless the client's policy is to keep one, the token is used up in the commit that records what comes of it: of two
    refreshes at once one is recorded, and the other is a replay, which ends the whole grant (RFC 9700 section 4.14).
    INVARIANT: one that was handed out to be used once stays so, whatever the policy is by then.
    """
    token = request.one("refresh_token")
    if token is None:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "`refresh_token` is missing")
    renewal = memory.read(token)
    held, looked = await memory.recall(renewal, caller.client_id, now)
    if renewal.ends <= now or held is None or held.value.client_id != caller.client_id:
        raise MintwardenError(ErrorKind.INVALID_GRANT, "the refresh token has ended", hint="ask the person again")
    if renewal.held and caller.binding != renewal.binding:
        raise MintwardenError(
            ErrorKind.INVALID_GRANT, "the refresh token is bound to a key that was not proven", hint="send a proof"
        )
    if renewal.instance and caller.instance != renewal.instance:
        raise MintwardenError(
            ErrorKind.INVALID_GRANT, "the refresh token is another instance's", hint="send the attestation of that one"
        )
    granted = as_of_now(held.value, client)
    await memory.require_live(granted, now, looked)
    lasting = renewal.lasting and not client.refresh.rotate
    await memory.use(held, now, idle=client.refresh.idle if lasting else None)
    if lasting:
        known = signed_in(caller, granted.sign_in, granted.granted_at)
        return known, Recalled(granted=granted, earlier=renewal.binding)
    following = Renewal(
        grant_id=renewal.grant_id,
        number=renewal.number + 1,
        ends=client.refresh.ends(granted.ends, now),
        binding=renewal.binding if renewal.binding is not None else caller.binding,
        held=renewal.held or (caller.method == "none" and caller.binding is not None),
        instance=renewal.instance,
        lasting=not client.refresh.rotate,
        subject=renewal.subject,
        session=renewal.session,
    )
    claim = once("refresh", f"{renewal.grant_id}:{renewal.number}", renewal.ends)
    recalled = Recalled(granted=granted, earlier=renewal.binding, once=(claim,), renewal=following)
    return signed_in(caller, granted.sign_in, granted.granted_at), recalled


def resolve(request: TokenRequest, caller: Caller, client: Client, catalogue: Catalogue, recalled: Recalled) -> Asked:
    """The question of one more token of the grant, narrowed by `scope` and `resource`."""
    return asked_of(NAME, recalled, request, caller, client, catalogue, narrows=True)

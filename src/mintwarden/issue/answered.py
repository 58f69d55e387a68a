"""What the grants have in common whose clients wait for a person elsewhere."""

from __future__ import annotations

from mintwarden.authn.authenticate import signed_in
from mintwarden.issue.granted import Recalled, first_renewal
from mintwarden.issue.memory import Memory, once
from mintwarden.issue.pending import Asker, Kind
from mintwarden.model.caller import Caller
from mintwarden.model.catalogue import Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest


async def answered(
    kind: Kind,
    request: TokenRequest,
    caller: Caller,
    client: Client,
    memory: Memory,
    now: int,
    *,
    delivery: int = 0,
) -> tuple[Caller, Recalled]:
    """What came of the request that the client asks about; it is used up by the token that comes of it.

    `delivery`: nobody asks, the tokens are sent, for the so-many-eth time; each time is used up by itself.
    """
    shown = request.one(kind)
    if shown is None:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, f"`{kind}` is missing")
    asker = Asker(caller.client_id, caller.instance)
    known = await memory.waiting.asked(kind, shown, asker, now, pushed=delivery > 0)
    granted = known.granted
    if granted is None:
        raise MintwardenError(ErrorKind.INTERNAL, "allowed, and nothing granted")
    await memory.require_live(granted, now)
    renewal = first_renewal(granted, caller, client, now) if "refresh_token" in client.grants else None
    claim = once(kind, known.name if delivery == 0 else f"{known.name} {delivery}", known.ends)
    recalled = Recalled(granted=granted, once=(claim,), renewal=renewal, auth_req_id=shown if delivery else "")
    return signed_in(caller, granted.sign_in, granted.granted_at), recalled

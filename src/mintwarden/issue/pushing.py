"""Tokens that are sent to their client instead of asked for, by the same line (OpenID CIBA Core 1.0 section 10.3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mintwarden.authn.authenticate import visited
from mintwarden.issue.authorization.authorizing import InForce
from mintwarden.issue.epoch import EpochMoved
from mintwarden.issue.grants import pushed
from mintwarden.issue.line import Line, Regime
from mintwarden.issue.pending import Pending
from mintwarden.issue.pipeline import Outcome, issue_unasked
from mintwarden.model.caller import Caller
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest

Walk = Callable[[Pending, int], Awaitable[Outcome | None]]
"""What came of an allowed request, for its delivery of that number; see `walked`."""


async def walked(
    pending: Pending, delivery: int, line: Line, now_in_force: Callable[[], Awaitable[InForce]]
) -> Outcome | None:
    """Walks the line for a request that its person allowed: both tokens, a refusal, or None where nothing can be sent.

    The client proved who it is when it had the person asked. Whatever is wrong now is the client's to hear as
    `transaction_failed`, and ours to see in the ledger or in the log. Each `delivery` mints once, and all lean on the
    same approvals (`context.approvals.sent_of`): whoever calls has ended what came of the one before.
    """
    granted = pending.granted
    if granted is None:
        return None

    async def entrance(_request: TokenRequest, regime: Regime, now: int) -> Caller:
        force = await now_in_force()
        if force.regime is not regime:
            raise EpochMoved(force.clients.epoch)
        known = await force.clients.known(pending.client_id, now)
        if known is None:
            raise MintwardenError(ErrorKind.UNAUTHORIZED_CLIENT, "the client is gone")
        return visited(
            known.client,
            granted.sign_in,
            registered=known.registered,
            epoch=force.clients.epoch,
            at=now,
            method=pending.method,
            instance=pending.instance,
        )

    grant = pushed(delivery)
    request = TokenRequest(
        unverified_form={"grant_type": (grant.grant_type,), "auth_req_id": (pending.handle,)},
        address=pending.address,
        received_at=line.clock.now(),
    )
    outcome = await issue_unasked(request, line, grant, entrance)
    return outcome if outcome.token is None or outcome.id_token is not None else None

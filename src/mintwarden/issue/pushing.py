"""Tokens that are sent to their client instead of asked for, by the same line (OpenID CIBA Core 1.0 section 10.3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from mintwarden.authn.authenticate import visited
from mintwarden.issue.authorization.authorizing import InForce
from mintwarden.issue.epoch import EpochMoved
from mintwarden.issue.grants import PUSHED
from mintwarden.issue.line import Line, Regime
from mintwarden.issue.pending import Pending
from mintwarden.issue.pipeline import Outcome, issue_unasked
from mintwarden.model.caller import Caller
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest


class Sent(Struct, frozen=True, kw_only=True):
    """What a client is sent: the tokens, or why there are none (section 12).

    Attributes:
        outcome: with both tokens; None where there is nothing to send.
        error: `access_denied`, the person did not allow it; `transaction_failed`, they did, and nothing came of it.
        grant_id, ends: the grant to end where nobody took its tokens, or there are none; empty and 0 without one.
    """

    outcome: Outcome | None = None
    error: str = ""
    grant_id: str = ""
    ends: int = 0


DENIED = Sent(error="access_denied")


async def walked(pending: Pending, line: Line, now_in_force: Callable[[], Awaitable[InForce]]) -> Sent:
    """Walks the line for a request that its person allowed just now.

    The client proved who it is when it had the person asked. Whatever is wrong now is the client's to hear as
    `transaction_failed`, and ours to see in the ledger or in the log.
    """
    granted = pending.granted
    if granted is None:
        return DENIED

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
        )

    request = TokenRequest(
        unverified_form={"grant_type": (PUSHED.grant_type,), "auth_req_id": (pending.handle,)},
        address=pending.address,
        received_at=line.clock.now(),
    )
    outcome = await issue_unasked(request, line, PUSHED, entrance)
    complete = outcome.token is not None and outcome.id_token is not None
    return Sent(
        outcome=outcome if complete else None,
        error="" if complete else "transaction_failed",
        grant_id=granted.grant_id,
        ends=granted.ends,
    )

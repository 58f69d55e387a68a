"""`POST /approval-requests`: a client asks for the approvals that its token would need. What its answer looks like."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from mintwarden.issue.approval_requests import ApprovalRequest
from mintwarden.model.request import TokenRequest
from mintwarden.web.form_endpoint import Answer, Work
from mintwarden.web.reply import Reply, json_reply

INTERVAL: Final = 5
"""Seconds after which it makes sense to ask for the token again."""


def approval_requests(ask: Callable[[TokenRequest], Awaitable[Sequence[ApprovalRequest]]]) -> Answer:
    """Begins requests, or tells of those that wait."""

    async def answer(request: TokenRequest, work: Work) -> Reply:
        made = await ask(request)
        work.client_id, work.outcome = made[0].wanted.circumstances.client_id, "waiting"
        listed = [
            {
                "id": one.wanted.id,
                "approval": one.wanted.approval,
                "for": one.wanted.name,
                "state": one.state,
                "expires_in": max(0, (one.ends - request.received_at) // 1000),
            }
            for one in made
        ]
        return json_reply(200, {"approval_requests": listed, "interval": INTERVAL})

    return answer

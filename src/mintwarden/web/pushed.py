"""`POST /par` (RFC 9126): what its answers look like."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mintwarden.issue.authorization.pushed import LIFE
from mintwarden.model.request import TokenRequest
from mintwarden.web.form_endpoint import Answer, Work
from mintwarden.web.reply import Reply, json_reply


def pushing(push: Callable[[TokenRequest], Awaitable[tuple[str, str]]]) -> Answer:
    """Keeps a request; `push` gives the client and the name by which the request goes on."""

    async def answer(request: TokenRequest, work: Work) -> Reply:
        work.client_id, name = await push(request)
        work.outcome = "pushed"
        return json_reply(201, {"request_uri": name, "expires_in": LIFE})

    return answer

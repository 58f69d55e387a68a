"""`POST /device_authorization` (RFC 8628 section 3.2) and `POST /bc-authorize` (CIBA): what their answers look like."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlencode

from mintwarden.issue.pending import Pending
from mintwarden.model.request import TokenRequest
from mintwarden.web.form_endpoint import Answer, Work
from mintwarden.web.reply import Reply, json_reply

LIFE: Final = 600
"""Seconds that a device waits for somebody."""


def device_authorization(begin: Callable[[TokenRequest], Awaitable[tuple[str, Pending]]], base: str) -> Answer:
    """Begins for a device; `base` is what our addresses begin with."""

    async def answer(request: TokenRequest, work: Work) -> Reply:
        code, pending = await begin(request)
        work.client_id, work.outcome = pending.client_id, "waiting"
        where = f"{base}/device"
        content = {
            "device_code": code,
            "user_code": pending.user_code,
            "verification_uri": where,
            "verification_uri_complete": f"{where}?{urlencode({'user_code': pending.user_code})}",
            "expires_in": LIFE,
            "interval": pending.interval,
        }
        return json_reply(200, content)

    return answer


def backchannel_authentication(begin: Callable[[TokenRequest], Awaitable[tuple[str, Pending]]]) -> Answer:
    """Begins for a person who is asked elsewhere (OpenID CIBA Core 1.0 section 7.3)."""

    async def answer(request: TokenRequest, work: Work) -> Reply:
        name, pending = await begin(request)
        work.client_id, work.outcome = pending.client_id, "waiting"
        life = (pending.ends - pending.began_at) // 1000
        return json_reply(200, {"auth_req_id": name, "expires_in": life, "interval": pending.interval})

    return answer

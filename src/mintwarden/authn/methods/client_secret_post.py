"""`client_secret_post`: id and secret as form parameters (RFC 6749 section 2.3.1)."""

from __future__ import annotations

from mintwarden.authn.methods.method import Proven, Tools
from mintwarden.authn.methods.secret import by_secret
from mintwarden.model.request import TokenRequest


class ClientSecretPost:
    """The secret as it stands in the form."""

    name = "client_secret_post"
    shown = True

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def offered(self, request: TokenRequest) -> bool:
        return request.one("client_secret") is not None

    async def prove(self, request: TokenRequest, now: int) -> Proven:
        client_id, secret = request.one("client_id") or "", request.one("client_secret") or ""
        return await by_secret(self._tools, client_id, secret, now)

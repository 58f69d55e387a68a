"""`client_secret_post`: id and secret as form parameters (RFC 6749 section 2.3.1)."""

from __future__ import annotations

from mintwarden.authn.methods.method import NotProvenError, Proven, Tools
from mintwarden.model.request import TokenRequest


class ClientSecretPost:
    """The secret as it stands in the form."""

    name = "client_secret_post"

    def __init__(self, tools: Tools) -> None:
        self._registry = tools.registry
        self._secrets = tools.secrets

    def offered(self, request: TokenRequest) -> bool:
        return request.one("client_secret") is not None

    async def prove(self, request: TokenRequest, now: int) -> Proven:
        client_id, secret = request.one("client_id") or "", request.one("client_secret") or ""
        registry = self._registry
        known = registry.client(client_id)
        stored = registry.secrets(client_id) if known is not None else ()
        right = await self._secrets.verify(secret, stored, now, imported=registry.imported)
        if known is None or not right:
            raise NotProvenError("unknown client or wrong secret")
        return Proven(known)

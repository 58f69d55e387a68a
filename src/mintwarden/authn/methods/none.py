"""`none`: a public client names itself and proves nothing (RFC 6749 section 2.1)."""

from __future__ import annotations

from mintwarden.authn.methods.method import BY_CERTIFICATE, NotProvenError, Proven, Tools, is_bare
from mintwarden.model.request import TokenRequest


class Unauthenticated:
    """For clients that list `none`; any other client that shows no proof is refused."""

    name = "none"
    shown = False

    def __init__(self, tools: Tools) -> None:
        self._registry = tools.registry

    def offered(self, request: TokenRequest) -> bool:
        return is_bare(request) and not self._registry.lists(request.one("client_id"), *BY_CERTIFICATE)

    async def prove(self, request: TokenRequest, now: int) -> Proven:
        client_id = request.one("client_id") or ""
        known = self._registry.client(client_id)
        if known is None:
            known = await self._registry.find(client_id, now, None, request.address)
        if known is None:
            raise NotProvenError("unknown client")
        return Proven(known)

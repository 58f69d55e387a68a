"""`spiffe_jwt`: a JWT-SVID as the client's assertion (draft-ietf-oauth-spiffe-client-auth, section 3.1)."""

from __future__ import annotations

from mintwarden.authn.jose import JoseError
from mintwarden.authn.methods.method import NotProvenError, Proven, Tools
from mintwarden.authn.spiffe import ASSERTION_TYPE, is_meant
from mintwarden.model.request import TokenRequest


class SpiffeJwt:
    """The request names its client with `client_id`; the workload that the token speaks of must be that client."""

    name = "spiffe_jwt"
    shown = True

    def __init__(self, tools: Tools) -> None:
        self._registry = tools.registry
        self._domains = tools.domains

    def offered(self, request: TokenRequest) -> bool:
        return request.one("client_assertion_type") == ASSERTION_TYPE

    async def prove(self, request: TokenRequest, now: int) -> Proven:
        if self._domains is None:
            raise NotProvenError("no trust domain is known here")
        try:
            spiffe_id = await self._domains.of_jwt(request.one("client_assertion") or "", now)
        except JoseError as error:
            raise NotProvenError(str(error)) from None
        known = self._registry.client(request.one("client_id") or "")
        if known is None:
            raise NotProvenError("`client_id` is missing, or names no client")
        if not is_meant(known.client.spiffe_id, spiffe_id):
            raise NotProvenError("the JWT-SVID is another workload's")
        return Proven(known)

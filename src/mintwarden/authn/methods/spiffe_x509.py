"""`spiffe_x509`: an X.509-SVID as the client's certificate (draft-ietf-oauth-spiffe-client-auth, section 3.2)."""

from __future__ import annotations

from mintwarden.authn.certificates import CertificateError
from mintwarden.authn.methods.method import NotProvenError, Proven, Tools, is_bare
from mintwarden.authn.spiffe import is_meant
from mintwarden.authn.svid import read_svid
from mintwarden.model.request import TokenRequest


class SpiffeX509:
    """The request names its client with `client_id`; the workload that the certificate names must be that client."""

    name = "spiffe_x509"
    shown = False

    def __init__(self, tools: Tools) -> None:
        self._registry = tools.registry
        self._domains = tools.domains

    def offered(self, request: TokenRequest) -> bool:
        return is_bare(request) and self._registry.lists(request.one("client_id"), self.name)

    async def prove(self, request: TokenRequest, now: int) -> Proven:
        known = self._registry.client(request.one("client_id") or "")
        if known is None or self._domains is None:
            raise NotProvenError("unknown client")
        try:
            svid = read_svid(request.unverified_certificate, request.unverified_chain)
            spiffe_id = await self._domains.of_certificate(svid, now)
        except CertificateError as error:
            raise NotProvenError(str(error)) from None
        if not is_meant(known.client.spiffe_id, spiffe_id):
            raise NotProvenError("the X.509-SVID is another workload's")
        return Proven(known)

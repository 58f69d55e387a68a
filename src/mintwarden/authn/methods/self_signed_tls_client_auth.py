"""`self_signed_tls_client_auth`: a certificate that is the client's own, by its keys (RFC 8705 section 2.2)."""

from __future__ import annotations

from mintwarden.authn.certificates import CertificateError, check_dates, read_certificate
from mintwarden.authn.methods.method import NotProvenError, Proven, Tools, is_bare
from mintwarden.model.request import TokenRequest


class SelfSignedTlsClientAuth:
    """Who signed the certificate does not matter, and no chain is looked at; its dates do, and are."""

    name = "self_signed_tls_client_auth"
    shown = False

    def __init__(self, tools: Tools) -> None:
        self._registry = tools.registry

    def offered(self, request: TokenRequest) -> bool:
        return is_bare(request) and self._registry.lists(request.one("client_id"), self.name)

    async def prove(self, request: TokenRequest, now: int) -> Proven:
        known = self._registry.client(request.one("client_id") or "")
        if known is None:
            raise NotProvenError("unknown client")
        try:
            certificate = read_certificate(request.unverified_certificate)
            check_dates(certificate, now)
        except CertificateError as error:
            raise NotProvenError(str(error)) from None
        if not known.certificates.holds(request.unverified_certificate, certificate):
            raise NotProvenError("the certificate is none of the client's")
        return Proven(known)

"""`tls_client_auth`: a certificate of a trusted CA, by its one name (RFC 8705 section 2.1)."""

from __future__ import annotations

from mintwarden.authn.certificates import CertificateError, is_named, read_certificate
from mintwarden.authn.methods.method import NotProvenError, Proven, Tools, is_bare
from mintwarden.model.request import TokenRequest


class TlsClientAuth:
    """The request names its client with `client_id`: that says which name the certificate must have."""

    name = "tls_client_auth"
    shown = False

    def __init__(self, tools: Tools) -> None:
        self._registry = tools.registry
        self._authorities = tools.authorities

    def offered(self, request: TokenRequest) -> bool:
        return is_bare(request) and self._registry.lists(request.one("client_id"), self.name)

    async def prove(self, request: TokenRequest, now: int) -> Proven:
        known = self._registry.client(request.one("client_id") or "")
        name = known.client.certificate if known is not None else None
        if known is None or name is None:
            raise NotProvenError("the client has no name for its certificate")
        try:
            certificate = read_certificate(request.unverified_certificate)
            self._authorities.check_issued(certificate, now)
        except CertificateError as error:
            raise NotProvenError(str(error)) from None
        if not is_named(certificate, name):
            raise NotProvenError(f"the certificate's `{name.kind}` is another")
        return Proven(known)

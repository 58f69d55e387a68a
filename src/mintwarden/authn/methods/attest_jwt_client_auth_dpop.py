"""`attest_jwt_client_auth_dpop`: an attested instance of a client, by its DPoP proof (follows a draft)."""

from __future__ import annotations

from mintwarden.authn.attestation import read_attestation
from mintwarden.authn.jose import JoseError
from mintwarden.authn.methods.method import NotProvenError, Proven, Tools, is_attested
from mintwarden.model.request import TokenRequest


class AttestJwtClientAuthDpop:
    """The attestation alone; that the DPoP proof is made with the attested key, the authenticator sees to."""

    name = "attest_jwt_client_auth_dpop"

    def __init__(self, tools: Tools) -> None:
        self._registry = tools.registry

    def offered(self, request: TokenRequest) -> bool:
        return is_attested(request) and not request.unverified_attestation_proof

    async def prove(self, request: TokenRequest, now: int) -> Proven:
        if not request.unverified_dpop:
            raise NotProvenError("the attestation comes without a proof of its key")
        client_id = request.one("client_id") or ""
        try:
            attested = read_attestation(request.unverified_attestation, client_id, self._registry, now)
        except JoseError as error:
            raise NotProvenError(str(error)) from None
        return Proven(attested.known, instance=attested.instance, by_dpop=True)

"""`attest_jwt_client_auth_dpop`: an attested instance of a client, by its DPoP proof (follows a draft)."""

from __future__ import annotations

from mintwarden.authn.attestation import read_attestation
from mintwarden.authn.jose import JoseError
from mintwarden.authn.methods.method import NotAttestedError, NotProvenError, Proven, Tools, is_attested
from mintwarden.model.request import TokenRequest


class AttestJwtClientAuthDpop:
    """The attestation alone; that the DPoP proof is made with the attested key, the authenticator sees to.

    A DPoP proof carries a nonce instead of a challenge (section 5.2): where nonces are not wanted, a client that must
    answer a challenge cannot come this way.
    """

    name = "attest_jwt_client_auth_dpop"
    shown = False

    def __init__(self, tools: Tools) -> None:
        self._registry = tools.registry
        self._nonces = tools.nonces

    def offered(self, request: TokenRequest) -> bool:
        return is_attested(request) and not request.unverified_attestation_proof

    async def prove(self, request: TokenRequest, now: int) -> Proven:
        if not request.unverified_dpop:
            raise NotAttestedError("the attestation comes without a proof of its key")
        client_id = request.one("client_id") or ""
        try:
            attested = read_attestation(request.unverified_attestation, client_id, self._registry, now)
        except JoseError as error:
            raise NotAttestedError(str(error)) from None
        if attested.known.client.attestation_challenge and not self._nonces:
            raise NotProvenError("the client must answer challenges, and DPoP proofs carry no nonce: `dpop_nonces`")
        return Proven(attested.known, instance=attested.instance, by_dpop=True)

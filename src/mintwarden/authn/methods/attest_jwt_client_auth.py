"""`attest_jwt_client_auth`: an attested instance of a client, by a proof of its own (follows a draft)."""

from __future__ import annotations

from mintwarden.authn.attestation import check_proof, read_attestation
from mintwarden.authn.jose import JoseError
from mintwarden.authn.methods.method import NotAttestedError, Proven, Tools, is_attested
from mintwarden.model.request import TokenRequest


class AttestJwtClientAuth:
    """Both headers; the proof counts once, on every node."""

    name = "attest_jwt_client_auth"
    shown = False

    def __init__(self, tools: Tools) -> None:
        self._issuer = tools.issuer
        self._registry = tools.registry
        self._replay = tools.replay
        self._challenges = tools.challenges

    def offered(self, request: TokenRequest) -> bool:
        return is_attested(request) and request.unverified_attestation_proof != ""

    async def prove(self, request: TokenRequest, now: int) -> Proven:
        client_id = request.one("client_id") or ""
        try:
            attested = read_attestation(request.unverified_attestation, client_id, self._registry, now)
            proof = request.unverified_attestation_proof
            once = check_proof(proof, attested, self._issuer, now, self._challenges)
        except JoseError as error:
            raise NotAttestedError(str(error)) from None
        if self._replay.seen(once, now):
            raise NotAttestedError("the proof of the attested key was used before")
        return Proven(attested.known, (once,), instance=attested.instance)

"""`POST /challenge`: a challenge before the first proof.

Follows draft-ietf-oauth-attestation-based-client-auth, section 6.3.
"""

from __future__ import annotations

from collections.abc import Callable

from mintwarden.model.request import TokenRequest
from mintwarden.web.form_endpoint import Answer, Work
from mintwarden.web.reply import Header, Reply, json_reply


def challenging(challenge: Callable[[], str], nonce: Callable[[], str] | None) -> Answer:
    """Tells anybody the challenge of now, and the nonce for DPoP proofs where they need one. It keeps nothing."""

    async def answer(_request: TokenRequest, work: Work) -> Reply:
        work.outcome = "challenged"
        headers: tuple[Header, ...] = () if nonce is None else ((b"dpop-nonce", nonce().encode()),)
        return json_reply(200, {"attestation_challenge": challenge()}, *headers)

    return answer

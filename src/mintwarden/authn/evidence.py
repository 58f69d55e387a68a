"""Subject and actor tokens (RFC 8693 section 3): which kind a token is, and who verifies it."""

from __future__ import annotations

from typing import Final, Literal

from mintwarden.authn.issuers.verify import TrustedIssuers
from mintwarden.authn.jose import Ended, JoseError, decode_json, numeric_date, parse
from mintwarden.authn.own import OwnTokens
from mintwarden.authn.revoked import RevocationCheck
from mintwarden.model.caller import Evidence
from mintwarden.model.values import EntityUid

ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a URN
JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
ID_TOKEN: Final = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - a URN
TXN_TOKEN: Final = "urn:ietf:params:oauth:token-type:txn_token"  # noqa: S105 - a URN
SPIFFE: Final = "spiffe://"
"""How trust domains are called among the issuers; the token of a workload is no ID token of anybody."""
TOKEN_TYPES: Final = (ACCESS_TOKEN, JWT, ID_TOKEN, TXN_TOKEN)


class Evidences:
    """Tells our own access tokens from the JWTs of trusted issuers, by `iss`, and has the right one checked.

    `access_token` and `txn_token` mean one of ours, `id_token` one of ours or of a trusted issuer's, `jwt` an
    access token of ours or a trusted issuer's.
    """

    def __init__(self, *, own: OwnTokens, trusted: TrustedIssuers, revoked: RevocationCheck) -> None:
        self._own = own
        self._revoked = revoked
        self._trusted = trusted

    async def verify(self, unverified: str, token_type: str, role: Literal["subject", "actor"], now: int) -> Evidence:
        """What the token proves; raises `JoseError` for every token that is not accepted in that role."""
        if token_type not in TOKEN_TYPES:
            raise JoseError("the token type is not supported")
        token = parse(unverified)
        claims = decode_json(token.payload)
        ours = claims.get("iss") == self._own.issuer
        if ours:
            own = self._own
            verify = {ID_TOKEN: own.verify_id_token, TXN_TOKEN: own.verify_txn_token}.get(token_type, own.verify)
            evidence = verify(token, claims, now)
            if evidence.kind and role == "actor":
                raise JoseError("only an access token or a JWT of a trusted issuer says who acts")
            await self._revoked.require(evidence)
            return evidence
        if token_type in (JWT, ID_TOKEN):
            evidence = await self._trusted.verify(token, claims, role, now)
            if token_type == ID_TOKEN and evidence.issuer.startswith(SPIFFE):
                raise JoseError("a JWT-SVID is no ID token")
            return evidence
        raise JoseError("the token is not of the type that is stated")

    async def hinted(self, unverified: str, now: int) -> EntityUid:
        """Whom a trusted issuer's hint names (`login_hint_token`); raises `JoseError` for every other token."""
        token = parse(unverified)
        claims = decode_json(token.payload)
        try:
            return (await self._trusted.verify(token, claims, "subject", now, use="login_hint")).principal
        except JoseError as error:
            ends = numeric_date(claims, "exp")
            raise (Ended(str(error)) if ends is not None and ends <= now else error) from None

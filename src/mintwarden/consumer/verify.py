"""Access tokens of ours, verified by who takes them (RFC 9068 section 4, RFC 9449 section 7, RFC 8705 section 3)."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from mintwarden.consumer.jws import ALGORITHMS, Malformed, check_signature, take_apart
from mintwarden.consumer.keys import KeyCache
from mintwarden.consumer.proof import Proofs, b64
from mintwarden.consumer.status import StatusLists

EARLY: Final = 60
"""Seconds by which the issuer's clock may be ahead."""
_TEXTS = ("iss", "sub", "client_id", "jti")

Code = Literal["invalid_request", "invalid_token", "invalid_dpop_proof"]


class Refused(Exception):
    """The token is not taken. `code` goes into the challenge; the text tells nothing secret."""

    def __init__(self, code: Code, why: str) -> None:
        super().__init__(why)
        self.code = code


class AccessToken(Struct, frozen=True, kw_only=True):
    """A verified access token.

    Attributes:
        subject, client_id: whom it speaks of, and who uses it.
        scopes: what it grants here.
        claims: all of it.
    """

    subject: str
    client_id: str
    scopes: frozenset[str]
    claims: Mapping[str, Any]


class Presented(Struct, frozen=True, kw_only=True):
    """A token as it came: its scheme in small letters, the request that it came with, and what proves the holder.

    `url` is the request's own address as clients know it; `certificate` is the client's, in DER, from the TLS layer.
    """

    token: str
    scheme: str
    method: str
    url: str
    proofs: tuple[str, ...] = ()
    certificate: bytes | None = None


class TokenVerifier:
    """Takes tokens of one issuer for one resource. There is no leeway at the end of a token.

    Without `status` nothing is learned of revocations: a token is good until it ends.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        keys: KeyCache,
        proofs: Proofs | None = None,
        status: StatusLists | None = None,
        algorithms: frozenset[str] = ALGORITHMS,
        dpop_required: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._proofs = proofs
        self._status = status
        self._algorithms = algorithms
        self._dpop_required = dpop_required
        self._clock = clock

    async def verify(self, presented: Presented) -> AccessToken:
        """The token, if it is good and whoever shows it may use it. Raises `Refused`, `NoKeys` and `NoStatus`."""
        try:
            claims = await self._claims(presented.token)
            self._check_holder(claims, presented)
            if self._status is not None:  # last: nothing is asked about what is no good anyway
                await self._status.check(claims)
        except Malformed as error:
            raise Refused("invalid_token", str(error)) from None
        scope = claims.get("scope", "")
        return AccessToken(
            subject=claims["sub"],
            client_id=claims["client_id"],
            scopes=frozenset(scope.split(" ")) - {""} if isinstance(scope, str) else frozenset(),
            claims=claims,
        )

    async def _claims(self, text: str) -> Mapping[str, Any]:
        token = take_apart(text)
        # Every other kind of token (ID token, transaction token, assertion) has another `typ`.
        if token.typ != "at+jwt":
            raise Malformed("not an access token")
        kid = token.header.get("kid")
        if not isinstance(kid, str) or token.claims.get("iss") != self._issuer:
            raise Malformed("not a token of this issuer")
        keys = await self._keys.find(kid)
        if len(keys) != 1:
            raise Malformed("its key is not among the issuer's")
        check_signature(token, keys[0], self._algorithms)
        self._check_claims(token.claims)
        return token.claims

    def _check_claims(self, claims: Mapping[str, Any]) -> None:
        if not all(isinstance(claims.get(name), str) and claims[name] for name in _TEXTS):
            raise Malformed("a claim that access tokens have is missing (RFC 9068 section 2.2)")
        audience = claims.get("aud")
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            raise Malformed("the token is for another audience")
        times = [claims.get(name) for name in ("exp", "iat")]
        starts = claims.get("nbf", 0)
        if any(isinstance(value, bool) or not isinstance(value, int | float) for value in (*times, starts)):
            raise Malformed("`exp`, `iat` or `nbf` is not a time")
        now = self._clock()
        if now >= claims["exp"]:
            raise Malformed("the token has ended")
        if max(claims["iat"], starts) > now + EARLY:
            raise Malformed("the token is of the future")

    def _check_holder(self, claims: Mapping[str, Any], presented: Presented) -> None:
        """INVARIANT: a bound token is good with the proof of its binding alone; a binding that is unknown refuses."""
        cnf = claims.get("cnf", {})
        jkt, thumbprint = (cnf.get("jkt"), cnf.get("x5t#S256")) if isinstance(cnf, dict) else (None, None)
        if cnf and not (isinstance(jkt, str) or isinstance(thumbprint, str)):
            raise Refused("invalid_token", "the token is bound in a way that is not known here")
        if thumbprint is not None:
            shown = b64(hashlib.sha256(presented.certificate).digest()) if presented.certificate is not None else ""
            if not isinstance(thumbprint, str) or not hmac.compare_digest(shown, thumbprint):
                raise Refused("invalid_token", "the token is bound to another certificate")
        if jkt is not None:
            self._check_proof(str(jkt), presented)
        elif presented.scheme == "dpop" or self._dpop_required:
            raise Refused("invalid_token", "the token is not bound to a key")

    def _check_proof(self, jkt: str, presented: Presented) -> None:
        if self._proofs is None or presented.scheme != "dpop":
            raise Refused("invalid_token", "the token is bound to a key: it comes with the scheme `DPoP` and a proof")
        if len(presented.proofs) != 1:
            raise Refused("invalid_dpop_proof", "one DPoP proof is needed")
        try:
            self._proofs.verify(
                presented.proofs[0], method=presented.method, url=presented.url, token=presented.token, jkt=jkt
            )
        except Malformed as error:
            raise Refused("invalid_dpop_proof", str(error)) from None

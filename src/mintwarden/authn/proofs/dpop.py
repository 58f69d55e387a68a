"""DPoP: a JWT made for one request with the key that a token is, or is to be, bound to (RFC 9449).

Life of a proof: taken apart strictly, its own key is taken from its header and must have made its signature; method,
address and time must be those of this request; its `jti` counts once, on every node, by the commit of the decision.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from joserfc.jwk import thumbprint

from mintwarden.authn.jose import (
    JoseError,
    Unverified,
    VerificationKey,
    check_signature,
    decode_json,
    decode_segment,
    load_key,
    numeric_date,
    string,
)
from mintwarden.authn.proofs.nonce import Nonces
from mintwarden.authn.replay import ReplayGuard, once_key
from mintwarden.model.caller import Binding, OnceKey
from mintwarden.model.errors import ErrorKind, MintwardenError

ALGORITHMS: Final = ("ES256", "ES384", "EdDSA", "PS256")
"""What a proof may be signed with (section 4.3, number 6)."""
OLDEST: Final = 120_000
"""Longest time, in milliseconds, since a proof was made."""
LEEWAY: Final = 30_000
"""Clock difference that is forgiven, in milliseconds."""

_LIMIT = 4 * 1024
_LONGEST_ID = 256
_PORTS = {"https": 443, "http": 80}
# The members that a thumbprint is made of (RFC 7638 section 3.2).
_THUMBPRINT = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}


class DpopProofs:
    """Verifies proofs for one endpoint.

    Args:
        endpoints: its URLs, as clients know them: one, and the alias for mutual TLS where there is one.
        nonces: makes and knows nonces; None where proofs need none (section 8).
    """

    def __init__(self, *, endpoints: Sequence[str], replay: ReplayGuard, nonces: Nonces | None = None) -> None:
        self._endpoints = tuple(_normal(endpoint) for endpoint in endpoints)
        self._replay = replay
        self._nonces = nonces

    @property
    def fresh(self) -> bool:
        """Whether proofs must carry a nonce of ours."""
        return self._nonces is not None

    def verify(
        self,
        unverified: str,
        method: str,
        now: int,
        *,
        url: str = "",
        token: str = "",
        algorithms: Sequence[str] = (),
    ) -> tuple[Binding, OnceKey]:
        """The key that the proof shows, and its claim to be the only one of its `jti`.

        At a protected resource, `url` is the request's, and `token` the access token that came with it (section 7).
        `algorithms`: what the client's profile takes of those that are taken here; empty for all.

        Raises `INVALID_DPOP_PROOF` for every defect and `USE_DPOP_NONCE` for a nonce that is missing or has run out
        (sections 5 and 8).
        """
        try:
            proof, jwk = _taken_apart(unverified)
            claims = self._verified(proof, jwk, algorithms)
            self._check_request(claims, method, (_normal(url),) if url else self._endpoints)
            if token and string(claims, "ath") != _hash(token):
                raise JoseError("`ath` is not the access token's")
            key = key_thumbprint(jwk)
            once = self._checked(claims, key, now)
        except JoseError as error:
            raise MintwardenError(
                ErrorKind.INVALID_DPOP_PROOF, "the DPoP proof is not accepted", hint=str(error)
            ) from None
        self._check_nonce(claims, now)
        if self._replay.seen(once, now):
            raise MintwardenError(
                ErrorKind.INVALID_DPOP_PROOF, "the DPoP proof is not accepted", hint="it was used before"
            )
        return Binding(kind="dpop", thumbprint=key), once

    def _verified(self, token: Unverified, jwk: Mapping[str, Any], algorithms: Sequence[str]) -> dict[str, Any]:
        if token.typ != "dpop+jwt":
            raise JoseError("`typ` is not `dpop+jwt`")
        if token.algorithm not in ALGORITHMS or (algorithms and token.algorithm not in algorithms):
            raise JoseError("the algorithm is not accepted here")
        key = load_key(jwk)
        if not check_signature(token, VerificationKey("", key.algorithms & set(ALGORITHMS), key.key)):
            raise JoseError("the signature does not verify")
        return decode_json(token.payload)

    def _check_request(
        self, claims: Mapping[str, Any], method: str, endpoints: tuple[tuple[str, str, int, str], ...]
    ) -> None:
        if claims.get("htm") != method:
            raise JoseError("`htm` is not the request's method")
        if _normal(string(claims, "htu")) not in endpoints:
            raise JoseError("`htu` is not the endpoint's address")

    def _checked(self, claims: Mapping[str, Any], key: str, now: int) -> OnceKey:
        issued, starts, expires = (numeric_date(claims, name) for name in ("iat", "nbf", "exp"))
        if issued is None or not now - OLDEST <= issued <= now + LEEWAY:
            raise JoseError("`iat` is missing, or not a time of now")
        if (starts is not None and starts > now + LEEWAY) or (expires is not None and now >= expires + LEEWAY):
            raise JoseError("`nbf` or `exp` keeps it from counting now")
        token_id = string(claims, "jti")
        if not 0 < len(token_id) <= _LONGEST_ID:
            raise JoseError("`jti` is missing or too long")
        once = once_key(f"dpop:{key}", token_id, issued + OLDEST + 2 * LEEWAY)
        return OnceKey(once.digest, once.expires_at, "dpop")

    def _check_nonce(self, claims: Mapping[str, Any], now: int) -> None:
        if self._nonces is None:
            return
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not self._nonces.knows(nonce, now):
            raise MintwardenError(ErrorKind.USE_DPOP_NONCE, "the DPoP proof needs a nonce of ours")


def _taken_apart(compact: str) -> tuple[Unverified, dict[str, Any]]:
    """The proof's parts and the key in its header. Members that nobody knows are passed over, but for `crit`."""
    if len(compact) > _LIMIT or not compact.isascii():
        raise JoseError("the proof is too long or not ASCII")
    parts = compact.encode("ascii").split(b".")
    if len(parts) != 3 or not all(parts):
        raise JoseError("the proof is not a compact JWS")
    head, body, tail = parts
    header = decode_json(decode_segment(head))
    if "crit" in header or "b64" in header:
        raise JoseError("a critical header is not accepted")
    algorithm, typ, jwk = header.get("alg"), header.get("typ"), header.get("jwk")
    if not (isinstance(algorithm, str) and isinstance(typ, str) and isinstance(jwk, dict)):
        raise JoseError("`alg`, `typ` or `jwk` is missing or of the wrong type")
    kind = typ.lower().removeprefix("application/")
    return Unverified(algorithm, "", kind, head + b"." + body, decode_segment(body), decode_segment(tail)), jwk


def key_thumbprint(jwk: Mapping[str, Any]) -> str:
    """The thumbprint (RFC 7638) of a public key that `load_key` takes."""
    return thumbprint({member: jwk[member] for member in _THUMBPRINT[jwk["kty"]]})


def _hash(token: str) -> str:
    """`ath` (section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


def _normal(url: str) -> tuple[str, str, int, str]:
    """An address without query and fragment, scheme and host in lower case, with its port (section 4.3, number 9)."""
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
    except ValueError:
        raise JoseError("`htu` is no address") from None
    if scheme not in _PORTS or not host or parts.username is not None:
        raise JoseError("`htu` is no address of the web")
    return scheme, host, _PORTS[scheme] if port is None else port, parts.path or "/"

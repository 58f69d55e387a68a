"""DPoP proofs at a protected resource (RFC 9449 sections 4.3 and 7): one request, one token, one key, once."""

from __future__ import annotations

import base64
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from joserfc.jwk import thumbprint

from mintwarden.consumer.jws import Compact, Malformed, check_signature, take_apart
from mintwarden.consumer.resource import DPOP_ALGORITHMS

OLDEST: Final = 120
"""Longest time in seconds since a proof was made."""
LEEWAY: Final = 30
"""Clock difference in seconds that is forgiven."""
MOST: Final = 100_000
"""Proofs that are remembered, whoever made them."""
SHARE: Final = 1_000
"""Of a key that has made fewer than that, one more is taken beyond `MOST`, up to twice as many in all.

One busy key keeps no other out.
"""
_PORTS = {"https": 443, "http": 80}
_THUMBPRINT = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}


class Proofs:
    """Verifies proofs, and remembers them in this process: behind several, each has its own memory."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._seen: OrderedDict[bytes, tuple[float, str]] = OrderedDict()
        self._by: dict[str, int] = {}

    def verify(self, proof: str, *, method: str, url: str, token: str, jkt: str) -> None:
        """Return if the proof is for this request and token, by the key `jkt`. Raises `Malformed`."""
        parts = take_apart(proof, limit=4096)
        jwk = parts.header.get("jwk")
        # INVARIANT: what is no text is not looked up among texts: some of it cannot be.
        kind = jwk.get("kty") if isinstance(jwk, dict) else None
        if parts.typ != "dpop+jwt" or not (isinstance(jwk, dict) and isinstance(kind, str) and kind in _THUMBPRINT):
            raise Malformed("not a DPoP proof")
        check_signature(parts, {name: jwk[name] for name in jwk if name not in ("use", "alg")}, DPOP_ALGORITHMS)
        if thumbprint({name: jwk[name] for name in _THUMBPRINT[kind]}) != jkt:
            raise Malformed("the proof is by another key than the token's")
        claims = parts.claims
        if claims.get("htm") != method or _normal(claims.get("htu")) != _normal(url):
            raise Malformed("the proof is for another request")
        if claims.get("ath") != b64(hashlib.sha256(token.encode()).digest()):
            raise Malformed("the proof is for another token")
        self._once(parts, jkt)

    def _once(self, parts: Compact, jkt: str) -> None:
        now, issued, token_id = self._clock(), parts.claims.get("iat"), parts.claims.get("jti")
        if (
            not isinstance(issued, int | float)
            or isinstance(issued, bool)
            or not now - OLDEST <= issued <= now + LEEWAY
        ):
            raise Malformed("the proof is not of now")
        if not isinstance(token_id, str) or not 0 < len(token_id) <= 256:
            raise Malformed("`jti` is missing or too long")
        while self._seen and next(iter(self._seen.values()))[0] < now - OLDEST - LEEWAY:
            self._forget()
        key = hashlib.sha256(f"{jkt} {token_id}".encode()).digest()
        if key in self._seen:
            raise Malformed("the proof was used before")
        mine, all_of_them = self._by.get(jkt, 0), len(self._seen)
        if all_of_them >= 2 * MOST or (all_of_them >= MOST and mine >= SHARE):
            raise Malformed("too many proofs at once")
        self._seen[key] = (now, jkt)
        self._by[jkt] = mine + 1

    def _forget(self) -> None:
        _, (_, jkt) = self._seen.popitem(last=False)
        left = self._by.pop(jkt) - 1
        if left:
            self._by[jkt] = left


def b64(raw: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _normal(url: Any) -> tuple[str, str, int, str]:
    """Without query and fragment, scheme and host in small letters, with its port (section 4.3, number 9)."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        scheme, host, port = parts.scheme.lower(), (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise Malformed("`htu` is no address") from None
    if scheme not in _PORTS or not host or "@" in parts.netloc:
        raise Malformed("`htu` is no address of the web")
    return scheme, host, port or _PORTS[scheme], parts.path or "/"

"""An issuer in a nutshell: keys, tokens and proofs for what the consumer's side verifies."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from mintwarden.consumer import KeyCache, Proofs, ProtectedResource, TokenVerifier
from mintwarden.consumer.verify import Presented

ISSUER = "https://tokens.example"
RESOURCE = "https://mcp.example/mcp"
NOW = 1_795_000_000
KEY, OTHER, HOLDER = (ECKey.generate_key("P-256") for _ in range(3))
CLAIMS: dict[str, Any] = {
    "iss": ISSUER, "sub": "app", "client_id": "app", "aud": RESOURCE, "jti": "t1", "iat": NOW, "exp": NOW + 60,
    "scope": "tools:read",
}  # fmt: skip
HEADER: dict[str, Any] = {"typ": "at+jwt", "alg": "ES256", "kid": "one"}


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: dict[str, Any], claims: dict[str, Any], key: ECKey) -> str:
    registry = JWSRegistry(strict_check_header=False)
    return jwt.encode(header, claims, key, algorithms=["ES256"], registry=registry)


def token(header: dict[str, Any] | None = None, key: ECKey = KEY, **claims: Any) -> str:
    """A good token, with changes; `...` takes a member away."""
    head = {name: value for name, value in {**HEADER, **(header or {})}.items() if value is not ...}
    body = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not ...}
    return signed(head, body, key)


def bound(**claims: Any) -> str:
    return token(cnf={"jkt": HOLDER.thumbprint()}, **claims)


def proof(access: str, header: dict[str, Any] | None = None, key: ECKey = HOLDER, **claims: Any) -> str:
    public = {name: value for name, value in key.as_dict(private=False).items() if name in ("kty", "crv", "x", "y")}
    head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": public, **(header or {})}
    body = {
        "jti": "p1", "htm": "POST", "htu": RESOURCE, "iat": NOW, "ath": b64(hashlib.sha256(access.encode()).digest()),
        **claims,
    }  # fmt: skip
    return signed(head, {name: value for name, value in body.items() if value is not ...}, key)


def published(*keys: tuple[str, ECKey]) -> bytes:
    return json.dumps({"keys": [{**key.as_dict(private=False), "kid": kid} for kid, key in keys]}).encode()


class Site:
    """What the issuer publishes. `fetched` are the addresses asked for."""

    def __init__(self) -> None:
        self.now = float(NOW)
        self.fetched: list[str] = []
        self.documents: dict[str, bytes] = {
            f"{ISSUER}/.well-known/oauth-authorization-server": json.dumps(
                {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks.json"}
            ).encode(),
            f"{ISSUER}/jwks.json": published(("one", KEY)),
        }

    async def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        return self.documents[url]

    def clock(self) -> float:
        return self.now


def keys(site: Site) -> KeyCache:
    return KeyCache(ISSUER, fetch=site.fetch, monotonic=site.clock)


def verifier(site: Site | None = None, **more: Any) -> TokenVerifier:
    site = site or Site()
    proofs = Proofs(clock=site.clock)
    return TokenVerifier(issuer=ISSUER, audience=RESOURCE, keys=keys(site), proofs=proofs, clock=site.clock, **more)


def presented(text: str, **more: Any) -> Presented:
    return Presented(**{"token": text, "scheme": "bearer", "method": "POST", "url": RESOURCE, **more})


def resource(**more: Any) -> ProtectedResource:
    return ProtectedResource(
        **{"resource": RESOURCE, "authorization_servers": (ISSUER,), "scopes": ("tools:read", "tools:write"), **more}
    )

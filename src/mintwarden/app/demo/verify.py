"""Tokens checked as a resource server checks them, by joserfc: neither our signing nor our verifying uses it."""

from __future__ import annotations

import warnings
from typing import Any

import httpx2
from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import KeySet

from mintwarden.app.demo.calls import Broken

ALGORITHMS = ["ES256", "PS256", "EdDSA", "RS256"]


class ResourceServer:
    """An API of the company: knows the issuer and its own identifier, and nothing else."""

    def __init__(self, *, issuer: str, identifier: str, http: httpx2.Client) -> None:
        self._issuer = issuer
        self._identifier = identifier
        self._http = http

    def accepts(self, token: str) -> dict[str, Any]:
        """The claims of a good token; raises `Broken` for one that this API must not take."""
        rules = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._identifier},
            exp={"essential": True},
            sub={"essential": True},
            jti={"essential": True},
        )
        decoded = self._decoded(token, rules)
        if decoded.header.get("typ") != "at+jwt":
            raise Broken(f"`{self._identifier}` does not take a token of type `{decoded.header.get('typ')}`")
        return dict(decoded.claims)

    def signed_in(self, id_token: str, *, nonce: str) -> dict[str, Any]:
        """The claims of a good ID token, for the client `identifier` (OpenID Connect Core 1.0 section 3.1.3.7)."""
        rules = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._identifier},
            exp={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        decoded = self._decoded(id_token, rules)
        return dict(decoded.claims)

    def refuses(self, token: str) -> str:
        """Why this API does not take the token; raises `Broken` if it does."""
        try:
            self.accepts(token)
        except Broken as error:
            return error.public
        raise Broken(f"`{self._identifier}` takes a token that is not for it")

    def _decoded(self, token: str, rules: jwt.JWTClaimsRegistry) -> jwt.Token:
        metadata = self._http.get(f"{self._issuer}/.well-known/oauth-authorization-server").json()
        keys = KeySet.import_key_set(self._http.get(metadata["jwks_uri"]).json())
        try:
            with warnings.catch_warnings():
                # RFC 9864 renames `EdDSA`; RFC 9068 verifiers in the field still expect the old name.
                warnings.simplefilter("ignore", SecurityWarning)
                decoded = jwt.decode(token, keys, algorithms=ALGORITHMS)
            rules.validate(decoded.claims)
        except JoseError as error:
            raise Broken(f"`{self._identifier}` does not take the token: {error.error}") from error
        return decoded

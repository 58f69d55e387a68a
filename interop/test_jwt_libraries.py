"""joserfc and PyJWT verify our tokens with our published key set, and refuse what was changed."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import jwt
import pytest
from joserfc import jwt as joserfc_jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from interop.deployment import CLIENT, Deployment, audience_id
from mintwarden.mint.generate import ALGORITHMS


@pytest.fixture(scope="session")
def jwks(deployment: Deployment) -> Any:
    metadata = json.loads(deployment.get("/.well-known/oauth-authorization-server"))
    return httpx2.get(metadata["jwks_uri"]).json()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_pyjwt(deployment: Deployment, jwks: Any, algorithm: str):
    token = deployment.token(algorithm)["access_token"]
    header = jwt.get_unverified_header(token)
    key = jwt.PyJWKSet.from_dict(jwks)[header["kid"]]
    required = ["iss", "sub", "aud", "exp", "iat", "jti"]
    claims = jwt.decode(
        token,
        key,
        algorithms=[algorithm],
        audience=f"https://api.example.com/{audience_id(algorithm)}",
        issuer=deployment.issuer,
        options={"require": required},
    )
    assert (header["typ"], header["alg"]) == ("at+jwt", algorithm)
    assert (claims["sub"], claims["client_id"], claims["scope"]) == (CLIENT, CLIENT, f"{audience_id(algorithm)}:read")
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(token, key, algorithms=[algorithm], audience="https://api.example.com/orders")
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token[:-8] + "AAAAAAAA", key, algorithms=[algorithm], options={"verify_aud": False})


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_joserfc(deployment: Deployment, jwks: Any, algorithm: str):
    token = deployment.token(algorithm)["access_token"]
    verified = joserfc_jwt.decode(token, KeySet.import_key_set(jwks), algorithms=[algorithm])
    registry = joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": deployment.issuer},
        aud={"essential": True, "value": f"https://api.example.com/{audience_id(algorithm)}"},
        exp={"essential": True},
        jti={"essential": True},
    )
    registry.validate(verified.claims)
    assert verified.claims["client_id"] == CLIENT
    others = [other for other in ALGORITHMS if other != algorithm]
    with pytest.raises(JoseError):
        joserfc_jwt.decode(token, KeySet.import_key_set(jwks), algorithms=others)


def test_every_published_key_is_public_and_named_by_its_thumbprint(jwks: Any):
    keys = KeySet.import_key_set(jwks).keys
    assert {key.thumbprint() for key in keys} == {key["kid"] for key in jwks["keys"]}
    assert not any(key.is_private for key in keys)

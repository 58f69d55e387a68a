from __future__ import annotations

import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from joserfc import jws
from joserfc.jwk import ECKey, JWKRegistry, OKPKey
from msgspec import Struct

from mintwarden.authn.jose import JoseError, decode_json, parse
from mintwarden.authn.own import OwnTokens
from mintwarden.mint.signers import LocalSigner
from mintwarden.mint.statement import AUTHORITY, SHAPES, sign_statement
from mintwarden.model.errors import ErrorKind, MintwardenError

ISSUER = "https://tokens.meridian.example"
PRIVATE = ec.generate_private_key(ec.SECP256R1())
SIGNER = LocalSigner(kid="k", algorithm="ES256", private_key=PRIVATE)
NOW = 1_795_000_000
EVENT: dict[str, Any] = {"http://schemas.openid.net/event/backchannel-logout": {}}
GOOD: dict[str, dict[str, Any]] = {
    "introspection": {"iss": ISSUER, "aud": "api", "iat": NOW, "token_introspection": {"active": False}},
    "status_list": {"sub": f"{ISSUER}/status/1", "iat": NOW, "exp": NOW + 60, "status_list": {"bits": 1, "lst": "eNo"}},
    "logout": {"iss": ISSUER, "aud": "portal", "iat": NOW, "exp": NOW + 60, "jti": "1", "sub": "a", "events": EVENT},
    "authorization_response": {"iss": ISSUER, "aud": "portal", "exp": NOW + 60, "code": "c", "state": "s"},
    "client_authentication": {
        "iss": "us",
        "sub": "us",
        "aud": "https://login.example.com",
        "iat": NOW,
        "exp": NOW + 60,
        "jti": "1",
    },
    "security_event": {
        "iss": ISSUER,
        "aud": "portal",
        "iat": NOW,
        "jti": "1",
        "sub_id": {"format": "iss_sub", "iss": ISSUER, "sub": "alice"},
        "events": EVENT,
    },
    "userinfo": {"iss": ISSUER, "aud": "portal", "sub": "alice", "email": "alice@meridian.example"},
}
TYPES = {
    "introspection": "token-introspection+jwt",
    "status_list": "statuslist+jwt",
    "logout": "logout+jwt",
    "authorization_response": "oauth-authz-resp+jwt",
    "client_authentication": "client-authentication+jwt",
    "userinfo": "userinfo+jwt",
    "security_event": "secevent+jwt",
}
TOKENS = {"at+jwt", "jwt", "txntoken+jwt", "oauth-id-jag+jwt", "dpop+jwt", "oauth-authz-req+jwt"}


class Key(Struct, frozen=True):
    algorithm: str
    jwk: dict[str, Any]


class Keys:
    def public_key(self, kid: str) -> Key | None:
        return Key("ES256", dict(ECKey.import_key(PRIVATE.public_key()).as_dict(private=False))) if kid == "k" else None


def test_the_list_is_closed_and_no_two_kinds_look_alike():
    assert {kind: shape.typ for kind, shape in SHAPES.items()} == TYPES
    assert len(set(TYPES.values())) == len(TYPES)
    assert not TOKENS & set(TYPES.values())


@pytest.mark.parametrize("kind", GOOD)
async def test_an_independent_library_verifies_each_kind(kind: Any):
    compact = await sign_statement(kind, GOOD[kind], SIGNER)
    verified = jws.deserialize_compact(compact.encode(), ECKey.import_key(PRIVATE.public_key()), algorithms=["ES256"])
    assert verified.headers() == {"alg": "ES256", "typ": TYPES[kind], "kid": "k"}
    assert decode_json(parse(compact).payload) == GOOD[kind]


async def test_the_algorithm_is_the_signers():
    key = ed25519.Ed25519PrivateKey.generate()
    compact = await sign_statement(
        "userinfo", GOOD["userinfo"], LocalSigner(kid="e", algorithm="EdDSA", private_key=key)
    )
    assert jws.deserialize_compact(
        compact.encode(), JWKRegistry.import_key(OKPKey.import_key(key.public_key()).as_dict()), algorithms=["EdDSA"]
    ).headers() == {"alg": "EdDSA", "typ": "userinfo+jwt", "kid": "e"}


@pytest.mark.parametrize("kind", GOOD)
async def test_a_statement_passed_off_as_an_access_token(kind: Any):
    now = int(time.time())
    aged = {name: value + now - NOW if name in ("iat", "exp") else value for name, value in GOOD[kind].items()}
    token = parse(await sign_statement(kind, aged, SIGNER))
    with pytest.raises(JoseError, match="not an access token"):
        OwnTokens(issuer=ISSUER, keys=Keys()).verify(token, decode_json(token.payload), now * 1000)


@pytest.mark.parametrize("kind", GOOD)
async def test_no_statement_says_what_only_a_token_says(kind: Any):
    for claim in (*AUTHORITY, *SHAPES[kind].barred):
        with pytest.raises(MintwardenError, match=f"must not say `{claim}`") as raised:
            await sign_statement(kind, {**GOOD[kind], claim: "x"}, SIGNER)
        assert raised.value.kind is ErrorKind.INTERNAL


@pytest.mark.parametrize("claim", ["sub", "exp", "nonce"])
async def test_a_security_event_is_nobodys_and_never_ends(claim: str):
    """RFC 8417 section 4, SSF 1.0 section 4.1: with either it could be an ID token."""
    with pytest.raises(MintwardenError, match=f"must not say `{claim}`"):
        await sign_statement("security_event", {**GOOD["security_event"], claim: "x"}, SIGNER)


@pytest.mark.parametrize("kind", GOOD)
async def test_no_statement_lacks_what_it_is_about(kind: Any):
    for claim in SHAPES[kind].required:
        with pytest.raises(MintwardenError, match=f"lacks `{claim}`"):
            await sign_statement(kind, {n: v for n, v in GOOD[kind].items() if n != claim}, SIGNER)


async def test_what_is_not_on_the_list_is_not_signed():
    unknown: Any = "at+jwt"
    with pytest.raises(MintwardenError, match="no statement of the kind"):
        await sign_statement(unknown, {"iss": ISSUER}, SIGNER)


async def test_nothing_leaves_unsigned():
    class Silent:
        kid, algorithm = "k", "none"

        async def sign(self, data: bytes) -> bytes:
            raise AssertionError("asked for a signature that is none")

    with pytest.raises(MintwardenError, match="or it is not made"):
        await sign_statement("userinfo", GOOD["userinfo"], Silent())

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
from base64 import urlsafe_b64decode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from mintwarden.mint.prepare import prepare_id_token
from mintwarden.mint.sign import sign
from mintwarden.mint.signers import LocalSigner, raw_signature
from mintwarden.model.decision import ScopeDecision
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.token import PreparedToken, Receipt, SignedToken
from tests.unit.mint.sample import (
    CLIENT,
    DECISION_ID,
    ISSUER,
    NOW,
    SIGNER,
    asked,
    audience,
    decision,
    es256_signer,
    prepared,
    receipt,
)

RSA_KEY = rsa.generate_private_key(65537, 2048)
KEYS: dict[str, Any] = {
    "ES256": (ec.generate_private_key(ec.SECP256R1()), ECKey),
    "EdDSA": (ed25519.Ed25519PrivateKey.generate(), OKPKey),
    "PS256": (RSA_KEY, RSAKey),
    "RS256": (RSA_KEY, RSAKey),
}


def part(compact: str, index: int) -> bytes:
    text = compact.split(".")[index]
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.mark.parametrize("algorithm", KEYS)
async def test_an_independent_library_verifies_the_token(algorithm: str):
    private, kind = KEYS[algorithm]
    signer = LocalSigner(kid="k", algorithm=algorithm, private_key=private)
    token = prepared(audience=audience(algorithm=algorithm), key=signer)
    signed = await sign(token, receipt(token), signer)
    verified = jws.deserialize_compact(
        signed.compact.encode(), kind.import_key(private.public_key()), algorithms=[algorithm]
    )
    assert verified.headers() == {"alg": algorithm, "typ": "at+jwt", "kid": "k"}
    assert json.loads(verified.payload) == {
        **json.loads(token.payload),
        "ledger_leaf": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    }


async def test_the_leaf_hash_is_the_last_claim_and_the_rest_is_what_was_recorded():
    token = prepared()
    signed = await sign(token, receipt(token), SIGNER)
    assert part(signed.compact, 0) == token.header
    assert part(signed.compact, 1).startswith(token.payload[:-1] + b',"ledger_leaf":"')
    assert list(json.loads(part(signed.compact, 1)))[-1] == "ledger_leaf"
    assert (signed.decision_id, signed.expires_in, signed.token_type) == (token.decision_id, 300, "Bearer")


async def test_a_prepared_token_is_signed_once():
    token = prepared()
    await sign(token, receipt(token), SIGNER)
    for again in (token, copy.copy(token)):
        with pytest.raises(MintwardenError, match="signed before") as caught:
            await sign(again, receipt(token), SIGNER)
        assert caught.value.kind is ErrorKind.INTERNAL


async def test_of_two_at_once_one_gets_a_signature():
    token = prepared()
    results = await asyncio.gather(*(sign(token, receipt(token), SIGNER) for _ in range(8)), return_exceptions=True)
    assert sum(not isinstance(result, BaseException) for result in results) == 1


@pytest.mark.parametrize(
    "changes",
    [{"decision_id": "0199aaaa-0000-7000-8000-000000000002"}, {"prepared": b""}, {"prepared": bytes(32)}],
    ids=["other-decision", "of-a-refusal", "other-token"],
)
async def test_a_receipt_of_something_else_is_no_receipt(changes):
    token = prepared()
    with pytest.raises(MintwardenError, match="another token"):
        await sign(token, receipt(token, **changes), SIGNER)
    assert await sign(token, receipt(token), SIGNER)  # and it did not spend the token


@pytest.mark.parametrize(
    "signer", [es256_signer("key-2"), LocalSigner(kid="key-1", algorithm="PS256", private_key=RSA_KEY)]
)
async def test_another_signer_is_refused(signer: LocalSigner):
    token = prepared()
    with pytest.raises(MintwardenError, match="not the one"):
        await sign(token, receipt(token), signer)


def naming_others(signer: LocalSigner) -> tuple[PreparedToken, PreparedToken, Receipt]:
    """An access token, an ID token that is pushed beside it, and the receipt of both."""
    access = prepared()
    token = prepare_id_token(
        decision(identity=decision(scopes=(ScopeDecision(scope="openid", granted=True, route="r1"),))),
        asked(),
        CLIENT,
        issuer=ISSUER,
        key=signer,
        now=NOW,
        decision_id=DECISION_ID,
        auth_req_id="name.secret",
    )
    assert token is not None
    return access, token, receipt(access, id_token=token.digest)


@pytest.mark.parametrize(("algorithm", "length"), [("ES256", 16), ("PS256", 16), ("RS256", 16), ("EdDSA", 32)])
async def test_a_pushed_id_token_names_the_tokens_beside_it(algorithm: str, length: int):
    signer = LocalSigner(kid="k", algorithm=algorithm, private_key=KEYS[algorithm][0])
    access, token, both = naming_others(signer)
    signed = await sign(access, both, SIGNER)
    claims = json.loads(part((await sign(token, both, signer, signed, "mwr_1")).compact, 1))
    assert len(urlsafe_b64decode(claims["at_hash"] + "==")) == length
    hash_of = hashlib.sha512 if algorithm == "EdDSA" else hashlib.sha256
    for name, text in (("at_hash", signed.compact), ("urn:openid:params:jwt:claim:rt_hash", "mwr_1")):
        assert urlsafe_b64decode(claims[name] + "==") == hash_of(text.encode()).digest()[:length]
    assert list(claims)[-1] == "ledger_leaf"


async def test_nothing_is_named_that_was_not_signed_for_the_same_receipt():
    access, token, both = naming_others(SIGNER)
    other = prepared()
    stranger = await sign(other, receipt(other), SIGNER)
    with pytest.raises(MintwardenError, match="names another one that is not there"):
        await sign(token, both, SIGNER)
    elsewhere = SignedToken(compact=stranger.compact, decision_id="another", expires_in=1, token_type="Bearer")
    with pytest.raises(MintwardenError, match="names another one that is not there"):
        await sign(token, both, SIGNER, elsewhere)
    assert await sign(token, both, SIGNER, await sign(access, both, SIGNER)), "and it did not spend the token"


async def test_a_token_that_names_no_others_is_as_it_was_recorded():
    token = prepared()
    beside = SignedToken(compact="x", decision_id=token.decision_id, expires_in=1, token_type="Bearer")
    claims = json.loads(part((await sign(token, receipt(token), SIGNER, beside, "mwr_1")).compact, 1))
    assert claims.keys() == {*json.loads(token.payload), "ledger_leaf"}


class BrokenSigner:
    kid, algorithm = "key-1", "ES256"

    async def sign(self, data: bytes) -> bytes:
        raise MintwardenError(ErrorKind.UNAVAILABLE, "the key service does not answer")


async def test_a_signer_that_fails_spends_the_token():
    token = prepared()
    with pytest.raises(MintwardenError, match="does not answer"):
        await sign(token, receipt(token), BrokenSigner())
    with pytest.raises(MintwardenError, match="signed before"):
        await sign(token, receipt(token), SIGNER)


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("ES256", RSA_KEY),
        ("ES256", ec.generate_private_key(ec.SECP384R1())),
        ("PS256", KEYS["ES256"][0]),
        ("EdDSA", RSA_KEY),
        ("none", RSA_KEY),
        ("HS256", RSA_KEY),
    ],
)
def test_a_key_that_does_not_fit_its_algorithm_is_refused(algorithm: str, key):
    with pytest.raises(MintwardenError, match="does not fit") as caught:
        LocalSigner(kid="k", algorithm=algorithm, private_key=key)
    assert caught.value.kind is ErrorKind.KEYS


@given(st.integers(1, 2**256 - 1), st.integers(1, 2**256 - 1))
def test_the_fast_conversion_equals_the_librarys(r: int, s: int):
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    assert raw_signature(encode_dss_signature(r, s), 32) == r.to_bytes(32, "big") + s.to_bytes(32, "big")

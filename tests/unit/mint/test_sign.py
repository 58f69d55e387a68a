from __future__ import annotations

import asyncio
import copy
import json
from base64 import urlsafe_b64decode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from mintwarden.mint.sign import sign
from mintwarden.mint.signers import LocalSigner, raw_signature
from mintwarden.model.errors import ErrorKind, MintwardenError
from tests.unit.mint.sample import SIGNER, audience, es256_signer, prepared, receipt

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

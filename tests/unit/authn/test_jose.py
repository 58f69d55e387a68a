"""The strict JWS routine: segments, JSON, keys, sets of keys, and agreement with another implementation."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from mintwarden.authn.jose import (
    KEYS_LIMIT,
    JoseError,
    audiences,
    decode_json,
    decode_segment,
    load_key,
    load_key_set,
    numeric_date,
    parse,
    verify_signature,
)
from tests.hostile.tokens.forge import jwk


@given(st.binary(max_size=200))
def test_segments_round_trip(raw: bytes):
    assert decode_segment(base64.urlsafe_b64encode(raw).rstrip(b"=")) == raw


@given(st.text(alphabet="AQgw_-Zz09+/= \n.", max_size=12))
def test_only_the_canonical_spelling_is_taken(text: str):
    spelled = text.encode()
    try:
        raw = decode_segment(spelled)
    except JoseError:
        return
    assert base64.urlsafe_b64encode(raw).rstrip(b"=") == spelled


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=5), st.booleans(), st.sampled_from([None, 1]))
def test_json_without_duplicates_is_what_json_says(value: dict[str, Any], plain: bool, indent: int | None):
    raw = json.dumps(value, ensure_ascii=plain, indent=indent).encode()
    assert decode_json(raw) == value


@given(st.dictionaries(st.text(max_size=5), JSON, min_size=1, max_size=5), st.data())
def test_a_duplicate_is_always_seen(value: dict[str, Any], data: st.DataObject):
    name = data.draw(st.sampled_from(sorted(value)))
    extra = json.dumps({name: data.draw(JSON)})[1:-1]
    with pytest.raises(JoseError):
        decode_json(f"{{{extra},{json.dumps(value)[1:]}".encode())


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"1", b"null", b'{"a":}', b"{'a':1}", b'{"a":NaN}', b'{"a":Infinity}', b'{"a":1}{', b'\xff{"a":1}',
     b'{"a":"\\ud800"}', b'{"a":' + b"[" * 33 + b"]" * 33 + b"}", b'{"a":"\x01"}', b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_object(raw: bytes):
    with pytest.raises(JoseError):
        decode_json(raw)


def test_wide_but_flat_is_fine():
    value = {"groups": [[] for _ in range(500)], "text": "[" * 100}
    assert decode_json(json.dumps(value).encode()) == value


MAKERS: dict[str, Callable[[], Any]] = {
    "ES256": lambda: ECKey.generate_key("P-256"),
    "ES384": lambda: ECKey.generate_key("P-384"),
    "EdDSA": lambda: OKPKey.generate_key("Ed25519"),
    "PS256": lambda: RSAKey.generate_key(2048),
    "RS256": lambda: RSAKey.generate_key(2048),
}


@pytest.mark.parametrize("algorithm", MAKERS)
def test_tokens_of_another_implementation(algorithm: str):
    private = MAKERS[algorithm]()
    registry = jws.JWSRegistry(algorithms=[algorithm])
    compact = jws.serialize_compact({"alg": algorithm, "kid": "k"}, b'{"a": 1}', private, registry=registry)
    key = load_key({**private.as_dict(private=False), "kid": "k"})
    token = parse(compact)
    verify_signature(token, [key], frozenset({algorithm}))
    for wrong in ([], [load_key({**MAKERS[algorithm]().as_dict(private=False), "kid": "k"})]):
        with pytest.raises(JoseError):
            verify_signature(token, wrong, frozenset({algorithm}))
    with pytest.raises(JoseError, match="algorithm"):
        verify_signature(token, [key], frozenset(MAKERS) - {algorithm})


def b64(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8, "big")).rstrip(b"=").decode()


def rsa_jwk(bits: int, **more: Any) -> dict[str, Any]:
    numbers = rsa.generate_private_key(public_exponent=65537, key_size=bits).public_key().public_numbers()
    return {"kty": "RSA", "n": b64(numbers.n), "e": "AQAB", **more}


GOOD = jwk("good")


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"kty": "oct", "k": "AAAA"},
        {"kty": ["EC"]},
        {**GOOD, "d": "AA"},
        {**GOOD, "k": "AA"},
        {**GOOD, "crv": "P-521"},
        {**GOOD, "crv": "secp256k1"},
        {**GOOD, "crv": "P-384"},
        {**GOOD, "x": GOOD["y"]},
        {**GOOD, "x": GOOD["x"] + "AA"},
        {**GOOD, "x": "AA" + GOOD["x"]},
        {**GOOD, "x": "="},
        {**GOOD, "x": 1},
        {**GOOD, "x": "\u00e9"},
        {**GOOD, "use": "enc"},
        {**GOOD, "use": 1},
        {**GOOD, "key_ops": ["sign"]},
        {**GOOD, "key_ops": "verify"},
        {**GOOD, "alg": "ES384"},
        {**GOOD, "alg": "HS256"},
        {**GOOD, "alg": 1},
        {**GOOD, "kid": 1},
        {"kty": "OKP", "crv": "X25519", "x": GOOD["x"]},
        {"kty": "OKP", "crv": "Ed448", "x": GOOD["x"]},
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
        rsa_jwk(1024),
        {"kty": "RSA", "n": b64(2**9000 + 1), "e": "AQAB"},
        {"kty": "RSA", "n": b64(2**2047 + 1), "e": b64(2**80 + 1)},
        {"kty": "RSA", "n": b64(2**2047 + 1), "e": "AQ"},
    ],
)
def test_keys_that_are_not_taken(bad: dict[str, Any]):
    with pytest.raises(JoseError):
        load_key(bad)


def test_a_set_passes_over_what_it_cannot_use():
    keys = load_key_set({"keys": [GOOD, {"kty": "oct", "k": "AA"}, "x", None, {**jwk("other"), "use": "enc"}]})
    assert [key.kid for key in keys] == ["good"]
    malformed: list[dict[str, Any]] = [{}, {"keys": {}}, {"keys": [GOOD] * (KEYS_LIMIT + 1)}]
    for bad in malformed:
        with pytest.raises(JoseError):
            load_key_set(bad)


def test_an_rsa_key_is_for_both_paddings_unless_it_says():
    assert load_key(rsa_jwk(2048)).algorithms == {"RS256", "PS256"}
    assert load_key(rsa_jwk(2048, alg="PS256")).algorithms == {"PS256"}


@pytest.mark.parametrize(("claims", "value"), [({}, None), ({"exp": 5}, 5000), ({"exp": 5.25}, 5250), ({"exp": 0}, 0)])
def test_times(claims: dict[str, Any], value: int | None):
    assert numeric_date(claims, "exp") == value


@pytest.mark.parametrize("value", [None, True, "5", -1, 2**40, 1e300, float("inf"), [], {}])
def test_what_is_no_time(value: Any):
    with pytest.raises(JoseError):
        numeric_date({"exp": value}, "exp")


def test_audiences():
    assert audiences({"aud": "a"}) == ("a",)
    assert audiences({"aud": ["a", "b"]}) == ("a", "b")
    malformed: list[dict[str, Any]] = [{}, {"aud": []}, {"aud": [1]}, {"aud": None}, {"aud": {"a": 1}}]
    for bad in malformed:
        with pytest.raises(JoseError):
            audiences(bad)

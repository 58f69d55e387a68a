"""What is remembered of a token is that its signature was good, and nothing else."""

from __future__ import annotations

import pytest

from mintwarden.authn.good_signatures import GoodSignatures
from mintwarden.authn.jose import JoseError, VerificationKey, decode_json, load_key, parse
from mintwarden.authn.own import OwnTokens
from tests.hostile.tokens.forge import ISSUER, NOW_S, TARGETS, Make, Target, b64, cases, es256, jwk
from tests.unit.authn.test_own import Key, Keys

NOW = NOW_S * 1000
OWN = TARGETS[1]
ES256 = frozenset({"ES256"})


def key(name: str = "own") -> VerificationKey:
    return load_key({**jwk(name), "kid": "own", "alg": "ES256"})


def believed(own: OwnTokens, compact: str, now: int = NOW) -> None:
    token = parse(compact)
    own.verify(token, decode_json(token.payload), now)


def test_a_good_signature_is_remembered_once():
    signatures, own = GoodSignatures(ES256), key()
    for _ in range(3):
        signatures.verify(parse(OWN.good()), own)
    assert len(signatures) == 1


def test_garbage_takes_no_room_and_moves_nothing_out():
    signatures, own, good = GoodSignatures(ES256, most=1), key(), parse(OWN.good())
    signatures.verify(good, own)
    head, body, _ = OWN.parts
    for number in range(50):
        with pytest.raises(JoseError, match="signature"):
            signatures.verify(parse(f"{head}.{body}.{b64(es256('stranger', bytes([number])))}"), own)
    assert len(signatures) == 1
    signatures.verify(good, own)


def test_only_so_many_are_remembered_and_those_not_asked_about_go_first():
    signatures, own = GoodSignatures(ES256, most=2), key()
    first, second, third = (parse(OWN.good(jti=name)) for name in ("a", "b", "c"))
    for token in (first, second, first, third):
        signatures.verify(token, own)
    assert len(signatures) == 2
    # Under a key that makes nothing good: what is remembered is remembered of the other, and so each is looked at.
    for token in (first, second, third):
        with pytest.raises(JoseError, match="signature"):
            signatures.verify(token, key("stranger"))


def test_it_is_remembered_of_one_key():
    signatures, own, token = GoodSignatures(ES256), key(), parse(OWN.good())
    signatures.verify(token, own)
    with pytest.raises(JoseError, match="signature"):
        signatures.verify(token, key("stranger"))
    signatures.verify(token, key())
    assert len(signatures) == 1


def test_an_algorithm_that_is_not_accepted_is_refused_before_anything_is_remembered():
    signatures = GoodSignatures(frozenset({"PS256"}))
    with pytest.raises(JoseError, match="algorithm"):
        signatures.verify(parse(OWN.good()), key())
    assert len(signatures) == 0


def test_another_signature_of_the_same_words_is_another_token():
    own = OwnTokens(issuer=ISSUER, keys=Keys())
    believed(own, OWN.good())
    head, body, _ = OWN.parts
    for tail in ("A" * 86, OWN.good(jti="another").split(".")[2]):
        with pytest.raises(JoseError, match="signature"):
            believed(own, f"{head}.{body}.{tail}")


@pytest.mark.parametrize(
    ("target", "make"), [pytest.param(t, make, id=name) for t, name, make in cases() if t.name == "own-subject"]
)
def test_a_hostile_token_is_refused_however_often_it_comes_after_the_good_one(target: Target, make: Make):
    own = OwnTokens(issuer=ISSUER, keys=Keys())
    believed(own, target.good())
    for _ in range(3):
        with pytest.raises(JoseError):
            believed(own, make(target))
    believed(own, target.good())


def test_what_is_remembered_ends_with_the_token():
    own = OwnTokens(issuer=ISSUER, keys=Keys())
    believed(own, OWN.good(), NOW + 299_999)
    with pytest.raises(JoseError, match="expired"):
        believed(own, OWN.good(), NOW + 300_000)


def test_what_is_remembered_ends_with_the_key():
    keys = Keys()
    own = OwnTokens(issuer=ISSUER, keys=keys)
    believed(own, OWN.good())
    del keys.keys["own"]
    with pytest.raises(JoseError, match="no key"):
        believed(own, OWN.good())
    keys.keys["own"] = Key("ES256", jwk("stranger"))
    with pytest.raises(JoseError, match="signature"):
        believed(own, OWN.good())

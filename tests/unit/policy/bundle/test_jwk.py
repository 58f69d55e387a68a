"""Public keys: nothing private, nothing weak, nothing unknown."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from mintwarden.policy.bundle.jwk import PRIVATE, public_jwk
from mintwarden.policy.bundle.problem import Place, Problems
from mintwarden.policy.bundle.shape import BAD
from tests.flow.pki import Pair, certificate


def _b64(number: int, width: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(width, "big")).rstrip(b"=").decode()


def _ec(curve: ec.EllipticCurve, crv: str, width: int) -> dict[str, str]:
    numbers = ec.generate_private_key(curve).public_key().public_numbers()
    return {"kty": "EC", "crv": crv, "x": _b64(numbers.x, width), "y": _b64(numbers.y, width)}


def _okp() -> dict[str, str]:
    raw = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    return {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(raw).rstrip(b"=").decode()}


def _rsa(bits: int) -> dict[str, str]:
    numbers = rsa.generate_private_key(65537, bits).public_key().public_numbers()
    return {"kty": "RSA", "n": _b64(numbers.n, bits // 8), "e": "AQAB"}


def _check(key: object) -> tuple[object, list[str]]:
    problems = Problems()
    found = public_jwk(key, Place("c.toml", ("client", "keys", 0)), problems)
    return found, [problem.message for problem in problems.all()]


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (_ec(ec.SECP256R1(), "P-256", 32), "ES256"),
        (_ec(ec.SECP384R1(), "P-384", 48), "ES384"),
        (_okp(), "EdDSA"),
        (_rsa(2048), "PS256"),
    ],
    ids=["P-256", "P-384", "Ed25519", "RSA"],
)
def test_a_good_key_is_kept_as_it_is(key, algorithm):
    good = {**key, "kid": "one", "use": "sig", "alg": algorithm}
    assert _check(good) == (good, [])


@pytest.mark.parametrize("algorithm", ["ES384", "HS256", "none", "es256", ""])
def test_an_algorithm_that_does_not_sign_with_the_key_is_refused(algorithm):
    found, messages = _check({**_ec(ec.SECP256R1(), "P-256", 32), "alg": algorithm})
    assert found is BAD
    assert messages == [f"`{algorithm}` does not sign with this key"]


@pytest.mark.parametrize("member", PRIVATE)
def test_a_private_member_is_refused(member):
    found, messages = _check({**_okp(), member: "c2VjcmV0LXNlY3JldA"})
    assert found is BAD
    assert messages == [f"the key holds private members: `{member}`"]
    assert "c2VjcmV0" not in messages[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kty": "oct"}, "unknown key type `oct`"),
        ({"kty": None}, "`kty` is missing"),
        ({"crv": "P-521"}, "unknown curve `P-521` for `OKP`"),
        ({"crv": "P-256"}, "unknown curve `P-256` for `OKP`"),
        ({"x": "AAAA"}, "`x` has 3 bytes, `Ed25519` has 32"),
        ({"x": "AAA="}, "`x` is not base64url without padding"),
        ({"x": "A*"}, "`x` is not base64url without padding"),
        ({"x": ""}, "`x` is not base64url without padding"),
        ({"x": None}, "`x` is missing"),
        ({"use": "enc"}, "the key is for `enc`, not for signatures"),
        ({"y": "AAAA"}, "unknown member `y` of a JWK"),
        ({"kid": 3}, "`kid` is not a string"),
    ],
)
def test_a_bad_member_is_named(change, message):
    key = {name: value for name, value in {**_okp(), **change}.items() if value is not None}
    assert _check(key) == (BAD, [message])


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_a_short_rsa_key_is_refused():
    assert _check({**_rsa(2048), "n": _b64(2**1023 + 1, 128)})[1] == ["the RSA key has 1024 bits"]


@pytest.mark.parametrize("exponent", ["AQ", "AAAA", "Ag", "AQAAAAAB"])
def test_an_odd_rsa_exponent_is_refused(exponent):
    assert _check({**_rsa(2048), "e": exponent})[1] == ["the RSA exponent is not usable"]


def test_something_else_is_no_key():
    assert _check("ssh-ed25519 AAAA") == (BAD, ["is not a JWK"])


def test_several_keys_need_names(refused):
    keys = "".join(
        "\n[[client.keys]]\n" + "".join(f'{name} = "{value}"\n' for name, value in _okp().items()) for _ in range(2)
    )
    change = ("clients/order-export.toml", '["client_secret_basic"]', '["private_key_jwt"]')
    problems = refused(change, ("clients/order-export.toml", "", keys))
    assert [problem.message for problem in problems] == ["several keys need a `kid` each"]


def test_a_certificate_is_that_of_its_key():
    one, other = certificate("CN=one"), certificate("CN=other")
    key = dict(_ec(ec.SECP256R1(), "P-256", 32))
    numbers = one.key.public_key().public_numbers()
    key |= {"x": _b64(numbers.x, 32), "y": _b64(numbers.y, 32)}

    def chain(*pairs: Pair) -> list[str]:
        return [base64.b64encode(pair.der).decode() for pair in pairs]

    for good in (chain(one), chain(one, other)):
        assert _check({**key, "x5c": good})[1] == []
    assert _check({**key, "x5c": chain(other, one)})[1] == ["`x5c` is the certificate of another key"]
    for broken in ([], "x", ["AAAA"], [7], ["*"], chain(one)[0], chain(*[one] * 9)):
        assert _check({**key, "x5c": broken})[1] == ["`x5c` is not a list of certificates"], broken

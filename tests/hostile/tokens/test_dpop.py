"""DPoP proofs: what is taken, and every defect by its name (RFC 9449 sections 4.3 and 11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry, serialize_compact
from joserfc.util import json_b64encode

from mintwarden.authn.proofs.dpop import LEEWAY, OLDEST, DpopProofs
from mintwarden.authn.proofs.nonce import SLOT, Nonces
from mintwarden.authn.replay import ReplayGuard
from mintwarden.model.errors import ErrorKind, MintwardenError
from tests.hostile.tokens.forge import NOW_S, b64, es256, jwk, signed, text

NOW = NOW_S * 1000
ENDPOINT = "https://tokens.example/token"


def public(name: str, **more: object) -> dict[str, Any]:
    return {member: value for member, value in jwk(name, **more).items() if member != "kid"}


HEADER: Mapping[str, Any] = {"typ": "dpop+jwt", "alg": "ES256", "jwk": public("holder")}
CLAIMS: Mapping[str, Any] = {"jti": "one", "htm": "POST", "htu": ENDPOINT, "iat": NOW_S}


def proof(header: Mapping[str, Any] | None = None, *, key: str = "holder", **claims: Any) -> str:
    """The proof that is taken, with changes; `...` takes a member away."""
    head = {name: value for name, value in {**HEADER, **(header or {})}.items() if value is not ...}
    body = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not ...}
    return signed(key, text(head), text(body))


def proofs(nonces: Nonces | None = None, guard: ReplayGuard | None = None) -> DpopProofs:
    return DpopProofs(endpoints=(ENDPOINT,), replay=guard or ReplayGuard(), nonces=nonces)


def refused(unverified: str, **more: Any) -> MintwardenError:
    with pytest.raises(MintwardenError) as caught:
        proofs(**more).verify(unverified, "POST", NOW)
    return caught.value


TAKEN = {
    "as the standard shows it": proof(),
    "with the longer name of its type": proof({"typ": "application/dpop+jwt"}),
    "with members that nobody knows": proof({"x-trace": "1", "kid": "k"}, purpose="none of ours"),
    "ten seconds ago": proof(iat=NOW_S - 10),
    "ten seconds ahead": proof(iat=NOW_S + 10),
    "with nbf and exp": proof(nbf=NOW_S - 1, exp=NOW_S + 60),
    "htu with query and fragment": proof(htu=f"{ENDPOINT}?a=b#c"),
    "htu with its port": proof(htu="https://tokens.example:443/token"),
    "htu in another case": proof(htu="HTTPS://Tokens.Example/token"),
    "with a nonce that nobody asked for": proof(nonce="from elsewhere"),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_taken(name: str) -> None:
    binding, once = proofs().verify(TAKEN[name], "POST", NOW)
    assert binding.kind == "dpop"
    key = ECKey.import_key(public("holder"))
    assert binding.thumbprint == key.thumbprint()
    assert once.proof == "dpop"


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("ES384", ECKey.generate_key("P-384")),
        ("PS256", RSAKey.generate_key(2048)),
        ("EdDSA", OKPKey.generate_key("Ed25519")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_other_algorithms_and_what_others_say_the_thumbprint_is(algorithm: str, key: Any) -> None:
    header = {"typ": "dpop+jwt", "alg": algorithm, "jwk": key.as_dict(private=False)}
    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    made = serialize_compact(header, text(CLAIMS), key, registry=registry)
    binding, _ = proofs().verify(made, "POST", NOW)
    assert binding.thumbprint == key.thumbprint()


def unsigned(header: Mapping[str, Any]) -> str:
    return f"{json_b64encode(dict(header)).decode()}.{b64(text(CLAIMS))}."


def symmetric() -> str:
    key = OctKey.generate_key(256)
    header = {"typ": "dpop+jwt", "alg": "HS256", "jwk": key.as_dict(private=True)}
    registry = JWSRegistry(algorithms=["HS256"], strict_check_header=False)
    return serialize_compact(header, text(CLAIMS), key, registry=registry)


DEFECTS = {
    "not a JWT": "nonsense",
    "empty parts": "..",
    "not ASCII": proof() + "é",
    "far too long": proof(jti="x", more="y" * 8_000),
    "no typ": proof({"typ": ...}),
    "another typ": proof({"typ": "JWT"}),
    "an access token's typ": proof({"typ": "at+jwt"}),
    "no alg": proof({"alg": ...}),
    "alg none": unsigned({**HEADER, "alg": "none"}),
    "alg none with a signature": proof({"alg": "none"}),
    "a symmetric key": symmetric(),
    "RS256": proof({"alg": "RS256"}),
    "no jwk": proof({"jwk": ...}),
    "jwk is no object": proof({"jwk": "holder"}),
    "a private key in jwk": proof({"jwk": {**public("holder"), "d": b64(bytes(31) + b"\x01")}}),
    "a key for encryption": proof({"jwk": public("holder", use="enc")}),
    "another's key": proof({"jwk": public("somebody else")}),
    "signed by another": proof(key="somebody else"),
    "a changed claim": ".".join([proof().split(".")[0], b64(text({**CLAIMS, "jti": "two"})), proof().split(".")[2]]),
    "a critical header": proof({"crit": ["exp"], "exp": 1}),
    "an unencoded payload": proof({"b64": False, "crit": ["b64"]}),
    "a member twice in the header": signed("holder", text(HEADER)[:-1] + b',"alg":"none"}', text(CLAIMS)),
    "a member twice in the claims": signed("holder", text(HEADER), text(CLAIMS)[:-1] + b',"htm":"GET"}'),
    "no jti": proof(jti=...),
    "an empty jti": proof(jti=""),
    "a jti that is a number": proof(jti=7),
    "an endless jti": proof(jti="x" * 300),
    "no htm": proof(htm=...),
    "another method": proof(htm="GET"),
    "the method in lower case": proof(htm="post"),
    "no htu": proof(htu=...),
    "another host": proof(htu="https://elsewhere.example/token"),
    "another path": proof(htu="https://tokens.example/token/"),
    "another scheme": proof(htu="http://tokens.example/token"),
    "another port": proof(htu="https://tokens.example:8443/token"),
    "a port that is none": proof(htu="https://tokens.example:99999/token"),
    "somebody's name in htu": proof(htu="https://tokens.example@elsewhere.example/token"),
    "htu is a list": proof(htu=[ENDPOINT]),
    "no iat": proof(iat=...),
    "iat is text": proof(iat=str(NOW_S)),
    "an hour old": proof(iat=NOW_S - 3600),
    "an hour ahead": proof(iat=NOW_S + 3600),
    "not yet": proof(nbf=NOW_S + 600),
    "outlived": proof(exp=NOW_S - 600),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_refuses(name: str) -> None:
    error = refused(DEFECTS[name])
    assert error.kind is ErrorKind.INVALID_DPOP_PROOF
    assert error.hint


def test_the_signature_in_its_other_form_is_refused() -> None:
    head, body, _ = proof().split(".")
    raw = es256("holder", f"{head}.{body}".encode())
    assert refused(f"{head}.{body}.{b64(raw[:32] + b'0' + raw[32:])}").kind is ErrorKind.INVALID_DPOP_PROOF


def test_a_proof_counts_once_and_its_claim_outlives_it() -> None:
    guard = ReplayGuard()
    _, once = proofs(guard=guard).verify(proof(), "POST", NOW)
    assert once.expires_at > NOW + OLDEST + LEEWAY, "as long as it could be accepted by a clock that is late"
    guard.remember(once)
    assert "used before" in refused(proof(), guard=guard).hint
    _, other = proofs(guard=guard).verify(proof({"jwk": public("other")}, key="other"), "POST", NOW)
    assert other.digest != once.digest, "a `jti` is its key's"
    _, again = proofs().verify(proof(), "POST", NOW + 50_000)
    assert again == once, "the same claim at any time: a store knows it by digest and end"


def test_nonces() -> None:
    nonces = Nonces(b"k" * 32)
    given = nonces.make(NOW)
    for lacking in (proof(), proof(nonce="guess"), proof(nonce=7), proof(nonce="\ud83d\ude00"), proof(nonce="")):
        assert refused(lacking, nonces=nonces).kind is ErrorKind.USE_DPOP_NONCE
    assert proofs(nonces).verify(proof(nonce=given), "POST", NOW)
    assert Nonces(b"k" * 32).knows(given, NOW), "on another node"
    assert not Nonces(b"j" * 32).knows(given, NOW)
    assert nonces.knows(given, NOW + SLOT)
    assert not nonces.knows(given, NOW + 2 * SLOT)
    assert not nonces.knows(given, NOW - SLOT), "from the future"
    defective = refused(proof(iat=NOW_S - 3600, nonce=given), nonces=nonces)
    assert defective.kind is ErrorKind.INVALID_DPOP_PROOF

"""Attestations and proofs that are not what they are shown for (draft-ietf-oauth-attestation-based-client-auth)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from joserfc.jwk import ECKey

from mintwarden.authn.attestation import check_proof, read_attestation
from mintwarden.authn.jose import JoseError
from mintwarden.authn.ports import Credentials
from mintwarden.authn.registry import Registry
from mintwarden.model.catalogue import Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from tests.hostile.tokens.forge import NOW_S, jwk, signed, text

NOW, US = NOW_S * 1000, "https://tokens.example"
INSTANCE = {name: value for name, value in jwk("holder").items() if name != "kid"}


class Nothing:
    async def credentials(self) -> Credentials:
        return Credentials(0, {})


def client(name: str, *attesters: str) -> Client:
    return Client(
        id=name,
        name=name,
        kind="native",
        owner="o",
        principal="Workload",
        methods=("attest_jwt_client_auth",),
        grants=("client_credentials",),
        ceilings={},
        environments=("production",),
        jwks=(jwk("one"),),
        attester_keys=tuple(jwk(each) for each in attesters),
    )


REGISTRY = Registry(
    clients={"wallet": client("wallet", "two"), "rival": client("rival", "three"), "none": client("none")},
    credentials=Nothing(),
)


def made(key: str, header: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    head, content = ({k: v for k, v in each.items() if v is not ...} for each in (header, body))
    return signed(key, text(head), text(content))


def attestation(header: Mapping[str, Any] | None = None, key: str = "two", **claims: Any) -> str:
    head = {"alg": "ES256", "kid": "two", "typ": "oauth-client-attestation+jwt", **(header or {})}
    return made(key, head, {"sub": "wallet", "exp": NOW_S + 3600, "cnf": {"jwk": INSTANCE}, **claims})


def proof(header: Mapping[str, Any] | None = None, key: str = "holder", **claims: Any) -> str:
    head = {"alg": "ES256", "typ": "oauth-client-attestation-pop+jwt", **(header or {})}
    return made(key, head, {"aud": US, "jti": "one", "iat": NOW_S, **claims})


ATTESTED = read_attestation(attestation(), "", REGISTRY, NOW)


def test_an_attested_instance_proves_its_key() -> None:
    assert (ATTESTED.known.client.id, ATTESTED.instance) == ("wallet", ECKey.import_key(INSTANCE).thumbprint())
    assert read_attestation(attestation(iat=NOW_S, wallet_name="x"), "wallet", REGISTRY, NOW).instance
    once = check_proof(proof(), ATTESTED, US, NOW)
    assert once == check_proof(proof(extra=1, challenge="c"), ATTESTED, US, NOW)
    assert once != check_proof(proof(jti="two"), ATTESTED, US, NOW)
    check_proof(proof(aud=[US]), ATTESTED, US, NOW)


ATTESTATIONS = {
    "by another client's attester": attestation({"kid": "three"}, "three"),
    "by the client's own key": attestation({"kid": "one"}, "one"),
    "by the instance itself": attestation(key="holder"),
    "of another client": attestation(sub="rival"),
    "of a client that trusts nobody": attestation(sub="none"),
    "of an unknown client": attestation(sub="nobody"),
    "of nobody": attestation(sub=...),
    "without an end": attestation(exp=...),
    "not valid yet": attestation(nbf=NOW_S + 600),
    "made in the future": attestation(iat=NOW_S + 600),
    "without a key": attestation(cnf=...),
    "with a thumbprint for a key": attestation(cnf={"jkt": ATTESTED.instance}),
    "with a private key": attestation(cnf={"jwk": {**INSTANCE, "d": "AA"}}),
    "with a symmetric key": attestation(cnf={"jwk": {"kty": "oct", "k": "AAAA"}}),
    "without its type": attestation({"typ": ...}),
    "that is a proof": attestation({"typ": "oauth-client-attestation-pop+jwt"}),
    "that is an access token": attestation({"typ": "at+jwt"}),
    "with the key in its header": attestation({"jwk": jwk("two")}),
    "with a chain in its header": attestation({"x5c": ["AAAA"]}),
    "with alg none": attestation({"alg": "none"}),
    "with a MAC": attestation({"alg": "HS256"}),
    "cut": attestation()[:-4],
    "twice in one header": f"{attestation()}, {attestation()}",
}


@pytest.mark.parametrize("name", ATTESTATIONS)
def test_an_attestation_that_is_refused(name: str) -> None:
    with pytest.raises(JoseError):
        read_attestation(ATTESTATIONS[name], "", REGISTRY, NOW)


def test_client_id_names_the_attested_client() -> None:
    with pytest.raises(JoseError):
        read_attestation(attestation(), "rival", REGISTRY, NOW)


def test_one_that_has_ended_is_told_as_such_only_when_it_was_good() -> None:
    with pytest.raises(MintwardenError) as caught:
        read_attestation(attestation(exp=NOW_S - 60), "", REGISTRY, NOW)
    assert caught.value.kind is ErrorKind.USE_FRESH_ATTESTATION
    with pytest.raises(JoseError):
        read_attestation(attestation(key="holder", exp=NOW_S - 60), "", REGISTRY, NOW)


PROOFS = {
    "by another key": proof(key="one"),
    "by the attester": proof(key="two"),
    "for another server": proof(aud="https://other.example"),
    "for two servers": proof(aud=[US, "https://other.example"]),
    "for the token endpoint": proof(aud=f"{US}/token"),
    "for nobody": proof(aud=...),
    "without a name": proof(jti=...),
    "with an empty name": proof(jti=""),
    "with an endless name": proof(jti="x" * 300),
    "without a time": proof(iat=...),
    "of an hour ago": proof(iat=NOW_S - 3600),
    "of the next hour": proof(iat=NOW_S + 3600),
    "that has ended": proof(exp=NOW_S - 60),
    "without its type": proof({"typ": ...}),
    "that is a DPoP proof": proof({"typ": "dpop+jwt"}),
    "that is an attestation": proof({"typ": "oauth-client-attestation+jwt"}),
    "with alg none": proof({"alg": "none"}),
    "with a MAC": proof({"alg": "HS256"}),
    "nothing": "",
}


@pytest.mark.parametrize("name", PROOFS)
def test_a_proof_that_is_refused(name: str) -> None:
    with pytest.raises(JoseError):
        check_proof(PROOFS[name], ATTESTED, US, NOW)

"""Attestations and proofs that are not what they are shown for (draft-ietf-oauth-attestation-based-client-auth)."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from joserfc.jwk import ECKey

from mintwarden.app.proofs import attestation_challenges
from mintwarden.authn.attestation import Attested, check_proof, read_attestation
from mintwarden.authn.jose import JoseError
from mintwarden.authn.ports import Credentials
from mintwarden.authn.proofs.nonce import SLOT, Nonces
from mintwarden.authn.registry import Registry
from mintwarden.mint.master import LocalMasterKey
from mintwarden.model.catalogue import Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from tests.hostile.tokens.forge import NOW_S, jwk, signed, text

NOW, US = NOW_S * 1000, "https://tokens.example"
INSTANCE = {name: value for name, value in jwk("holder").items() if name != "kid"}


class Nothing:
    async def credentials(self) -> Credentials:
        return Credentials(0, {})


def client(name: str, *attesters: str, challenged: bool = False) -> Client:
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
        attestation_challenge=challenged,
        attestation_max_age=600 if challenged else 0,
    )


REGISTRY = Registry(
    clients={
        "wallet": client("wallet", "two"),
        "vault": client("vault", "two", challenged=True),
        "rival": client("rival", "three"),
        "none": client("none"),
    },
    credentials=Nothing(),
)


def made(key: str, header: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    head, content = ({k: v for k, v in each.items() if v is not ...} for each in (header, body))
    return signed(key, text(head), text(content))


def attestation(header: Mapping[str, Any] | None = None, key: str = "two", **claims: Any) -> str:
    head = {"alg": "ES256", "kid": "two", "typ": "oauth-client-attestation+jwt", **(header or {})}
    return made(key, head, {"sub": "wallet", "iat": NOW_S, "exp": NOW_S + 3600, "cnf": {"jwk": INSTANCE}, **claims})


def proof(header: Mapping[str, Any] | None = None, key: str = "holder", **claims: Any) -> str:
    head = {"alg": "ES256", "typ": "oauth-client-attestation-pop+jwt", **(header or {})}
    return made(key, head, {"aud": US, "jti": "one", "iat": NOW_S, **claims})


ATTESTED = read_attestation(attestation(), "", REGISTRY, NOW)
CHALLENGED = read_attestation(attestation(sub="vault"), "", REGISTRY, NOW)
MASTER = LocalMasterKey(b"m" * 32, random_bytes=bytes)


def challenges(master: LocalMasterKey, issuer: str = US) -> Nonces:
    """As every node of an installation makes them."""
    base: Any = SimpleNamespace(master=master, issuer=issuer)
    return attestation_challenges(base)


OURS = challenges(MASTER)


def test_an_attested_instance_proves_its_key() -> None:
    assert (ATTESTED.known.client.id, ATTESTED.instance) == ("wallet", ECKey.import_key(INSTANCE).thumbprint())
    assert read_attestation(attestation(nbf=NOW_S, wallet_name="x"), "wallet", REGISTRY, NOW).instance
    once = check_proof(proof(), ATTESTED, US, NOW)
    assert once.proof == "attestation"
    assert once == check_proof(proof(extra=1, challenge=OURS.make(NOW)), ATTESTED, US, NOW, OURS)
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
    "without a beginning": attestation(iat=...),
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


def test_one_that_is_older_than_its_client_lets_it_be() -> None:
    for age, fresh in ((0, True), (630, True), (631, False), (3600, False)):
        made_then: dict[str, Any] = {"iat": NOW_S - age, "exp": NOW_S + 86_400}
        assert read_attestation(attestation(**made_then), "", REGISTRY, NOW).instance, "another client does not mind"
        try:
            read_attestation(attestation(sub="vault", **made_then), "", REGISTRY, NOW)
        except MintwardenError as error:
            assert (error.kind, fresh) == (ErrorKind.USE_FRESH_ATTESTATION, False)  # noqa: PT017 - of some of them
        else:
            assert fresh


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


def answer(challenge: Any, attested: Attested = CHALLENGED, at: int = NOW) -> ErrorKind | None:
    """What comes of a proof that is good but perhaps for its challenge."""
    try:
        check_proof(proof(iat=at // 1000, challenge=challenge), attested, US, at, challenges(MASTER))
    except MintwardenError as error:
        return error.kind
    return None


def test_a_challenge_of_ours_is_answered_on_every_node_for_a_minute_and_a_little() -> None:
    for attested in (CHALLENGED, ATTESTED):
        assert answer(OURS.make(NOW), attested) is None
        assert answer(OURS.make(NOW - SLOT), attested) is None, "of the minute before"


def test_who_must_answer_none_may_leave_it_out_and_who_must_may_not() -> None:
    assert answer(..., ATTESTED) is None
    assert answer(...) is ErrorKind.USE_ATTESTATION_CHALLENGE


STALE = {
    "of minutes ago": OURS.make(NOW - 2 * SLOT),
    "of the minute to come": OURS.make(NOW + SLOT),
    "of another installation": challenges(LocalMasterKey(b"n" * 32, random_bytes=bytes)).make(NOW),
    "of another issuer with the same master key": challenges(MASTER, "https://other.example").make(NOW),
    "that is a nonce for DPoP": Nonces(MASTER.derive(b"dpop-nonces")).make(NOW),
    "with a time of its own": OURS.make(NOW - 9 * SLOT)[:11] + OURS.make(NOW)[11:],
    "cut": OURS.make(NOW)[:-1],
    "with something added": OURS.make(NOW) + "A",
    "not ASCII": "\u00e4" * 32,
    "empty": "",
    "null": None,
    "a list": [OURS.make(NOW)],
    "a number": 1,
}


@pytest.mark.parametrize("name", STALE)
def test_a_challenge_that_is_not_ours_is_not_taken_from_who_must_answer(name: str) -> None:
    assert answer(STALE[name]) is ErrorKind.USE_ATTESTATION_CHALLENGE


@pytest.mark.parametrize("name", [name for name in STALE if name != "null"])
def test_nor_from_who_need_not(name: str) -> None:
    assert answer(STALE[name], ATTESTED) is ErrorKind.USE_ATTESTATION_CHALLENGE


def test_only_a_proof_that_is_good_otherwise_is_told_to_answer() -> None:
    for bad in (proof(key="one"), proof(aud="https://other.example"), proof(iat=NOW_S - 3600), proof(jti=...)):
        with pytest.raises(JoseError):
            check_proof(bad, CHALLENGED, US, NOW, OURS)


def test_where_no_challenges_are_handed_out_none_is_good() -> None:
    with pytest.raises(MintwardenError) as caught:
        check_proof(proof(challenge=OURS.make(NOW)), CHALLENGED, US, NOW)
    assert caught.value.kind is ErrorKind.USE_ATTESTATION_CHALLENGE

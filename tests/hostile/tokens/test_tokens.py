"""Every hostile token is refused with the right error, where its harmless sibling is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from mintwarden.authn.authenticate import TOKEN_EXCHANGE, Authenticator
from mintwarden.authn.evidence import ACCESS_TOKEN, ID_TOKEN, JWT, Evidences
from mintwarden.authn.issuers.keys import KeyFinder
from mintwarden.authn.issuers.verify import TrustedIssuers
from mintwarden.authn.methods.private_key_jwt import ASSERTION_TYPE
from mintwarden.authn.own import OwnTokens
from mintwarden.authn.ports import ClientSecret, Credentials
from mintwarden.authn.revoked import RevocationCheck
from mintwarden.authn.secrets import SecretVerifier, hash_secret
from mintwarden.model.caller import Caller
from mintwarden.model.catalogue import Client, TrustedIssuer
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from tests.hostile.tokens.forge import CLIENT, ISSUER, LOGIN, NOW_S, TARGETS, Make, Target, cases, jwk, write

NOW = NOW_S * 1000
PEPPER = b"p" * 32
SECRET = "mw_secret"


class Key(Struct, frozen=True):
    algorithm: str
    jwk: Mapping[str, Any]


class Keys:
    """`own` is live, `gone` is gone, `log` signs checkpoints."""

    def public_key(self, kid: str) -> Key | None:
        return Key("ES256", jwk("own")) if kid == "own" else None


class Store:
    async def credentials(self) -> Credentials:
        digest = hash_secret(PEPPER, SECRET)
        return Credentials(
            1, {CLIENT: [ClientSecret(client_id=CLIENT, scheme="hmac-sha256", digest=digest, created_at=0)]}
        )


class NoFetch:
    async def fetch(self, url: str) -> bytes:
        raise AssertionError(f"nothing may be fetched, least of all {url}")


def client(name: str, *methods: str, **more: Any) -> Client:
    return Client(
        id=name, name=name, kind="service", owner="o", principal="Workload", methods=methods,
        grants=("client_credentials", "token_exchange"), ceilings={}, environments=("production",), **more,
    )  # fmt: skip


def issuer(name: str, url: str, *roles: Any, **more: Any) -> TrustedIssuer:
    return TrustedIssuer(
        id=name, issuer=url, keys="inline", audiences=(ISSUER,), principal="User", roles=roles, profile="oidc",
        conditions=("claims.email_verified == true",), jwks=(jwk(name),), **more,
    )  # fmt: skip


class NothingRevoked:
    async def revoked(self, names: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], int]:
        return {}


async def authenticator() -> Authenticator:
    clients = (
        client(
            CLIENT,
            "private_key_jwt",
            "client_secret_basic",
            jwks=(jwk("client"),),
            algorithms=("ES256", "PS256", "EdDSA"),
        ),
        client("public", "none"),
    )
    trusted = TrustedIssuers(
        own_issuer=ISSUER,
        issuers={"login": issuer("login", LOGIN, "subject", "actor"), "mute": issuer("mute", "https://mute.example")},
        keys=KeyFinder(fetcher=NoFetch()),
    )
    made = Authenticator(
        issuer=ISSUER,
        clients={c.id: c for c in clients},
        credentials=Store(),
        secrets=SecretVerifier(pepper=PEPPER),
        evidence=Evidences(
            own=OwnTokens(issuer=ISSUER, keys=Keys()), trusted=trusted, revoked=RevocationCheck(NothingRevoked())
        ),
    )
    await made.refresh()
    return made


def request(target: Target, token: str, kind: str) -> TokenRequest:
    form = {"grant_type": TOKEN_EXCHANGE}
    authorization = None
    if target.name == "client-assertion":
        form |= {"grant_type": "client_credentials", "client_assertion": token, "client_assertion_type": ASSERTION_TYPE}
    else:
        authorization = b"Basic c3ZjOm13X3NlY3JldA=="
        form |= {"subject_token": TARGETS[1].good(), "subject_token_type": ACCESS_TOKEN}
        role = target.name.rpartition("-")[2]
        form |= {f"{role}_token": token, f"{role}_token_type": kind}
    return TokenRequest(
        unverified_form={name: (value,) for name, value in form.items()},
        unverified_authorization=authorization,
        received_at=NOW,
    )


async def ask(target: Target, token: str, kind: str = JWT) -> Caller:
    return await (await authenticator()).authenticate(request(target, token, kind), NOW)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
async def test_the_harmless_token_is_taken(target: Target):
    caller = await ask(target, target.good())
    assert caller.client_id == CLIENT
    evidence = {"subject": caller.subject, "actor": caller.actor}.get(target.name.rpartition("-")[2])
    if evidence is not None:
        assert evidence.principal.id == target.claims["sub"]


@pytest.mark.parametrize(
    ("target", "make"), [pytest.param(t, make, id=f"{t.name}-{name}") for t, name, make in cases()]
)
async def test_the_hostile_token_is_refused(target: Target, make: Make):
    with pytest.raises(MintwardenError) as caught:
        await ask(target, make(target))
    expected = ErrorKind.INVALID_CLIENT if target.name == "client-assertion" else ErrorKind.INVALID_REQUEST
    assert caught.value.kind is expected
    assert "\n" not in caught.value.public + caught.value.hint


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (TARGETS[1], ID_TOKEN),
        (TARGETS[2], ID_TOKEN),
        (TARGETS[3], ACCESS_TOKEN),
        (TARGETS[4], ACCESS_TOKEN),
        *((target, "urn:ietf:params:oauth:token-type:refresh_token") for target in TARGETS[1:]),
        *((target, "urn:ietf:params:oauth:token-type:saml2") for target in TARGETS[1:]),
        *((target, "access_token") for target in TARGETS[1:]),
    ],
)
async def test_a_token_of_another_type_than_stated_is_refused(target: Target, kind: str):
    with pytest.raises(MintwardenError) as caught:
        await ask(target, target.good(), kind)
    assert caught.value.kind is ErrorKind.INVALID_REQUEST


def test_the_tokens_are_the_same_every_time(tmp_path: Path):
    count = write(tmp_path / "one")
    assert count == write(tmp_path / "two") == len(list((tmp_path / "one").rglob("*.jwt")))
    for file in (tmp_path / "one").rglob("*.jwt"):
        assert file.read_bytes() == (tmp_path / "two" / file.relative_to(tmp_path / "one")).read_bytes()

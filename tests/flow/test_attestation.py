"""Clients whose instances are attested (draft-ietf-oauth-attestation-based-client-auth), over real HTTP."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from mintwarden.app.config import load_config
from mintwarden.app.wiring import open_service
from tests.flow.company import CLIENT, Company, public, running
from tests.flow.test_dpop import proof

OWN = {"grant_type": "client_credentials", "scope": "payments:read"}
ATTESTER = ECKey.generate_key("P-256")
RULE = """
@id("wallet-reads") @owner("Payments") @reason("the wallet reads itself")
permit (principal is Workload, action == Action::"issue", resource == Scope::"payments:read")
when { ["wallet", "vault"].contains(context.client.id) };
"""


def edit(bundle: Path) -> None:
    for name, more in (("wallet", ""), ("vault", "attestation_challenge = true")):
        text = CLIENT.format(
            id=name, kind="native", method='attest_jwt_client_auth", "attest_jwt_client_auth_dpop', more=more,
            grants='"client_credentials"', ceilings='payments = "*"',
        )  # fmt: skip
        attester = f"[[client.attester_keys]]\n{public(ATTESTER, 'maker')}\n"
        (bundle / "clients" / f"{name}.toml").write_text(text + attester)


@pytest.fixture
async def company(tmp_path: Path) -> AsyncIterator[Company]:
    async with running(tmp_path, rules=RULE, edit=edit) as company:
        yield company


@pytest.fixture
def instance() -> ECKey:
    return ECKey.generate_key("P-256")


def attested(instance: ECKey, **claims: Any) -> dict[str, str]:
    now = int(time.time())
    body = {"sub": "wallet", "iat": now, "exp": now + 3600, "cnf": {"jwk": instance.as_dict(private=False)}, **claims}
    header = {"alg": "ES256", "kid": "maker", "typ": "oauth-client-attestation+jwt"}
    return {"OAuth-Client-Attestation": jwt.encode(header, body, ATTESTER, algorithms=["ES256"])}


def proven(instance: ECKey, **claims: Any) -> dict[str, str]:
    body = {"aud": "https://tokens.example.com", "jti": secrets.token_hex(8), "iat": int(time.time()), **claims}
    header = {"alg": "ES256", "typ": "oauth-client-attestation-pop+jwt"}
    return {"OAuth-Client-Attestation-PoP": jwt.encode(header, body, instance, algorithms=["ES256"])}


async def ask(company: Company, headers: Any, **form: str) -> tuple[int, dict[str, Any]]:
    answer = await company.http.post("/token", data=OWN | form, headers=headers)
    return answer.status_code, answer.json()


async def test_an_attested_instance_is_its_client(company: Company, instance: ECKey) -> None:
    for form in ({}, {"client_id": "wallet"}):
        status, answer = await ask(company, attested(instance) | proven(instance), **form)
        assert (status, answer.get("token_type")) == (200, "Bearer"), answer
    metadata = (await company.http.get("/.well-known/oauth-authorization-server")).json()
    assert {"attest_jwt_client_auth", "attest_jwt_client_auth_dpop"} <= set(
        metadata["token_endpoint_auth_methods_supported"]
    )
    assert metadata["client_attestation_signing_alg_values_supported"] == ["ES256", "ES384", "EdDSA", "PS256"]
    assert metadata["client_attestation_pop_signing_alg_values_supported"] == ["ES256", "ES384", "EdDSA", "PS256"]


async def test_every_way_that_is_not_that_one(company: Company, instance: ECKey) -> None:
    other = ECKey.generate_key("P-256")
    for headers, form in (
        (attested(instance), {}),
        (attested(instance) | proven(other), {}),
        (attested(instance) | proven(instance), {"client_id": "batch"}),
        (attested(instance, sub="batch") | proven(instance), {}),
        (attested(instance) | proof(other), {}),
    ):
        status, answer = await ask(company, headers, **form)
        assert (status, answer["error"]) == (400, "invalid_client_attestation"), headers
    assert await ask(company, proven(instance), client_id="wallet") == await ask(company, {}, client_id="wallet")
    both = attested(instance) | proven(instance)
    twice = [*both.items(), *attested(instance).items()]
    assert (await ask(company, twice))[0] == 400
    stale = await ask(company, attested(instance, exp=int(time.time()) - 60) | proven(instance))
    assert (stale[0], stale[1]["error"]) == (400, "use_fresh_attestation")


async def test_the_proof_counts_once_on_every_node_and_the_attestation_as_long_as_it_lives(
    company: Company, instance: ECKey
) -> None:
    once = attested(instance) | proven(instance)
    assert (await ask(company, once))[0] == 200
    assert (await ask(company, once))[1]["error"] == "invalid_client_attestation"
    other = await open_service(load_config(company.folder / "mintwarden.toml", environ={}))
    try:
        transport = httpx2.ASGITransport(app=other.surface)
        async with httpx2.AsyncClient(transport=transport, base_url="http://other") as http:
            answer = await http.post("/token", data=OWN, headers=once)
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_attestation")
            answer = await http.post("/token", data=OWN, headers={**once, **proven(instance)})
            assert answer.status_code == 200, answer.text
    finally:
        await other.close()


async def test_a_dpop_proof_of_the_attested_key_is_enough_and_binds_the_token(
    company: Company, instance: ECKey
) -> None:
    status, answer = await ask(company, attested(instance) | proof(instance))
    assert (status, answer["token_type"]) == (200, "DPoP"), answer
    assert (await company.claims(answer["access_token"]))["cnf"] == {"jkt": instance.thumbprint()}
    own = ECKey.generate_key("P-256")
    status, answer = await ask(company, attested(instance) | proven(instance) | proof(own))
    assert (await company.claims(answer["access_token"]))["cnf"] == {"jkt": own.thumbprint()}


async def test_a_challenge_is_handed_out_before_the_first_proof(company: Company) -> None:
    metadata = (await company.http.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["challenge_endpoint"] == "https://tokens.example.com/challenge"
    for sent in ({}, {"content": b"{}", "headers": {"content-type": "application/json"}}, {"data": {"a": "b"}}):
        answer = await company.http.post("/challenge", **sent)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        assert list(answer.json()) == ["attestation_challenge"]
    assert "dpop-nonce" not in answer.headers
    assert (await company.http.get("/challenge")).status_code == 405


async def test_a_client_whose_instances_must_answer_challenges(company: Company, instance: ECKey) -> None:
    async def sent(**claims: Any) -> httpx2.Response:
        headers = attested(instance, sub="vault") | proven(instance, **claims)
        return await company.http.post("/token", data=OWN, headers=headers)

    for wrong in ({}, {"challenge": "of somebody"}):
        first = await sent(**wrong)
        assert (first.status_code, first.json()["error"]) == (400, "use_attestation_challenge")
        assert first.headers["cache-control"] == "no-store"
    challenge = first.headers["oauth-client-attestation-challenge"]
    second = await sent(challenge=challenge)
    assert second.status_code == 200, second.text
    assert second.headers["oauth-client-attestation-challenge"], "the next one"
    early = (await company.http.post("/challenge")).json()["attestation_challenge"]
    assert (await sent(challenge=early)).status_code == 200
    once = attested(instance, sub="vault") | proven(instance, challenge=early)
    replies = [(await company.http.post("/token", data=OWN, headers=once)) for _ in range(2)]
    assert [reply.status_code for reply in replies] == [200, 400]
    assert replies[1].json()["error"] == "invalid_client_attestation"
    other = await open_service(load_config(company.folder / "mintwarden.toml", environ={}))
    try:
        transport = httpx2.ASGITransport(app=other.surface)
        async with httpx2.AsyncClient(transport=transport, base_url="http://other") as http:
            headers = attested(instance, sub="vault") | proven(instance, challenge=challenge)
            answer = await http.post("/token", data=OWN, headers=headers)
            assert answer.status_code == 200, "another node knows it"
    finally:
        await other.close()
    bare = await company.http.post("/token", data=OWN, auth=("batch", company.secrets["batch"]))
    assert "oauth-client-attestation-challenge" not in bare.headers, "nobody else is bothered"
    # Without nonces a DPoP proof is as fresh as the instance says it is.
    combined = await ask(company, attested(instance, sub="vault") | proof(instance))
    assert (combined[0], combined[1]["error"]) == (401, "invalid_client")


async def test_with_nonces_a_dpop_proof_is_fresh_enough(tmp_path: Path, instance: ECKey) -> None:
    async with running(tmp_path, server="dpop_nonces = true", rules=RULE, edit=edit) as company:
        nonce = (await company.http.post("/challenge")).headers["dpop-nonce"]
        vault = attested(instance, sub="vault")
        status, answer = await ask(company, vault | proof(instance))
        assert (status, answer["error"]) == (400, "use_dpop_nonce")
        status, answer = await ask(company, vault | proof(instance, nonce=nonce))
        assert (status, answer["token_type"]) == (200, "DPoP")

"""Tokens bound to a key by DPoP (RFC 9449), over real HTTP."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry, serialize_compact

from mintwarden.app.config import load_config
from mintwarden.app.wiring import open_service
from tests.flow.company import ACCESS_TOKEN, EXCHANGE, PAYMENTS, Company, running

OWN = {"grant_type": "client_credentials", "scope": "payments:read"}
REGISTRY = JWSRegistry(algorithms=["ES256"], strict_check_header=False)


def proof(key: ECKey, **claims: Any) -> dict[str, str]:
    """The header with a fresh proof."""
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False)}
    body = {
        "jti": secrets.token_hex(8),
        "htm": "POST",
        "htu": "https://tokens.example.com/token",
        "iat": int(time.time()),
        **claims,
    }
    return {"DPoP": serialize_compact(header, json.dumps(body).encode(), key, registry=REGISTRY)}


async def ask(company: Company, client: str, headers: Any, **form: Any) -> httpx2.Response:
    auth = (client, company.secrets[client])
    return await company.http.post("/token", data=form, auth=auth, headers=headers)


@pytest.fixture
def key() -> ECKey:
    return ECKey.generate_key("P-256")


async def test_a_token_is_bound_to_the_key_of_the_proof(company: Company, key: ECKey) -> None:
    answer = await ask(company, "batch", proof(key), **OWN)
    assert answer.status_code == 200, answer.text
    assert answer.json()["token_type"] == "DPoP"
    claims = await company.claims(answer.json()["access_token"])
    assert claims["cnf"] == {"jkt": key.thumbprint()}
    form, auth = {"token": answer.json()["access_token"]}, ("api", company.secrets["api"])
    told = (await company.http.post("/introspect", data=form, auth=auth)).json()
    assert (told["token_type"], told["cnf"]) == ("DPoP", claims["cnf"])
    metadata = (await company.http.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["dpop_signing_alg_values_supported"] == ["ES256", "ES384", "EdDSA", "PS256"]


async def test_a_proof_counts_once(company: Company, key: ECKey) -> None:
    once = proof(key)
    assert (await ask(company, "batch", once, **OWN)).status_code == 200
    again = await ask(company, "batch", once, **OWN)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_dpop_proof")
    assert (await ask(company, "batch", proof(key), **OWN)).status_code == 200


@pytest.mark.parametrize("client", ["batch", "signer"])
async def test_a_proof_replayed_on_another_node_is_told_as_what_it_is(
    company: Company, key: ECKey, client: str
) -> None:
    other = await open_service(load_config(company.folder / "mintwarden.toml", environ={}))
    try:
        transport = httpx2.ASGITransport(app=other.surface)
        async with httpx2.AsyncClient(transport=transport, base_url="http://other") as http:
            held = proof(key)
            sent = []
            for asked in (company.http, http):
                if client == "signer":
                    form = OWN | company.assertion(int(time.time()))
                    answer = await asked.post("/token", data=form, headers=held)
                else:
                    auth = (client, company.secrets[client])
                    answer = await asked.post("/token", data=OWN, headers=held, auth=auth)
                sent.append((answer.status_code, answer.json().get("error")))
            assert sent == [(200, None), (400, "invalid_dpop_proof")]
    finally:
        await other.close()


async def test_two_proofs_or_none_in_the_header(company: Company, key: ECKey) -> None:
    twice = [("DPoP", proof(key)["DPoP"]), ("DPoP", proof(key)["DPoP"])]
    for headers in (twice, {"DPoP": ""}, {"DPoP": proof(key)["DPoP"] + ", " + proof(key)["DPoP"]}):
        answer = await ask(company, "batch", headers, **OWN)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_dpop_proof")


async def test_a_bound_token_never_becomes_a_bearer_token(company: Company, key: ECKey) -> None:
    person = company.signed_in("alice", int(time.time()))
    form = {"grant_type": EXCHANGE, "resource": PAYMENTS, "scope": "payments:read"}
    bound = await ask(
        company,
        "helper",
        proof(key),
        subject_token=person,
        subject_token_type="urn:ietf:params:oauth:token-type:jwt",
        **form,
    )
    assert bound.status_code == 200, bound.text
    again = {**form, "subject_token": bound.json()["access_token"], "subject_token_type": ACCESS_TOKEN}
    bare = await ask(company, "helper", {}, **again)
    assert (bare.status_code, "access_token" in bare.json()) == (400, False)
    kept = await ask(company, "helper", proof(key), **again)
    assert kept.status_code == 200, kept.text
    assert (await company.claims(kept.json()["access_token"]))["cnf"] == {"jkt": key.thumbprint()}


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[Company]:
    async with running(tmp_path, server="dpop_nonces = true") as made:
        yield made


async def test_where_nonces_are_wanted_the_answer_brings_one(strict: Company, key: ECKey) -> None:
    first = await ask(strict, "batch", proof(key), **OWN)
    assert (first.status_code, first.json()["error"]) == (400, "use_dpop_nonce")
    nonce = first.headers["dpop-nonce"]
    second = await ask(strict, "batch", proof(key, nonce=nonce), **OWN)
    assert second.status_code == 200, second.text
    assert second.headers["dpop-nonce"]
    outlived = await ask(strict, "batch", proof(key, nonce="AAAAAAAAAAE" + nonce[11:]), **OWN)
    assert (outlived.status_code, outlived.json()["error"]) == (400, "use_dpop_nonce")
    fresh = await ask(strict, "batch", proof(key, nonce=outlived.headers["dpop-nonce"]), **OWN)
    assert fresh.status_code == 200, "the refusal brings one that is good"
    bearer = await ask(strict, "batch", {}, **OWN)
    assert (bearer.status_code, bearer.json()["token_type"], "dpop-nonce" in bearer.headers) == (200, "Bearer", False)

"""Administration with tokens that are bound to a key or to a certificate (RFC 9449 section 7, RFC 8705 section 3)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey

from mintwarden.app.config import load_config
from mintwarden.app.wiring import open_service
from tests.flow.company import Company, running
from tests.flow.pki import certificate
from tests.flow.test_dpop import ask, proof
from tests.flow.test_mtls import said

KEYS = "/admin/v1/keys"
ASKED = {"grant_type": "client_credentials", "scope": "mintwarden:keys.read"}
SERVER = 'proxies = ["127.0.0.1/32"]\nclient_certificate_header = "Client-Cert"'


@pytest.fixture
async def company(tmp_path: Path) -> AsyncIterator[Company]:
    def edit(bundle: Path) -> None:
        for file in (bundle / "clients" / "operator.toml",):
            bound = 'grants = ["client_credentials"]\ntls_client_certificate_bound_access_tokens = true'
            file.write_text(file.read_text().replace('grants = ["client_credentials"]', bound))

    async with running(tmp_path, server=SERVER, edit=edit) as company:
        yield company


@pytest.fixture
def key() -> ECKey:
    return ECKey.generate_key("P-256")


def shown(key: ECKey, token: str, scheme: str = "DPoP", **claims: Any) -> dict[str, str]:
    """The headers of a call with a bound token."""
    ath = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
    body = {"htm": "GET", "htu": f"https://tokens.example.com{KEYS}", "ath": ath, **claims}
    return {"Authorization": f"{scheme} {token}", **proof(key, **{k: v for k, v in body.items() if v is not ...})}


async def call(company: Company, headers: Any) -> httpx2.Response:
    return await company.http.get(KEYS, headers=headers)


async def test_a_dpop_token_with_its_proof_and_every_defect(company: Company, key: ECKey) -> None:
    token = (await ask(company, "operator", proof(key), **ASKED)).json()["access_token"]
    for scheme in ("DPoP", "dpop", "DPOP"):
        assert (await call(company, shown(key, token, scheme))).status_code == 200
    query = await company.http.get(f"{KEYS}?", headers=shown(key, token))
    assert query.status_code == 200
    good = shown(key, token)
    defects: dict[str, tuple[Any, str]] = {
        "sent as a bearer token": ({**good, "Authorization": f"Bearer {token}"}, "invalid_token"),
        "without a proof": ({"Authorization": f"DPoP {token}"}, "invalid_dpop_proof"),
        "with two proofs": ([*good.items(), ("DPoP", good["DPoP"])], "invalid_dpop_proof"),
        "with a proof of another key": (shown(ECKey.generate_key("P-256"), token), "invalid_dpop_proof"),
        "without ath": (shown(key, token, ath=...), "invalid_dpop_proof"),
        "with another token's ath": (shown(key, token, ath="x" * 43), "invalid_dpop_proof"),
        "made for another method": (shown(key, token, htm="POST"), "invalid_dpop_proof"),
        "made for another address": (shown(key, token, htu="https://tokens.example.com/token"), "invalid_dpop_proof"),
        "made for another host": (shown(key, token, htu=f"https://evil.example{KEYS}"), "invalid_dpop_proof"),
        "with what is no proof": ({**good, "DPoP": "x"}, "invalid_dpop_proof"),
    }
    for name, (headers, code) in defects.items():
        answer = await call(company, headers)
        assert answer.status_code == 401, name
        assert answer.headers["www-authenticate"].startswith("DPoP "), name
        assert f'error="{code}"' in answer.headers["www-authenticate"], name


async def test_a_proof_counts_once_on_every_node(company: Company, key: ECKey) -> None:
    token = (await ask(company, "operator", proof(key), **ASKED)).json()["access_token"]
    once = shown(key, token)
    assert (await call(company, once)).status_code == 200
    assert (await call(company, once)).status_code == 401
    other = await open_service(load_config(company.folder / "mintwarden.toml", environ={}))
    try:
        transport = httpx2.ASGITransport(app=other.surface)
        async with httpx2.AsyncClient(transport=transport, base_url="http://other") as http:
            answer = await http.get(KEYS, headers=once)
            assert answer.status_code == 401
            assert 'error="invalid_dpop_proof"' in answer.headers["www-authenticate"]
            assert (await http.get(KEYS, headers=shown(key, token))).status_code == 200
    finally:
        await other.close()


async def test_a_token_bound_to_a_certificate(company: Company, key: ECKey) -> None:
    mine, other = certificate("CN=mine"), certificate("CN=other")
    token = (await ask(company, "operator", said(mine), **ASKED)).json()["access_token"]
    bearer = {"Authorization": f"bearer {token}"}
    assert (await call(company, bearer | said(mine))).status_code == 200
    for headers in (bearer, bearer | said(other), shown(key, token), shown(key, token) | said(mine)):
        answer = await call(company, headers)
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_a_bearer_token_as_dpop(company: Company, key: ECKey) -> None:
    token = await company.token("batch", grant_type="client_credentials", scope="payments:read")
    assert (await call(company, shown(key, token))).status_code == 401


async def test_where_nonces_are_wanted_the_challenge_brings_one(tmp_path: Path, key: ECKey) -> None:
    async with running(tmp_path, server="dpop_nonces = true") as company:
        first = await ask(company, "operator", proof(key), **ASKED)
        nonce = first.headers["dpop-nonce"]
        token = (await ask(company, "operator", proof(key, nonce=nonce), **ASKED)).json()["access_token"]
        answer = await call(company, shown(key, token))
        assert answer.status_code == 401
        assert 'error="use_dpop_nonce"' in answer.headers["www-authenticate"]
        again = await call(company, shown(key, token, nonce=answer.headers["dpop-nonce"]))
        assert again.status_code == 200, again.text

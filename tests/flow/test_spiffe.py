"""Clients known by their SPIFFE identity (draft-ietf-oauth-spiffe-client-auth), their trust domain's bundle over real HTTP."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from joserfc import jwt
from joserfc.jwk import ECKey

from mintwarden.authn.certificates import thumbprint
from mintwarden.authn.spiffe import ASSERTION_TYPE
from tests.flow import pki
from tests.flow.company import CLIENT, Company, running
from tests.flow.test_mtls import said
from tests.unit.authn.loopback import Loopback, json_answer

DOMAIN = "spiffe://mesh.example"
ISSUER = f"""
[issuer]
id = "mesh"
profile = "spiffe"
issuer = "{DOMAIN}"
audiences = ["https://tokens.example.com"]
jwks_uri = "https://bundles.example.com/mesh.json"
"""
RULE = """
@id("workloads-read") @owner("Payments") @reason("known by their workload")
permit (principal, action == Action::"issue", resource == Scope::"payments:read")
when { ["settler", "fleet"].contains(context.client.id) };
"""
OWN = {"grant_type": "client_credentials", "scope": "payments:read"}
CA = pki.certificate("O=SPIFFE", authority=True)
KEY = ECKey.generate_key("P-256")


def edit(bundle: Path) -> None:
    (bundle / "issuers" / "mesh.toml").write_text(ISSUER)
    for name, workload in (("settler", "pay/settler"), ("fleet", "fleet/*")):
        text = CLIENT.format(
            id=name, kind="service", method='spiffe_jwt", "spiffe_x509', grants='"client_credentials"',
            ceilings='payments = "*"', more=f'spiffe_id = "{DOMAIN}/{workload}"',
        )  # fmt: skip
        (bundle / "clients" / f"{name}.toml").write_text(text)


@pytest.fixture
async def company(tmp_path: Path) -> AsyncIterator[Company]:
    authority = {"use": "x509-svid", "kty": "EC", "x5c": [base64.b64encode(CA.der).decode()]}
    keys = [{"use": "jwt-svid", "kid": "k", **KEY.as_dict(private=False)}, authority]
    async with Loopback({"/mesh.json": json_answer({"keys": keys, "spiffe_sequence": 1})}) as endpoint:
        more = f'[trusted_issuers."{DOMAIN}"]\njwks_uri = "{endpoint.url}/mesh.json"\n'
        server = 'proxies = ["127.0.0.1/32"]\nclient_certificate_header = "Client-Cert"'
        async with running(tmp_path, server=server, more=more, rules=RULE, edit=edit) as company:
            yield company


def svid(workload: str, **claims: Any) -> dict[str, str]:
    now = int(time.time())
    body = {
        "sub": f"{DOMAIN}/{workload}",
        "aud": ["https://tokens.example.com"],
        "iat": now,
        "exp": now + 300,
        **claims,
    }
    signed = jwt.encode({"alg": "ES256", "kid": "k"}, body, KEY, algorithms=["ES256"])
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}


def shown(workload: str) -> pki.Pair:
    return pki.certificate("O=SPIRE", CA, names=[x509.UniformResourceIdentifier(f"{DOMAIN}/{workload}")], signs=True)


async def test_a_jwt_svid_is_the_client_that_the_request_names(company: Company) -> None:
    for client, workload in (("settler", "pay/settler"), ("fleet", "fleet/ship/7")):
        answer = await company.http.post("/token", data={"client_id": client, **svid(workload), **OWN})
        assert answer.status_code == 200, answer.text
    metadata = (await company.http.get("/.well-known/oauth-authorization-server")).json()
    assert {"spiffe_jwt", "spiffe_x509"} <= set(metadata["token_endpoint_auth_methods_supported"])
    good = svid("pay/settler")
    wrong: list[dict[str, str]] = [
        good,
        {"client_id": "fleet", **good},
        {"client_id": "batch", **good},
        {"client_id": "signer", **good},
        {"client_id": "nobody", **good},
        {"client_id": "settler", **svid("pay/settler", aud="https://tokens.example.com/token")},
        {"client_id": "settler", "client_assertion_type": ASSERTION_TYPE},
        {"client_id": "settler", "client_assertion": good["client_assertion"]},
        {"client_id": "settler", **company.assertion(int(time.time()))},
        {"client_id": "settler"},
    ]
    for form in wrong:
        answer = await company.http.post("/token", data=form | OWN)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), form
    both = {"client_id": "settler", "client_secret": "x", **good}
    answer = await company.http.post("/token", data=both | OWN)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_an_x509_svid_is_the_client_and_what_its_token_is_bound_to(company: Company) -> None:
    pair = shown("pay/settler")
    answer = await company.http.post("/token", data={"client_id": "settler", **OWN}, headers=said(pair))
    assert answer.status_code == 200, answer.text
    claims = await company.claims(answer.json()["access_token"])
    assert claims["cnf"] == {"x5t#S256": thumbprint(pair.der)}
    for client, other in (("fleet", pair), ("settler", shown("pay/other")), ("settler", pki.certificate("O=SPIRE"))):
        answer = await company.http.post("/token", data={"client_id": client, **OWN}, headers=said(other))
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_what_a_jwt_svid_is_for_elsewhere_it_is_not_here(company: Company) -> None:
    """The token that proves a client is no subject token of another audience, and an access token proves no client."""
    token = await company.token("batch", **OWN)
    form = {"client_id": "settler", "client_assertion_type": ASSERTION_TYPE, "client_assertion": token}
    answer = await company.http.post("/token", data=form | OWN)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")

"""Clients known by their SPIFFE identity (draft-ietf-oauth-spiffe-client-auth), their trust domain's bundle over real HTTP."""

from __future__ import annotations

import base64
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
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
CA_TEXT = base64.b64encode(CA.der).decode()
KEY = ECKey.generate_key("P-256")


def edit(bundle: Path) -> None:
    (bundle / "issuers" / "mesh.toml").write_text(ISSUER)
    for name, workload in (("settler", "pay/settler"), ("fleet", "fleet/*")):
        text = CLIENT.format(
            id=name, kind="service", method='spiffe_jwt", "spiffe_x509', grants='"client_credentials"',
            ceilings='payments = "*"', more=f'spiffe_id = "{DOMAIN}/{workload}"',
        )  # fmt: skip
        (bundle / "clients" / f"{name}.toml").write_text(text)


@contextlib.asynccontextmanager
async def meshed(
    tmp_path: Path, *, tls: ssl.SSLContext | None = None, endpoint: str = "", **settings: Any
) -> AsyncIterator[Company]:
    """The company and a bundle endpoint; what `endpoint` adds to the issuer's file says how that is known."""
    authority = {"use": "x509-svid", "kty": "EC", "x5c": [CA_TEXT]}

    def furnish(bundle: Path) -> None:
        edit(bundle)
        file = bundle / "issuers" / "mesh.toml"
        file.write_text(file.read_text() + endpoint)

    keys = [{"use": "jwt-svid", "kid": "k", **KEY.as_dict(private=False)}, authority]
    async with Loopback({"/mesh.json": json_answer({"keys": keys, "spiffe_sequence": 1})}, tls=tls) as serving:
        more = f'[trusted_issuers."{DOMAIN}"]\njwks_uri = "{serving.url}/mesh.json"\n'
        async with running(tmp_path, more=more, rules=RULE, edit=furnish, **settings) as company:
            yield company


@pytest.fixture
async def company(tmp_path: Path) -> AsyncIterator[Company]:
    server = 'proxies = ["127.0.0.1/32"]\nclient_certificate_header = "Client-Cert"\n'
    async with meshed(tmp_path, server=server + 'client_certificate_chain_header = "Client-Cert-Chain"') as company:
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


def shown(workload: str, by: pki.Pair = CA) -> pki.Pair:
    return pki.certificate("O=SPIRE", by, names=[x509.UniformResourceIdentifier(f"{DOMAIN}/{workload}")], signs=True)


def beside(*pairs: pki.Pair) -> dict[str, str]:
    """What a proxy says of what came beside its client's certificate (RFC 9440)."""
    return {"Client-Cert-Chain": ", ".join(f":{base64.b64encode(pair.der).decode()}:" for pair in pairs)}


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


async def test_a_bundle_endpoint_that_its_trust_domain_vouches_for(tmp_path: Path) -> None:
    name = [x509.UniformResourceIdentifier(f"{DOMAIN}/spire/server")]
    good = pki.certificate("O=SPIRE", CA, names=name, signs=True)
    forged = pki.certificate("O=SPIRE", STRANGE, names=name, signs=True)
    for pair, status in ((good, 200), (forged, 503)):
        folder = tmp_path / str(status)
        folder.mkdir()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*pair.write(folder, "endpoint"))
        told = f'endpoint_spiffe_id = "{DOMAIN}/spire/server"\nendpoint_authorities = ["{CA_TEXT}"]\n'
        async with meshed(folder, tls=tls, endpoint=told) as company:
            answer = await company.http.post("/token", data={"client_id": "settler", **svid("pay/settler"), **OWN})
            assert answer.status_code == status, answer.text


INNER = pki.certificate("O=SPIFFE,CN=inner", CA, authority=True, signs=False)
STRANGE = pki.certificate("O=SPIFFE", authority=True)


async def test_an_intermediate_authority_comes_beside_the_svid_in_the_proxys_header(company: Company) -> None:
    pair, form = shown("pay/settler", INNER), {"client_id": "settler", **OWN}
    for chain in (beside(INNER), beside(CA, INNER)):
        answer = await company.http.post("/token", data=form, headers=said(pair) | chain)
        assert answer.status_code == 200, answer.text
        claims = await company.claims(answer.json()["access_token"])
        assert claims["cnf"] == {"x5t#S256": thumbprint(pair.der)}
    other = shown("pay/settler", STRANGE)
    for headers in (said(pair), said(pair) | beside(CA), said(other) | beside(STRANGE), beside(pair, INNER)):
        answer = await company.http.post("/token", data=form, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    twice = [*said(pair).items(), *beside(INNER).items(), *beside(INNER).items()]
    for malformed in (twice, said(pair) | {"Client-Cert-Chain": "::"}, said(pair) | {"Client-Cert-Chain": "x, y"}):
        answer = await company.http.post("/token", data=form, headers=malformed)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_and_over_tls_of_our_own(tmp_path: Path) -> None:
    served = pki.served()
    served.write(tmp_path, "server")
    (tmp_path / "mesh.pem").write_bytes(CA.pem)
    server = 'tls_certificate = "server.pem"\ntls_key = "server.key"\nclient_certificates = "mesh.pem"'
    async with meshed(tmp_path, server=server, verify=pki.shown(served)) as company:
        pair = shown("pay/settler", INNER)
        leaf, key = pair.write(tmp_path, "svid")
        leaf.write_bytes(pair.pem + INNER.pem)
        for headers in ({}, beside(STRANGE)):  # there is no proxy: nobody looks at what a header says
            async with httpx2.AsyncClient(base_url=company.base, verify=pki.shown(served, (leaf, key))) as http:
                answer = await http.post("/token", data={"client_id": "settler", **OWN}, headers=headers)
                assert answer.status_code == 200, answer.text
        # Nobody without a certificate is one by a header.
        answer = await company.http.post(
            "/token", data={"client_id": "settler", **OWN}, headers=said(pair) | beside(INNER)
        )
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_what_a_jwt_svid_is_for_elsewhere_it_is_not_here(company: Company) -> None:
    """The token that proves a client is no subject token of another audience, and an access token proves no client."""
    token = await company.token("batch", **OWN)
    form = {"client_id": "settler", "client_assertion_type": ASSERTION_TYPE, "client_assertion": token}
    answer = await company.http.post("/token", data=form | OWN)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")

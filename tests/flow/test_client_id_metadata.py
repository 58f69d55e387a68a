"""Clients that describe themselves at the URL that is their id, through the whole line."""

from __future__ import annotations

import base64
import json
import secrets
import time
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from mintwarden.authn.certificates import thumbprint
from tests.flow import pki
from tests.flow.company import ASSERTION, running
from tests.flow.test_ciba import DETAILS
from tests.flow.test_dpop import proof as proven
from tests.flow.test_mtls import said as shown
from tests.unit.authn.loopback import Loopback, answer

ISSUER = "http://127.0.0.1:9"
TABLE = """
[client_id_metadata]
hosts = ["127.0.0.1"]
kind = "mcp"
owner = "Payments"
environments = ["production"]
grants = ["client_credentials", "token_exchange"]
[client_id_metadata.ceilings]
payments = ["payments:read"]
"""
RULES = """
@id("mcp-reads") @owner("Payments") @reason("clients that describe themselves read")
permit (principal is Workload, action == Action::"issue", resource == Scope::"payments:read")
when { context.client.kind == "mcp" };
"""


def document(url: str, key: ECKey, **changes: Any) -> bytes:
    said = {
        "client_id": url,
        "client_name": "A client nobody wrote down",
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [{**key.as_dict(private=False), "kid": "one"}]},
        **changes,
    }
    return json.dumps(said).encode()


def proof(url: str, key: ECKey) -> dict[str, str]:
    now = int(time.time())
    claims = {"iss": url, "sub": url, "aud": ISSUER, "iat": now, "exp": now + 60, "jti": secrets.token_hex(8)}
    signed = jwt.encode({"alg": "ES256", "kid": "one"}, claims, key, algorithms=["ES256"])
    return {"grant_type": "client_credentials", "client_assertion_type": ASSERTION, "client_assertion": signed}


async def test_a_client_that_nobody_wrote_down_gets_what_the_bundle_lets_it_have(tmp_path: Path):
    key = ECKey.generate_key("P-256")
    async with (
        Loopback({}) as site,
        running(tmp_path, server=f'issuer = "{ISSUER}"', registration=TABLE, rules=RULES) as company,
    ):
        url = f"{site.url}/client.json"
        site.routes["/client.json"] = answer(body=document(url, key), cache_control="max-age=600")
        metadata = (await company.http.get("/.well-known/oauth-authorization-server")).json()
        assert metadata["client_id_metadata_document_supported"] is True
        assert "private_key_jwt" in metadata["token_endpoint_auth_methods_supported"]

        granted = await company.http.post("/token", data=proof(url, key))
        assert granted.status_code == 200, granted.text
        claims = await company.claims(granted.json()["access_token"])
        assert (claims["sub"], claims["client_id"], claims["scope"]) == (url, url, "payments:read")

        refused = await company.http.post("/token", data={**proof(url, key), "scope": "payments:write"})
        assert refused.json()["error"] == "invalid_scope"
        again = proof(url, key)
        assert (await company.http.post("/token", data=again)).status_code == 200
        assert (await company.http.post("/token", data=again)).status_code == 401
        other = await company.http.post("/token", data=proof(url, ECKey.generate_key("P-256")))
        assert (other.status_code, other.json()["error"]) == (401, "invalid_client")
        assert [path for path, _, _ in site.seen] == ["/client.json"]


async def test_a_confidential_client_does_not_pass_for_a_public_one(tmp_path: Path):
    key = ECKey.generate_key("P-256")
    async with (
        Loopback({}) as site,
        running(tmp_path, server=f'issuer = "{ISSUER}"', registration=TABLE, rules=RULES) as company,
    ):
        url = f"{site.url}/client.json"
        site.routes["/client.json"] = answer(body=document(url, key))
        answered = await company.http.post("/token", data={"grant_type": "client_credentials", "client_id": url})
        assert (answered.status_code, answered.json()["error"]) == (401, "invalid_client")


async def test_a_bundle_that_says_nothing_of_it_lets_nobody_describe_itself(tmp_path: Path):
    key = ECKey.generate_key("P-256")
    async with Loopback({}) as site, running(tmp_path, server=f'issuer = "{ISSUER}"') as company:
        url = f"{site.url}/client.json"
        site.routes["/client.json"] = answer(body=document(url, key))
        assert (await company.http.post("/token", data=proof(url, key))).status_code == 401
        metadata = (await company.http.get("/.well-known/oauth-authorization-server")).json()
        assert metadata["client_id_metadata_document_supported"] is False
        assert site.seen == []


@pytest.mark.parametrize("seen", [False, True])
async def test_bound_to_a_certificate_where_these_are_seen_and_not_let_in_where_they_are_not(
    tmp_path: Path, seen: bool
):
    """It is said where it comes, not token by token; discovery says it before."""
    key, pair = ECKey.generate_key("P-256"), pki.certificate("CN=app")
    proxy = 'proxies = ["127.0.0.1/32"]\nclient_certificate_header = "Client-Cert"\n' if seen else ""
    async with (
        Loopback({}) as site,
        running(tmp_path, server=f'{proxy}issuer = "{ISSUER}"', registration=TABLE, rules=RULES) as company,
    ):
        url = f"{site.url}/client.json"
        site.routes["/client.json"] = answer(
            body=document(url, key, tls_client_certificate_bound_access_tokens=True), cache_control="max-age=600"
        )
        metadata = (await company.http.get("/.well-known/oauth-authorization-server")).json()
        assert metadata.get("tls_client_certificate_bound_access_tokens", False) is seen
        given = await company.http.post("/token", data=proof(url, key), headers=shown(pair))
        by_key = await company.http.post("/token", data=proof(url, key), headers=proven(key, htu=f"{ISSUER}/token"))
        if seen:
            assert given.status_code == 200, given.text
            claims = await company.claims(given.json()["access_token"])
            assert claims["cnf"] == {"x5t#S256": thumbprint(pair.der)}
            assert by_key.json()["token_type"] == "DPoP"
        else:
            for refused in (given, by_key):
                assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


AFTERWARDS = """redirects = ["loopback"]
post_logout_redirects = true
details = ["transfer"]
[client_id_metadata.ceilings]"""
DETAIL = """
@id("mcp-transfers") @owner("Payments") @reason("small amounts")
permit (principal is Workload, action == Action::"issue", resource == Detail::"transfer")
when { context.client.kind == "mcp" && context.detail.amount.lessThanOrEqual(decimal("100.00")) };
"""


async def test_its_authorization_details_and_where_its_people_go_after_signing_out(tmp_path: Path):
    key = ECKey.generate_key("P-256")

    def with_details(bundle: Path) -> None:
        payments = bundle / "audiences/payments.toml"
        payments.write_text(payments.read_text() + DETAILS)

    async with (
        Loopback({}) as site,
        running(
            tmp_path,
            server=f'issuer = "{ISSUER}"',
            registration=TABLE.replace("[client_id_metadata.ceilings]", AFTERWARDS),
            rules=RULES + DETAIL,
            edit=with_details,
        ) as company,
    ):
        url, after = f"{site.url}/client.json", f"{site.url}/bye"
        more = {"authorization_details_types": ["transfer", "other"], "post_logout_redirect_uris": [after]}
        site.routes["/client.json"] = answer(body=document(url, key, **more), cache_control="max-age=600")
        wanted = [{"type": "transfer", "amount": "12.50"}]
        form = {**proof(url, key), "authorization_details": json.dumps(wanted)}
        granted = await company.http.post("/token", data=form)
        assert granted.status_code == 200, granted.text
        assert granted.json()["authorization_details"] == wanted
        left = await company.http.get("/logout", params={"client_id": url, "post_logout_redirect_uri": after})
        assert (left.status_code, "location" in left.headers) == (200, False), "a link alone leads to no stranger"
        assert after in left.text
        for wrong in (f"{after}/", f"{site.url}/elsewhere"):
            refused = await company.http.get("/logout", params={"client_id": url, "post_logout_redirect_uri": wrong})
            assert refused.status_code == 400


async def test_the_limits_are_those_of_the_address_that_names_the_client(tmp_path: Path):
    """At each endpoint where a stranger may name one: whoever makes clients up keeps nobody at another address out."""
    key = ECKey.generate_key("P-256")
    server = f'issuer = "{ISSUER}"\nproxies = ["127.0.0.0/8"]\n'
    table = TABLE.replace('hosts = ["127.0.0.1"]', 'hosts = ["127.0.0.1", "localhost"]')
    async with (
        Loopback({}) as site,
        running(tmp_path, server=server, registration=table, rules=RULES) as company,
    ):
        url, elsewhere = f"{site.url}/client.json", site.url.replace("127.0.0.1", "localhost")
        site.routes["/client.json"] = answer(body=document(url, key), cache_control="max-age=600")

        async def token(name: str, address: str) -> int:
            answered = await company.http.post("/token", data=proof(name, key), headers={"x-forwarded-for": address})
            return answered.status_code

        async def page(name: str, address: str) -> int:
            params = {"client_id": name, "response_type": "code"}
            answered = await company.http.get("/authorize", params=params, headers={"x-forwarded-for": address})
            return answered.status_code

        for number in range(10):
            assert await token(f"{elsewhere}/{number}", "203.0.113.7") == 401
            assert await page(f"{elsewhere}/page-{number}", "203.0.113.7") == 400
        called = len(site.seen)
        assert await token(url, "203.0.113.7") == 503
        assert await page(url, "203.0.113.7") == 503
        assert len(site.seen) == called
        assert await token(url, "198.51.100.1") == 200
        assert await token(url, "203.0.113.7") == 200, "what is kept is for everybody"


async def test_one_that_demands_signed_requests_has_no_others_taken(tmp_path: Path):
    """RFC 9101 section 10.5, by a key of the document or of the set that it names; no `none`, no plain parameters."""
    key = ECKey.generate_key("P-256")
    keys = {"keys": [{**key.as_dict(private=False), "kid": "one"}]}
    by_code = TABLE.replace('grants = ["client_credentials", "token_exchange"]', 'grants = ["authorization_code"]')
    async with (
        Loopback({}) as site,
        running(tmp_path, server=f'issuer = "{ISSUER}"', registration=by_code, rules=RULES) as company,
    ):
        site.routes["/jwks"] = answer(body=json.dumps(keys).encode(), cache_control="max-age=600")
        for path, where in (("/a.json", {"jwks": keys}), ("/b.json", {"jwks": ..., "jwks_uri": f"{site.url}/jwks"})):
            url, back = f"{site.url}{path}", f"{site.url}/back"
            said = json.loads(document(url, key)) | where | {
                "grant_types": ["authorization_code"], "token_endpoint_auth_method": "none", "redirect_uris": [back],
                "require_signed_request_object": True,
            }  # fmt: skip
            body = json.dumps({name: value for name, value in said.items() if value is not ...}).encode()
            site.routes[path] = answer(body=body, cache_control="max-age=600")
            asked = {
                "client_id": url, "redirect_uri": back, "response_type": "code", "scope": "payments:read",
                "code_challenge": "A" * 43, "code_challenge_method": "S256",
            }  # fmt: skip
            plain = await company.http.post("/par", data=asked)
            assert (plain.status_code, plain.json()["error"]) == (400, "invalid_request"), plain.text
            claims = asked | {"iss": url, "aud": ISSUER, "exp": int(time.time()) + 60}
            header = {"alg": "ES256", "kid": "one", "typ": "oauth-authz-req+jwt"}
            signed = jwt.encode(header, claims, key, algorithms=["ES256"])
            unsigned = f"{b64({**header, 'alg': 'none'})}.{signed.split('.')[1]}."
            another = jwt.encode(header, claims, ECKey.generate_key("P-256"), algorithms=["ES256"])
            for bad in (unsigned, another):
                refused = await company.http.post("/par", data={"client_id": url, "request": bad})
                assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request_object")
            taken = await company.http.post("/par", data={"client_id": url, "request": signed})
            assert taken.status_code == 201, taken.text


def b64(part: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()

"""Requests that are good enough for one profile and are not for another, over real HTTP."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry, serialize_compact

from mintwarden.authn.certificates import thumbprint
from tests.flow import pki
from tests.flow.company import ASSERTION, CLIENT, PAYMENTS, Company, public, running
from tests.flow.test_mtls import said

ISSUER = "https://tokens.example.com"
REGISTRY = JWSRegistry(algorithms=["ES256", "ES384"], strict_check_header=False)
RULES = """
@id("bank-reads") @owner("Payments") @reason("the bank settles")
permit (principal == Workload::"bank", action == Action::"issue", resource == Scope::"payments:read");
@id("assistant-reads") @owner("Payments") @reason("the assistant looks")
permit (principal == Workload::"assistant", action == Action::"issue", resource == Scope::"payments:read");
"""


class Held:
    """The company with `bank`, of profile `fapi2`, and `assistant`, of profile `mcp`; `key` is for proofs."""

    def __init__(self, company: Company, keys: dict[str, ECKey]) -> None:
        self.company, self.keys = company, keys
        self.key = ECKey.generate_key("P-256")

    def proof(self, key: ECKey | None = None, algorithm: str = "ES256") -> dict[str, str]:
        key = key or self.key
        header = {"typ": "dpop+jwt", "alg": algorithm, "jwk": key.as_dict(private=False)}
        body = {"jti": secrets.token_hex(8), "htm": "POST", "htu": f"{ISSUER}/token", "iat": int(time.time())}
        return {"DPoP": serialize_compact(header, json.dumps(body).encode(), key, registry=REGISTRY)}

    def form(self, client: str, *, aud: Any = ISSUER, **form: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {"iss": client, "sub": client, "aud": aud, "iat": now, "exp": now + 60, "jti": secrets.token_hex(8)}
        signed = jwt.encode({"alg": "ES256", "kid": client}, claims, self.keys[client])
        assertion = {"client_assertion_type": ASSERTION, "client_assertion": signed}
        return {"grant_type": "client_credentials", "scope": "payments:read", **assertion, **form}

    async def ask(self, form: dict[str, Any], headers: dict[str, str]) -> tuple[int, str]:
        answer = await self.company.http.post("/token", data=form, headers=headers)
        return answer.status_code, answer.json().get("error", answer.json().get("token_type"))


@pytest.fixture
async def held(tmp_path: Path) -> AsyncIterator[Held]:
    keys = {name: ECKey.generate_key("P-256") for name in ("bank", "assistant")}

    def edit(bundle: Path) -> None:
        for name, profile in (("bank", "fapi2"), ("assistant", "mcp")):
            text = CLIENT.format(
                id=name, kind="service", method="private_key_jwt", grants='"client_credentials"',
                more=f'profile = "{profile}"', ceilings='payments = ["payments:read"]',
            )  # fmt: skip
            (bundle / "clients" / f"{name}.toml").write_text(f"{text}[[client.keys]]\n{public(keys[name], name)}\n")

    server = 'proxies = ["127.0.0.1/32"]\nclient_certificate_header = "Client-Cert"'
    async with running(tmp_path, rules=RULES, edit=edit, server=server) as company:
        yield Held(company, keys)


async def test_an_assertion_whose_audience_is_an_array_is_none_under_fapi(held: Held) -> None:
    assert await held.ask(held.form("bank"), held.proof()) == (200, "DPoP")
    for aud in ([ISSUER], [ISSUER, "https://other.example"], f"{ISSUER}/token", [f"{ISSUER}/token"], f"{ISSUER}/"):
        assert await held.ask(held.form("bank", aud=aud), held.proof()) == (401, "invalid_client"), aud
    # Elsewhere the array of the one is allowed (RFC 7523 update), and still nothing else.
    assistant = {"resource": PAYMENTS}
    assert await held.ask(held.form("assistant", aud=[ISSUER], **assistant), {}) == (200, "Bearer")
    assert await held.ask(held.form("assistant", aud=f"{ISSUER}/token", **assistant), {}) == (401, "invalid_client")


async def test_a_bearer_token_is_not_to_be_had_under_fapi(held: Held) -> None:
    assert await held.ask(held.form("bank"), {}) == (400, "invalid_request")


async def test_a_proof_with_a_signature_that_fapi_does_not_know(held: Held) -> None:
    strong = ECKey.generate_key("P-384")
    assert await held.ask(held.form("bank"), held.proof(strong, "ES384")) == (400, "invalid_dpop_proof")
    answer = await held.ask(held.form("assistant", resource=PAYMENTS), held.proof(strong, "ES384"))
    assert answer == (200, "DPoP")


async def test_a_request_that_does_not_say_for_which_server_under_mcp(held: Held) -> None:
    assert await held.ask(held.form("assistant"), {}) == (400, "invalid_target")
    assert await held.ask(held.form("assistant", audience="payments"), {}) == (400, "invalid_target")
    assert await held.ask(held.form("assistant", resource=PAYMENTS), {}) == (200, "Bearer")


async def test_a_certificate_is_a_key_as_well_under_fapi(held: Held) -> None:
    """Whoever holds one gets tokens that are bound to it, though the client proves itself by an assertion."""
    pair = pki.certificate("CN=bank")
    answer = await held.company.http.post("/token", data=held.form("bank"), headers=said(pair))
    assert answer.status_code == 200, answer.text
    claims = await held.company.claims(answer.json()["access_token"])
    assert claims["cnf"] == {"x5t#S256": thumbprint(pair.der)}
    usual = await held.company.http.post(
        "/token", data=held.form("assistant", resource=PAYMENTS), headers=said(pair)
    )  # fmt: skip
    assert "cnf" not in await held.company.claims(usual.json()["access_token"])

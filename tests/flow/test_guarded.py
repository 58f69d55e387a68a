"""An API that takes our tokens through the consumer's guard: tokens of the real service, its real keys."""

from __future__ import annotations

import httpx2

from mintwarden.consumer import Guard, KeyCache, Proofs, ProtectedResource, TokenVerifier, token_of
from tests.flow.company import PAYMENTS, Company

ISSUER = "https://tokens.example.com"


async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": token_of(scope).client_id.encode()})


async def test_an_api_takes_our_tokens_and_leads_the_others_to_us(company: Company):
    async def fetch(url: str) -> bytes:
        return (await company.http.get(url.removeprefix(ISSUER))).content

    resource = ProtectedResource(resource=PAYMENTS, authorization_servers=(ISSUER,), scopes=("payments:read",))
    verifier = TokenVerifier(issuer=ISSUER, audience=PAYMENTS, keys=KeyCache(ISSUER, fetch=fetch), proofs=Proofs())
    guard = Guard(application, resource=resource, verifier=verifier, needed=("payments:read",))
    api = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=guard), base_url="https://api.example.com")
    token = await company.token("batch", grant_type="client_credentials")
    granted = await api.get("/payments", headers={"authorization": f"Bearer {token}"})
    assert (granted.status_code, granted.text) == (200, "batch")
    other = await company.token("operator", grant_type="client_credentials", scope="mintwarden:keys.read")
    assert (await api.get("/payments", headers={"authorization": f"Bearer {other}"})).status_code == 401
    challenge = (await api.get("/payments")).headers["www-authenticate"]
    where = challenge.partition('resource_metadata="')[2].partition('"')[0]
    metadata = (await api.get(where)).json()
    assert (metadata["resource"], metadata["authorization_servers"]) == (PAYMENTS, [ISSUER])

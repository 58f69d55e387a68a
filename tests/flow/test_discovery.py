from __future__ import annotations

import asyncio


async def test_metadata_keys_and_health(company):
    oauth = (await company.http.get("/.well-known/oauth-authorization-server")).json()
    assert oauth["issuer"] == "https://tokens.example.com"
    assert oauth["token_endpoint"] == "https://tokens.example.com/token"
    assert [] not in oauth.values()
    openid = (await company.http.get("/.well-known/openid-configuration")).json()
    assert openid["jwks_uri"] == oauth["jwks_uri"]
    keys = (await company.http.get("/jwks.json")).json()["keys"]
    assert {"d", "p", "q", "k"}.isdisjoint({member for key in keys for member in key})
    assert len({key["kid"] for key in keys}) == len(keys) == 2
    assert (await company.http.get("/healthz")).json() == {"status": "alive"}
    for _ in range(100):
        ready = await company.http.get("/readyz")
        if ready.status_code == 200:
            break
        await asyncio.sleep(0.02)
    assert ready.json()["parts"] == {"bundle": "ok", "store": "ok", "keys": "ok", "ledger": "ok"}


async def test_metrics_count_decisions(company):
    await company.token("batch", grant_type="client_credentials")
    await company.ask("batch", grant_type="client_credentials", scope="payments:write")
    text = (await company.http.get("/metrics")).text
    granted = 'mintwarden_decisions_total{audience="payments",grant="client_credentials",outcome="granted"} 1.0'
    assert granted in text
    assert 'mintwarden_refusals_total{audience="payments",reason="client_ceiling"} 1.0' in text
    assert company.secrets["batch"] not in text

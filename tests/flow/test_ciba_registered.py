"""Clients that register themselves and have people asked (OpenID CIBA Core 1.0 section 4, RFC 7591, RFC 7592)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey

from tests.flow.authorizing import Desk, desk
from tests.flow.browser import Browser
from tests.flow.notified import client_server
from tests.flow.test_ciba import GRANT
from tests.flow.test_device_code import decide, error

TABLE = """
[open_registration]
to = "anyone"
prefix = "self-"
kind = "web"
owner = "Payments"
environments = ["production"]
authentication = ["client_secret_basic"]
grants = ["ciba", "refresh_token"]
backchannel_delivery = ["poll", "push"]
[open_registration.ceilings]
identity = ["openid"]
payments = ["payments:read"]
"""
WORDS: dict[str, Any] = {"grant_types": [GRANT, "refresh_token"], "token_endpoint_auth_method": "client_secret_basic"}
ENDPOINT, MODE = "backchannel_client_notification_endpoint", "backchannel_token_delivery_mode"
SIGNING, CODE = "backchannel_authentication_request_signing_alg", "backchannel_user_code_parameter"


async def test_a_client_that_registered_itself_is_pushed_its_tokens_as_the_bundle_lets_it(tmp_path: Path) -> None:
    async with client_server(204) as there, desk(tmp_path, registration=TABLE) as at:
        http = at.company.http
        for wrong in (
            {MODE: "ping", ENDPOINT: there.url},
            {MODE: "push"},
            {MODE: "push", ENDPOINT: "https://10.0.0.1/cb"},
            {MODE: "push", ENDPOINT: "http://app.example/cb"},
            {SIGNING: "HS256", "jwks": {"keys": [ECKey.generate_key("P-256").as_dict(private=False)]}},
        ):
            refused = await http.post("/register", json={**WORDS, **wrong})
            assert error(refused) == (400, "invalid_client_metadata"), wrong
        answer = await http.post("/register", json={**WORDS, MODE: "push", ENDPOINT: there.url, CODE: True})
        assert answer.status_code == 201, answer.text
        made = answer.json()
        assert (made[MODE], made[ENDPOINT], made[CODE]) == ("push", there.url, False)
        assert SIGNING not in made

        name, document = await asked(at, made, there.next)
        assert document["auth_req_id"] == name
        claims = await at.company.claims(document["access_token"])
        assert (claims["sub"], claims["client_id"], claims["scope"]) == ("alice", made["client_id"], "payments:read")

        path, bearer = f"/register/{made['client_id']}", f"Bearer {made['registration_access_token']}"
        key = {**ECKey.generate_key("P-256").as_dict(private=False), "kid": "a"}
        said = {**WORDS, "client_id": made["client_id"], SIGNING: "ES256", "jwks": {"keys": [key]}}
        changed = await http.put(path, json=said, headers={"authorization": bearer})
        assert (changed.status_code, changed.json()[MODE], changed.json()[SIGNING]) == (200, "poll", "ES256")
        assert ENDPOINT not in changed.json()
        read = (await http.get(path, headers={"authorization": bearer})).json()
        assert (read[MODE], read[SIGNING], read[CODE]) == ("poll", "ES256", False)
        plain = {"scope": "openid payments:read", "login_hint": "alice"}
        unsigned = await http.post("/bc-authorize", data=plain, auth=(made["client_id"], made["client_secret"]))
        assert error(unsigned) == (400, "invalid_request"), "who said that it signs sends nothing else"


async def asked(at: Desk, made: dict[str, Any], heard: Any) -> tuple[str, dict[str, Any]]:
    """The `auth_req_id` of a request that alice allowed, and what its client was sent."""
    form = {"scope": "openid payments:read", "login_hint": "alice", "client_notification_token": "bearer-1"}
    begun = await at.company.http.post("/bc-authorize", data=form, auth=(made["client_id"], made["client_secret"]))
    assert begun.status_code == 200, begun.text
    name, browser = str(begun.json()["auth_req_id"]), Browser(at.company)
    page = await at.through(await browser.get("/approvals", {"r": name.partition(".")[0]}), browser)
    assert (await decide(browser, page)).status_code == 200
    _, document = await heard()
    return name, document

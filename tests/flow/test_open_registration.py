"""Clients that register themselves and manage what they registered: RFC 7591 and RFC 7592, through the whole line."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.authn.ports import ClientRecord
from tests.flow.company import Company, public, running

PUBLISHER = "https://publisher.example"
REDIRECT = "https://app.example/callback"
CREDENTIALS: dict[str, Any] = {
    "client_name": "Made itself", "grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_basic",
}  # fmt: skip
TABLE = """
[open_registration]
to = "{to}"
prefix = "self-"
kind = "mcp"
owner = "Payments"
environments = ["production"]
authentication = ["none", "client_secret_basic", "private_key_jwt"]
grants = ["client_credentials", "token_exchange"]
redirects = ["https", "loopback"]
per_hour = {per_hour}
most = {most}
{more}
[open_registration.ceilings]
payments = ["payments:read"]
"""
RULES = """
@id("mcp-reads") @owner("Payments") @reason("clients that registered themselves read")
permit (principal is Workload, action == Action::"issue", resource == Scope::"payments:read")
when { context.client.kind == "mcp" };
"""
REGISTER_SCOPE = '[scopes."mintwarden:clients.register"]\nmeaning = "Register clients"\ntier = "low"\n'


def table(*, to: str = "anyone", per_hour: int = 1000, most: int = 100, more: str = "") -> str:
    return TABLE.format(to=to, per_hour=per_hour, most=most, more=more)


def _edit(bundle: Path) -> None:
    audience = bundle / "audiences" / "mintwarden.toml"
    audience.write_text(audience.read_text() + REGISTER_SCOPE)


@pytest.fixture
async def company(tmp_path: Path) -> AsyncIterator[Company]:
    async with running(tmp_path, registration=table(), rules=RULES) as company:
        yield company


async def register(company: Company, **changes: Any) -> Any:
    said = {name: value for name, value in {**CREDENTIALS, **changes}.items() if value is not ...}
    return await company.http.post("/register", json=said)


async def made(company: Company, **changes: Any) -> dict[str, Any]:
    answered = await register(company, **changes)
    assert answered.status_code == 201, answered.text
    assert answered.headers["cache-control"] == "no-store"
    return dict(answered.json())


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def own(client: dict[str, Any]) -> tuple[str, dict[str, str]]:
    return f"/register/{client['client_id']}", bearer(client["registration_access_token"])


async def test_a_client_registers_itself_and_gets_what_the_bundle_lets_it_have(company):
    metadata = (await company.http.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["registration_endpoint"] == "https://tokens.example.com/register"
    client = await made(company, scope="payments:read payments:write nonsense", id_token_signed_response_alg="none")
    assert client["client_id"].startswith("self-")
    assert client["client_secret_expires_at"] == 0
    assert client["registration_client_uri"] == f"https://tokens.example.com/register/{client['client_id']}"
    assert (client["scope"], client["grant_types"]) == ("payments:read", ["client_credentials"])
    assert "id_token_signed_response_alg" not in client
    credentials = (client["client_id"], client["client_secret"])
    granted = await company.http.post("/token", data={"grant_type": "client_credentials"}, auth=credentials)
    assert granted.status_code == 200, granted.text
    claims = await company.claims(granted.json()["access_token"])
    assert (claims["sub"], claims["scope"]) == (client["client_id"], "payments:read")
    for wanted in ("payments:write", "ledger:read"):
        form = {"grant_type": "client_credentials", "scope": wanted}
        assert (await company.http.post("/token", data=form, auth=credentials)).json()["error"] == "invalid_scope"


async def test_read_update_and_delete(company):
    client = await made(company)
    path, headers = own(client)
    read = await company.http.get(path, headers=headers)
    assert read.status_code == 200
    assert read.json() == {name: value for name, value in client.items() if not name.startswith("client_secret")}

    said = {**CREDENTIALS, "client_id": client["client_id"], "client_name": "Renamed", "scope": "payments:read"}
    updated = await company.http.put(path, headers=headers, json=said)
    assert (updated.status_code, updated.json()["client_name"]) == (200, "Renamed")
    with_secret = {**said, "client_secret": client["client_secret"]}
    assert (await company.http.put(path, headers=headers, json=with_secret)).status_code == 200
    credentials = (client["client_id"], client["client_secret"])
    form = {"grant_type": "client_credentials"}
    token = (await company.http.post("/token", data=form, auth=credentials)).json()["access_token"]
    api = ("api", company.secrets["api"])
    assert (await company.http.post("/introspect", data={"token": token}, auth=api)).json()["active"] is True

    assert (await company.http.delete(path, headers=headers)).status_code == 204
    for call in (company.http.get, company.http.delete):
        assert (await call(path, headers=headers)).status_code == 401
    assert (await company.http.put(path, headers=headers, json=said)).status_code == 401
    assert (await company.http.post("/token", data=form, auth=credentials)).status_code == 401
    gone = await company.http.post("/introspect", data={"token": token}, auth=api)
    assert gone.json() == {"active": False}


async def test_what_is_left_out_of_an_update_is_gone(company):
    client = await made(company, redirect_uris=[REDIRECT], scope="payments:read", client_uri="https://app.example")
    path, headers = own(client)
    said = {**CREDENTIALS, "client_id": client["client_id"]}
    updated = (await company.http.put(path, headers=headers, json=said)).json()
    assert updated["redirect_uris"] == []
    assert "client_uri" not in updated


async def test_from_a_secret_to_a_key_and_back(company):
    key = ECKey.generate_key("P-256")
    client = await made(company)
    path, headers = own(client)
    by_key = {
        **CREDENTIALS, "client_id": client["client_id"], "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [{**key.as_dict(private=False), "kid": "a"}]},
    }  # fmt: skip
    assert (await company.http.put(path, headers=headers, json=by_key)).status_code == 200
    form = {"grant_type": "client_credentials"}
    old = (client["client_id"], client["client_secret"])
    assert (await company.http.post("/token", data=form, auth=old)).status_code == 401
    back = await company.http.put(path, headers=headers, json={**CREDENTIALS, "client_id": client["client_id"]})
    assert back.json()["client_secret"] != client["client_secret"]
    assert (await company.http.post("/token", data=form, auth=old)).status_code == 401
    new = (client["client_id"], back.json()["client_secret"])
    assert (await company.http.post("/token", data=form, auth=new)).status_code == 200


BAD_REDIRECTS: dict[str, dict[str, Any]] = {
    "a fragment": {"redirect_uris": [REDIRECT + "#x"]},
    "plain http": {"redirect_uris": ["http://app.example/callback"]},
    "a script": {"redirect_uris": ["javascript:alert(1)"]},
    "a star": {"redirect_uris": ["https://*.example/callback"]},
    "loopback for the web": {"application_type": "web", "redirect_uris": ["http://127.0.0.1/cb"]},
    "localhost by https for the web": {"application_type": "web", "redirect_uris": ["https://localhost/cb"]},
    "a scheme of its own for the web": {"application_type": "web", "redirect_uris": ["com.example:/cb"]},
    "a scheme that the bundle does not allow": {"application_type": "native", "redirect_uris": ["com.example:/cb"]},
    "a directive behind the host": {"redirect_uris": ["https://app.example;sandbox/callback"]},
    "a host that no page can name": {"redirect_uris": ["https://the_app.example/callback"]},
    "a directive after signing out": {"post_logout_redirect_uris": ["https://app.example,sandbox/bye"]},
    "a script after signing out": {"post_logout_redirect_uris": ["javascript:alert(1)"]},
    "a fragment after signing out": {"post_logout_redirect_uris": [REDIRECT + "#x"]},
    "plain http after signing out": {"post_logout_redirect_uris": ["http://app.example/bye"]},
    "no array": {"redirect_uris": REDIRECT},
    "none for the grant by code": {"grant_types": ["authorization_code"]},
}
TOLD: dict[str, Any] = {"redirect_uris": [REDIRECT]}
BAD_METADATA: dict[str, dict[str, Any]] = {
    "an unknown application type": {"application_type": "toaster"},
    "a method that the bundle does not allow": {"token_endpoint_auth_method": "client_secret_post"},
    "a method that nobody knows": {"token_endpoint_auth_method": "wish"},
    "no grant that is allowed": {"grant_types": ["password"]},
    "the implicit grant": {"grant_types": ["client_credentials", "implicit"], "response_types": ["token"]},
    "response types that do not fit": {"response_types": ["code"]},
    "client credentials without authentication": {"token_endpoint_auth_method": "none"},
    "keys and a place for keys": {"jwks": {"keys": [{"kty": "EC"}]}, "jwks_uri": "https://app.example/k"},
    "a place for keys": {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://app.example/k"},
    "tokens bound to certificates that nobody here sees": {"tls_client_certificate_bound_access_tokens": True},
    "keys that are needed": {"token_endpoint_auth_method": "private_key_jwt"},
    "keys that are none": {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [{"kty": "EC"}]}},
    "a private key": {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [{"kty": "EC", "d": "AA"}]}},
    "a host that is told and nobody is sent to": {**TOLD, "backchannel_logout_uri": "https://victim.example/told"},
    "another port": {**TOLD, "backchannel_logout_uri": "https://app.example:8443/told"},
    "a host that looks alike": {**TOLD, "backchannel_logout_uri": "https://app.example.evil.example/told"},
    "a host with credentials": {**TOLD, "backchannel_logout_uri": "https://app.example@evil.example/told"},
    "plain http": {**TOLD, "backchannel_logout_uri": "http://app.example/told"},
    "a fragment": {**TOLD, "backchannel_logout_uri": "https://app.example/told#x"},
    "a scheme of its own": {**TOLD, "backchannel_logout_uri": "com.example:/told"},
    "told without anybody sent there": {"backchannel_logout_uri": "https://app.example/told"},
    "a session that is no truth": {**TOLD, "backchannel_logout_session_required": "true"},
    "details that are no texts": {"authorization_details_types": [7]},
    "a name that is none": {"client_name": 7},
    "a script for a logo": {"logo_uri": "javascript:alert(1)"},
    "a scope that is none": {"scope": 'a"b'},
}


async def test_bad_metadata_by_name(company):
    for expected, cases in (("invalid_redirect_uri", BAD_REDIRECTS), ("invalid_client_metadata", BAD_METADATA)):
        for name, changes in cases.items():
            answered = await register(company, **changes)
            assert (answered.status_code, answered.json()["error"]) == (400, expected), f"{name}: {answered.text}"


@pytest.mark.parametrize(
    "name", ["\u3164", " ", "\u2800\u2800", "Pay\u115fments", "A" + "\u0336" * 9, "\u0301", "Bank\U000e0101"]
)
async def test_a_name_of_which_people_see_nothing_or_too_much(company, name):
    answered = await register(company, client_name=name)
    assert (answered.status_code, answered.json()["error"]) == (400, "invalid_client_metadata")


@pytest.mark.parametrize("name", ["Zoë & Søn", "支付", "חשבון", "ธนาคาร", "बैंक", "I \u2764\ufe0f books"])
async def test_a_name_in_whatever_letters(company, name):
    assert (await made(company, client_name=name))["client_name"] == name


async def test_what_is_no_registration(company):
    for body, kind, expected in (
        (b"[]", "application/json", 400),
        (b"{", "application/json", 400),
        (b'{"a": 1, "a": 2}', "application/json", 400),
        (b"{}", "text/plain", 415),
        (b" " * 40_000, "application/json", 413),
    ):
        answered = await company.http.post("/register", content=body, headers={"content-type": kind})
        assert answered.status_code == expected, body[:10]
    assert (await company.http.get("/register")).status_code == 405
    assert (await company.http.post("/register/self-x")).status_code == 405


async def test_a_token_speaks_for_its_client_alone_and_every_wrong_one_looks_alike(company):
    one, other = await made(company), await made(company)
    path, _ = own(one)
    answers = set()
    for target, token in (
        (path, other["registration_access_token"]),
        (path, "mwg_wrong"),
        (path, one["client_secret"]),
        ("/register/self-nobody", one["registration_access_token"]),
        ("/register/batch", one["registration_access_token"]),
    ):
        answered = await company.http.get(target, headers=bearer(token))
        answers.add((answered.status_code, answered.text, answered.headers["www-authenticate"]))
    ((status, _, challenge),) = answers
    assert status == 401
    assert 'error="invalid_token"' in challenge
    assert (await company.http.get(path)).status_code == 401


async def test_an_update_that_says_what_is_not_its_to_say(company):
    client = await made(company)
    path, headers = own(client)
    for changes in (
        {"client_id": ...},
        {"client_id": "self-other"},
        {"client_secret": "mw_wrong"},
        {"registration_access_token": "mwg_x"},
        {"registration_client_uri": "https://x.example"},
        {"client_id_issued_at": 1},
        {"client_secret_expires_at": 0},
    ):
        said = {**CREDENTIALS, "client_id": client["client_id"], **changes}
        kept = {name: value for name, value in said.items() if value is not ...}
        answered = await company.http.put(path, headers=headers, json=kept)
        assert (answered.status_code, answered.json()["error"]) == (400, "invalid_client_metadata"), changes


async def test_nobody_registers_where_the_bundle_says_nothing(tmp_path: Path):
    async with running(tmp_path) as company:
        assert (await register(company)).status_code == 404
        assert (await company.http.get("/register/self-x", headers=bearer("mwg_x"))).status_code == 404
        metadata = (await company.http.get("/.well-known/oauth-authorization-server")).json()
        assert "registration_endpoint" not in metadata


async def test_an_initial_access_token_is_a_token_of_ours_with_that_scope(tmp_path: Path):
    async with running(tmp_path, registration=table(to="initial_access_token"), rules=RULES, edit=_edit) as company:
        assert (await register(company)).status_code == 401
        form = {"grant_type": "client_credentials", "audience": "https://tokens.example.com/admin"}
        short = await company.token("operator", **form, scope="mintwarden:clients.read")
        lacking = await company.http.post("/register", json=CREDENTIALS, headers=bearer(short))
        assert (lacking.status_code, lacking.json()["error"]) == (403, "insufficient_scope")
        assert 'scope="mintwarden:clients.register"' in lacking.headers["www-authenticate"]
        foreign = await company.token("batch", grant_type="client_credentials")
        assert (await company.http.post("/register", json=CREDENTIALS, headers=bearer(foreign))).status_code == 401
        initial = await company.token("operator", **form, scope="mintwarden:clients.register")
        answered = await company.http.post("/register", json=CREDENTIALS, headers=bearer(initial))
        assert answered.status_code == 201, answered.text


async def test_however_many_register_at_once_there_are_no_more_than_may_be(tmp_path):
    async with running(tmp_path, registration=table(most=3), rules=RULES) as company:
        answers = await asyncio.gather(*(register(company) for _ in range(20)))
        assert sorted(answer.status_code for answer in answers) == [201] * 3 + [503] * 17


async def test_clients_of_others_take_nobody_s_place(tmp_path: Path):
    """Those whose ids begin otherwise, before and behind in the order of ids."""
    async with running(tmp_path, registration=table(most=2), rules=RULES) as company:
        async with foundation(load_config(company.folder / "mintwarden.toml", environ={})) as base:
            for name in ("a", "self", "self,", "self.a", "self.b", "selfish", "z"):
                kept = ClientRecord(client_id=name, record=b"{}", version=1, changed_at=1)
                assert await base.store.credentials.put_client(kept)
        assert [(await register(company)).status_code for _ in range(3)] == [201, 201, 503]


async def test_an_address_registers_so_often_and_there_are_so_many(tmp_path: Path):
    async with running(tmp_path, registration=table(most=2), rules=RULES) as company:
        assert [(await register(company)).status_code for _ in range(3)] == [201, 201, 503]
    (tmp_path / "other").mkdir()
    async with running(tmp_path / "other", registration=table(per_hour=2), rules=RULES) as company:
        assert [(await register(company)).status_code for _ in range(3)] == [201, 201, 429]


async def test_software_statements(tmp_path: Path):
    key, stranger = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    text = table(more="statement_required = true")
    text += f'[[open_registration.publishers]]\nissuer = "{PUBLISHER}"\n[[open_registration.publishers.keys]]\n'
    text += public(key, "p-1")
    now = int(time.time())

    def statement(signer: ECKey, **claims: Any) -> str:
        said = {"iss": PUBLISHER, "software_id": "s-1", "client_name": "Approved", **claims}
        return jwt.encode({"alg": "ES256", "kid": "p-1"}, said, signer, algorithms=["ES256"])

    async with running(tmp_path, registration=text, rules=RULES) as company:
        client = await made(company, software_statement=statement(key))
        # What the statement says stands before what the client says.
        assert (client["client_name"], client["software_id"]) == ("Approved", "s-1")
        assert client["software_statement"]
        for bad, expected in (
            (statement(stranger), "invalid_software_statement"),
            (statement(key, exp=now - 3600), "invalid_software_statement"),
            (statement(key, aud="https://elsewhere.example"), "invalid_software_statement"),
            ("not a JWT", "invalid_software_statement"),
            (7, "invalid_software_statement"),
            (statement(key, iss="https://stranger.example"), "unapproved_software_statement"),
            (..., "invalid_client_metadata"),
        ):
            answered = await register(company, software_statement=bad)
            assert (answered.status_code, answered.json()["error"]) == (400, expected), bad


async def test_registering_is_in_the_ledger_and_nothing_secret_is_kept(tmp_path: Path):
    async with running(tmp_path, registration=table(), rules=RULES) as company:
        client = await made(company, contacts=["alice@app.example"])
        path, headers = own(client)
        await company.http.delete(path, headers=headers)
    async with foundation(load_config(tmp_path / "mintwarden.toml", environ={})) as base:
        written = json.dumps([str(entry) for entry in await base.store.entries.by_index(0, 100)])
        for change in ("client registered itself", "client deleted itself"):
            assert change in written
    everything = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    for secret in (client["client_secret"], client["registration_access_token"], "alice@app.example"):
        assert secret.encode() not in everything

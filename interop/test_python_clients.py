"""Authlib and requests-oauthlib, with which most programs in Python come: codes, refresh, services, signing keys."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session as Authlib
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc7523.auth import private_key_jwt_sign
from joserfc.jwk import ECKey
from oauthlib.oauth2 import BackendApplicationClient
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session as RequestsOAuthlib

from interop.person import Person

REDIRECT = "http://127.0.0.1:7/signed-in"
SCOPES = ["openid", "customers:read.basic"]
KAI = {"login_hint": "kai.jensen@meridian.example", "tenant": "alpine"}


@pytest.fixture(autouse=True)
def plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both clients refuse plain http, also on loopback, unless they are told."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


def client(manifest: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in manifest["clients"] if one["client_id"] == name)


async def allowed(manifest: dict[str, Any], url: str) -> str:
    """Where the browser comes back to, after its person signed in and allowed what was asked."""
    sign_in = next(one["issuer"] for one in manifest["trusted_issuers"] if one["id"] == "login")
    async with httpx2.AsyncClient() as http:
        return await Person(manifest["issuer"], None, http, sign_in).allow(url)


async def test_authlib_brings_a_person_renews_and_revokes(manifest: dict[str, Any]):
    ends = manifest["endpoints"]
    app = Authlib(
        "pocket",
        scope=" ".join(SCOPES),
        redirect_uri=REDIRECT,
        code_challenge_method="S256",
        token_endpoint_auth_method="none",
    )
    verifier = "v" * 50
    url, state = app.create_authorization_url(
        ends["authorization_endpoint"], code_verifier=verifier, nonce="n-1", **KAI
    )
    back = await allowed(manifest, url)
    token = app.fetch_token(ends["token_endpoint"], authorization_response=back, code_verifier=verifier, state=state)
    assert (token["scope"], token["token_type"]) == ("customers:read.basic", "Bearer")
    assert token["id_token"]
    renewed = app.refresh_token(ends["token_endpoint"], refresh_token=token["refresh_token"])
    assert renewed["refresh_token"] != token["refresh_token"]
    answer = app.revoke_token(ends["revocation_endpoint"], renewed["refresh_token"], token_type_hint="refresh_token")
    assert answer.status_code == 200
    with pytest.raises(OAuthError, match="invalid_grant"):
        app.refresh_token(ends["token_endpoint"], refresh_token=renewed["refresh_token"])


class Assertion(PrivateKeyJWT):  # type: ignore[misc]
    """As docs/token.md tells users of Authlib to write it."""

    def sign(self, auth: Any, token_endpoint: str) -> Any:
        return private_key_jwt_sign(
            auth.client_secret, client_id=auth.client_id, token_endpoint=token_endpoint, alg="ES256", expires_in=60
        )


@pytest.mark.parametrize(
    ("method", "audience", "taken"), [(Assertion, "issuer", True), (Assertion, "token_endpoint", False)]
)
def test_authlib_signs_for_a_service(manifest: dict[str, Any], method: type[Any], audience: str, taken: bool):
    ends, own = manifest["endpoints"], client(manifest, "payments-api")
    key = ECKey.import_key(own["private_key_jwk"])
    app = Authlib("payments-api", key, scope="flags:evaluate", token_endpoint_auth_method="private_key_jwt")
    app.register_client_auth_method(method(manifest["issuer"] if audience == "issuer" else ends["token_endpoint"]))
    if not taken:
        with pytest.raises(OAuthError, match="invalid_client"):
            app.fetch_token(ends["token_endpoint"], grant_type="client_credentials")
        return
    got = [app.fetch_token(ends["token_endpoint"], grant_type="client_credentials")["scope"] for _ in range(2)]
    assert got == ["flags:evaluate"] * 2, "each assertion is another"


async def test_requests_oauthlib_brings_a_person_and_renews(manifest: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    """It takes another scope than asked for an error unless told otherwise; `openid` is none of the API's token."""
    monkeypatch.setenv("OAUTHLIB_RELAX_TOKEN_SCOPE", "1")
    ends = manifest["endpoints"]
    app = RequestsOAuthlib("pocket", redirect_uri=REDIRECT, scope=SCOPES, pkce="S256")
    url, _ = app.authorization_url(ends["authorization_endpoint"], **KAI)
    token = app.fetch_token(
        ends["token_endpoint"],
        authorization_response=await allowed(manifest, url),
        include_client_id=True,
    )
    assert list(token["scope"]) == ["customers:read.basic"]
    renewed = app.refresh_token(ends["token_endpoint"], client_id="pocket")
    assert renewed["refresh_token"] != token["refresh_token"]


def test_requests_oauthlib_as_a_service(manifest: dict[str, Any]):
    own = client(manifest, "flags-relay")
    app = RequestsOAuthlib(client=BackendApplicationClient("flags-relay", scope=["flags:evaluate"]))
    token = app.fetch_token(
        manifest["endpoints"]["token_endpoint"], auth=HTTPBasicAuth("flags-relay", own["client_secret"])
    )
    assert list(token["scope"]) == ["flags:evaluate"]

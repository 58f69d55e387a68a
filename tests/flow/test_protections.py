"""Clients that introduce themselves and ask for more protection than everybody has: it is kept, or they are refused.

A client that was answered 201 stands on what it said; metadata that is passed over would be a silent downgrade.
"""

from __future__ import annotations

import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
import pytest_asyncio
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry, serialize_compact
from msgspec import Struct

from mintwarden.authn.certificates import thumbprint
from tests.flow import pki
from tests.flow.authorizing import Asking, Desk, desk, response
from tests.flow.authorizing import client as write
from tests.flow.browser import ISSUER, Browser, Form
from tests.flow.company import ASSERTION, public
from tests.flow.fapi import error
from tests.flow.test_dpop import proof
from tests.flow.test_mtls import said as shown

pytestmark = pytest.mark.asyncio(loop_scope="module")

BACK = "https://stranger.example/back"
OBJECT = "oauth-authz-req+jwt"
REGISTRY = JWSRegistry(algorithms=["ES256", "EdDSA", "Ed25519"], strict_check_header=False)
OPEN = """
[open_registration]
to = "anyone"
prefix = "self-"
kind = "third_party"
owner = "Payments"
environments = ["production"]
authentication = ["none", "client_secret_basic", "private_key_jwt"]
grants = ["authorization_code", "refresh_token", "client_credentials"]
per_hour = 1000
[open_registration.ceilings]
identity = "*"
payments = ["payments:read"]
"""
RULES = """
@id("strangers-read") @owner("Payments") @reason("clients that registered themselves read")
permit (principal is Workload, action == Action::"issue", resource == Scope::"payments:read")
when { context.client.kind == "third_party" };
"""
SERVER = 'proxies = ["127.0.0.1/32"]\nclient_certificate_header = "Client-Cert"'
ENCRYPTED = ("id_token", "userinfo", "authorization", "introspection")
SERVICE: dict[str, Any] = {
    "redirect_uris": [],
    "grant_types": ["client_credentials"],
    "token_endpoint_auth_method": "client_secret_basic",
}


class Keys(Struct, frozen=True):
    """A client's keys of two kinds, and one that is nobody's."""

    ec: ECKey
    other: ECKey

    @property
    def jwks(self) -> dict[str, Any]:
        return {"keys": [{**self.ec.as_dict(private=False), "kid": "ec"}]}


class Stage(Struct, frozen=True):
    """The desk, and a client's keys."""

    at: Desk
    keys: Keys

    async def register(self, **changes: Any) -> httpx2.Response:
        said = {
            "client_name": "Stranger",
            "redirect_uris": [BACK],
            "grant_types": ["authorization_code"],
            "token_endpoint_auth_method": "none",
            "jwks": self.keys.jwks,
        } | changes
        return await self.at.company.http.post("/register", json={k: v for k, v in said.items() if v is not ...})

    async def made(self, **changes: Any) -> dict[str, Any]:
        answered = await self.register(**changes)
        assert answered.status_code == 201, answered.text
        return dict(answered.json())

    def object(self, asked: Asking, *, key: ECKey | None = None, header: dict[str, Any] | None = None) -> str:
        now = int(time.time())
        said = asked.parameters | {"iss": asked.client, "aud": ISSUER, "nbf": now, "exp": now + 60}
        head = {"alg": "ES256", "kid": "ec", "typ": OBJECT} | (header or {})
        return serialize_compact(head, json.dumps(said).encode(), key or self.keys.ec, registry=REGISTRY)

    async def push(self, client: dict[str, Any], **form: str) -> httpx2.Response:
        """As the client, by its secret where it has one."""
        http, name = self.at.company.http, client["client_id"]
        if "client_secret" in client:
            return await http.post("/par", data=form, auth=(name, client["client_secret"]))
        return await http.post("/par", data={"client_id": name, **form})

    async def token(self, client: dict[str, Any], headers: Any = None, **form: str) -> httpx2.Response:
        http, name = self.at.company.http, client["client_id"]
        if "client_secret" in client:
            return await http.post("/token", data=form, headers=headers, auth=(name, client["client_secret"]))
        return await http.post("/token", data={"client_id": name, **form}, headers=headers)

    async def ask(self, **parameters: str) -> httpx2.Response:
        return await Browser(self.at.company).get("/authorize", parameters)


def told(page: httpx2.Response) -> str:
    """The error that a stranger is told, by the link on the page that says where it leads."""
    assert page.status_code == 400, page.headers
    (link,) = Form(page.text).links
    assert link.startswith(f"{BACK}?"), link
    return dict(parse_qsl(urlsplit(link).query))["error"]


def unsigned(asked: Asking, algorithm: str) -> str:
    """A request object that nobody signed."""
    said = asked.parameters | {"iss": asked.client, "aud": ISSUER, "exp": int(time.time()) + 60}
    parts = (json.dumps(part).encode() for part in ({"alg": algorithm, "typ": OBJECT}, said))
    return ".".join((*(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), ""))


WRITTEN = """dpop_bound_access_tokens = true
request_object_signing_alg = "ES384"
default_max_age = "500s"
default_acr_values = ["phr"]
algorithms = ["ES256", "ES384"]
[client.ceilings]
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    keys = Keys(ECKey.generate_key("P-256"), ECKey.generate_key("P-256"))

    def edit(bundle: Path) -> None:
        """A client as code, held to the same."""
        own = f"[[client.keys]]\n{public(keys.ec, 'ec')}\n"
        write(bundle, "written", "none", BACK, kind="native", authorization='consent = "implicit"', more=own)
        file = bundle / "clients/written.toml"
        file.write_text(file.read_text().replace("[client.ceilings]\n", WRITTEN))

    folder = tmp_path_factory.mktemp("desk")
    async with desk(folder, registration=OPEN, rules=RULES, server=SERVER, edit=edit) as at:
        yield Stage(at, keys)


# -- signed requests ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["none", "client_secret_basic"])
async def test_who_demands_signed_requests_has_no_others_taken(stage: Stage, method: str) -> None:
    """RFC 9101 section 10.5: whoever copies its address into a request of their own gets no code for it."""
    client = await stage.made(require_signed_request_object=True, token_endpoint_auth_method=method)
    assert client["require_signed_request_object"] is True
    assert client["jwks"] == stage.keys.jwks, "the keys by which its requests are known are kept"
    asked = Asking(client["client_id"], BACK)
    assert told(await stage.ask(**asked.parameters)) == "invalid_request"
    assert error(await stage.push(client, **asked.parameters)) == (400, "invalid_request")
    for bad in (
        unsigned(asked, "none"),
        unsigned(asked, "NONE"),
        unsigned(asked, "HS256"),
        stage.object(asked, key=stage.keys.other),
        stage.object(asked).rpartition(".")[0] + ".",
    ):
        beside = {"client_id": client["client_id"], "redirect_uri": BACK, "request": bad}
        assert told(await stage.ask(**beside)) == "invalid_request_object"
        assert error(await stage.push(client, request=bad)) == (400, "invalid_request_object")

    good = await stage.ask(client_id=client["client_id"], request=stage.object(asked))
    assert good.headers["location"].startswith("/signin?")
    pushed = await stage.push(client, request=stage.object(asked))
    assert pushed.status_code == 201, pushed.text
    goes_on = await stage.ask(client_id=client["client_id"], request_uri=pushed.json()["request_uri"])
    assert goes_on.headers["location"].startswith("/signin?")


async def test_who_demands_it_later_is_not_answered_for_what_was_pushed_before(stage: Stage) -> None:
    client = await stage.made()
    assert client["require_signed_request_object"] is False
    asked = Asking(client["client_id"], BACK)
    name = (await stage.push(client, **asked.parameters)).json()["request_uri"]
    said = {
        "client_id": client["client_id"], "redirect_uris": [BACK], "grant_types": ["authorization_code"],
        "token_endpoint_auth_method": "none", "jwks": stage.keys.jwks, "require_signed_request_object": True,
    }  # fmt: skip
    path, bearer = f"/register/{client['client_id']}", f"Bearer {client['registration_access_token']}"
    changed = await stage.at.company.http.put(path, json=said, headers={"authorization": bearer})
    assert (changed.status_code, changed.json()["require_signed_request_object"]) == (200, True)
    assert told(await stage.ask(client_id=client["client_id"], request_uri=name)) == "invalid_request"
    read = await stage.at.company.http.get(path, headers={"authorization": bearer})
    assert read.json()["require_signed_request_object"] is True


async def test_one_algorithm_for_signed_requests_is_one(stage: Stage) -> None:
    """ "All Request Objects from this Client MUST be rejected, if not signed with this algorithm" (OpenID Registration 1.0)."""
    client = await stage.made(request_object_signing_alg="EdDSA")
    assert client["request_object_signing_alg"] == "EdDSA"
    asked = Asking(client["client_id"], BACK)
    assert error(await stage.push(client, request=stage.object(asked))) == (400, "invalid_request_object")
    client = await stage.made(request_object_signing_alg="ES256")
    asked = Asking(client["client_id"], BACK)
    assert (await stage.push(client, request=stage.object(asked))).status_code == 201


async def test_one_algorithm_for_assertions_is_one(stage: Stage) -> None:
    proven = {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt"}
    for algorithm, status in (("EdDSA", 401), ("ES256", 200), (..., 200)):
        client = await stage.made(**proven, redirect_uris=[], token_endpoint_auth_signing_alg=algorithm)
        assert client.get("token_endpoint_auth_signing_alg", ...) == algorithm
        now, name = int(time.time()), client["client_id"]
        said = {"iss": name, "sub": name, "aud": ISSUER, "iat": now, "exp": now + 60, "jti": secrets.token_hex(8)}
        signed = serialize_compact(
            {"alg": "ES256", "kid": "ec"}, json.dumps(said).encode(), stage.keys.ec, registry=REGISTRY
        )
        form = {"client_assertion_type": ASSERTION, "client_assertion": signed, "token": "x"}
        assert (await stage.at.company.http.post("/introspect", data=form)).status_code == status, algorithm


@pytest.mark.parametrize(
    "said",
    [
        {"require_signed_request_object": True, "jwks": ...},
        {"require_signed_request_object": "true"},
        {"require_signed_request_object": 1},
        {"request_object_signing_alg": "none"},
        {"request_object_signing_alg": "HS256"},
        {"request_object_signing_alg": ["ES256"]},
        {"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "HS256"},
        {"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "none"},
        {"dpop_bound_access_tokens": "true"},
        {"tls_client_certificate_bound_access_tokens": 1},
        {"id_token_signed_response_alg": "PS256"},
        {"id_token_signed_response_alg": "HS256"},
        {"userinfo_signed_response_alg": "EdDSA"},
        {"authorization_signed_response_alg": "RS256"},
        {"authorization_signed_response_alg": "none"},
        {"introspection_signed_response_alg": "none"},
        *({f"{what}_encrypted_response_alg": "RSA-OAEP-256"} for what in ENCRYPTED),
        *({f"{what}_encrypted_response_enc": "A256GCM"} for what in ENCRYPTED),
        {"subject_type": "pairwise"},
        {"default_max_age": "3600"},
        {"default_max_age": True},
        {"default_max_age": -1},
        {"default_max_age": 3600.5},
        {"default_acr_values": "gold"},
        {"default_acr_values": [1]},
        {"require_auth_time": "yes"},
    ],
    ids=str,
)
async def test_what_cannot_be_kept_is_refused(stage: Stage, said: dict[str, Any]) -> None:
    answered = await stage.register(**said)
    assert error(answered) == (400, "invalid_client_metadata"), answered.text


async def test_discovery_does_not_say_that_everybody_signs(stage: Stage) -> None:
    found = (await stage.at.company.http.get("/.well-known/oauth-authorization-server")).json()
    assert found["require_signed_request_object"] is False


# -- bound tokens ------------------------------------------------------------------------------------------------------


async def test_who_always_uses_dpop_gets_no_token_without(stage: Stage) -> None:
    """RFC 9449 section 5.2: whoever finds its secret, its code or its refresh token gets no bearer token for it."""
    client = await stage.made(**SERVICE, dpop_bound_access_tokens=True)
    assert client["dpop_bound_access_tokens"] is True
    own = {"grant_type": "client_credentials", "scope": "payments:read"}
    assert error(await stage.token(client, **own)) == (400, "invalid_dpop_proof")
    by_certificate = await stage.token(client, shown(pki.certificate("CN=app")), **own)
    assert error(by_certificate) == (400, "invalid_dpop_proof"), "another key is none that it said"
    granted = await stage.token(client, proof(stage.keys.ec), **own)
    assert (granted.status_code, granted.json()["token_type"]) == (200, "DPoP"), granted.text


async def test_so_with_codes_and_refresh_tokens(stage: Stage) -> None:
    client = await stage.made(
        dpop_bound_access_tokens=True,
        grant_types=["authorization_code", "refresh_token"],
        token_endpoint_auth_method="client_secret_basic",
    )
    asked = Asking(client["client_id"], BACK, scope="openid offline_access payments:read")
    code = await stage.at.code(asked, Browser(stage.at.company))
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": asked.verifier}
    assert error(await stage.token(client, **form)) == (400, "invalid_dpop_proof")
    got = await stage.token(client, proof(stage.keys.ec), **form)
    assert (got.status_code, got.json()["token_type"]) == (200, "DPoP"), got.text
    renewing = {"grant_type": "refresh_token", "refresh_token": got.json()["refresh_token"]}
    assert error(await stage.token(client, **renewing)) == (400, "invalid_dpop_proof")
    assert (await stage.token(client, proof(stage.keys.ec), **renewing)).json()["token_type"] == "DPoP"


async def test_who_wants_certificate_bound_tokens_gets_no_others(stage: Stage) -> None:
    """RFC 8705 section 3.4."""
    client = await stage.made(**SERVICE, tls_client_certificate_bound_access_tokens=True)
    assert client["tls_client_certificate_bound_access_tokens"] is True
    own = {"grant_type": "client_credentials", "scope": "payments:read"}
    assert error(await stage.token(client, **own)) == (400, "invalid_request")
    pair = pki.certificate("CN=app")
    granted = await stage.token(client, shown(pair), **own)
    assert granted.status_code == 200, granted.text
    claims = await stage.at.company.claims(granted.json()["access_token"])
    assert claims["cnf"] == {"x5t#S256": thumbprint(pair.der)}


async def test_nobody_else_has_to_prove_a_key(stage: Stage) -> None:
    client = await stage.made(
        **SERVICE, dpop_bound_access_tokens=False, tls_client_certificate_bound_access_tokens=False
    )
    assert not {"dpop_bound_access_tokens", "tls_client_certificate_bound_access_tokens"} & client.keys()
    granted = await stage.token(client, grant_type="client_credentials", scope="payments:read")
    assert (granted.status_code, granted.json()["token_type"]) == (200, "Bearer")


# -- what we sign, and how people sign in ------------------------------------------------------------------------------

SIGNED = {
    "id_token_signed_response_alg": "ES256",
    "userinfo_signed_response_alg": "ES256",
    "authorization_signed_response_alg": "ES256",
    "introspection_signed_response_alg": "ES256",
}
BY_CODE: dict[str, Any] = {
    "grant_types": ["authorization_code"],
    "token_endpoint_auth_method": "client_secret_basic",
}


async def tokens_of(stage: Stage, client: dict[str, Any], asked: Asking, browser: Browser) -> dict[str, Any]:
    """The tokens of a request, whatever it takes."""
    code = await stage.at.code(asked, browser)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": asked.verifier}
    answer = await stage.token(client, **form)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def segment(token: str, index: int) -> dict[str, Any]:
    part = token.split(".")[index]
    return dict(json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4))))


async def test_what_it_wants_signed_is_signed(stage: Stage) -> None:
    client = await stage.made(**BY_CODE, **SIGNED, subject_type="public")
    assert {name: client[name] for name in SIGNED} == SIGNED
    http = stage.at.company.http
    browser, asked = Browser(stage.at.company), Asking(client["client_id"], BACK, scope="openid")
    tokens = await tokens_of(stage, client, asked, browser)
    shown_by = {"authorization": f"Bearer {tokens['access_token']}"}
    told_of = await http.get("/userinfo", headers=shown_by)
    assert told_of.headers["content-type"] == "application/jwt", "and no JSON that anybody could have written"
    assert segment(told_of.text, 0)["alg"] == segment(tokens["id_token"], 0)["alg"] == "ES256"

    plain = await stage.made(**BY_CODE)
    assert not SIGNED.keys() & plain.keys()
    asked = Asking(plain["client_id"], BACK, scope="openid")
    tokens = await tokens_of(stage, plain, asked, browser)
    unsigned_info = await http.get("/userinfo", headers={"authorization": f"Bearer {tokens['access_token']}"})
    assert unsigned_info.headers["content-type"] == "application/json"


async def test_what_is_about_nothing_that_it_gets_is_no_promise_and_not_told(stage: Stage) -> None:
    """A client that signs nobody in is not turned away for what its library says of ID tokens."""
    said = {"id_token_signed_response_alg": "RS256", "authorization_signed_response_alg": "RS256"}
    client = await stage.made(**SERVICE, **said, scope="payments:read")
    assert "authorization_signed_response_alg" not in client
    none = await stage.made(**BY_CODE, id_token_signed_response_alg="none", userinfo_signed_response_alg="none")
    assert not {"id_token_signed_response_alg", "userinfo_signed_response_alg"} & none.keys()


async def test_an_old_sign_in_is_not_enough_for_who_says_how_old_it_may_be(stage: Stage) -> None:
    """`default_max_age`; a request's own `max_age` stands before it."""
    client = await stage.made(**BY_CODE, default_max_age=500, require_auth_time=True)
    assert (client["default_max_age"], client["require_auth_time"]) == (500, True)
    browser, asked = Browser(stage.at.company), Asking(client["client_id"], BACK)
    stage.at.corp.claims = {"auth_time": int(time.time()) - 1000}
    try:
        first = await stage.made(**BY_CODE)
        await tokens_of(stage, first, Asking(first["client_id"], BACK), browser)
        older = await stage.at.request(asked, browser, prompt="none")
        assert response(older, BACK)["error"] == "login_required"
        enough = await stage.at.request(asked, browser, max_age="2000")
        assert enough.headers["location"].startswith("/authorize/continue?"), "nobody has to sign in anew"
        stage.at.corp.claims = {}
        anew = await stage.at.request(asked, browser)
        assert anew.headers["location"].startswith("/signin?i=")
        tokens = await tokens_of(stage, client, asked, browser)
        assert segment(tokens["id_token"], 1)["auth_time"] > int(time.time()) - 500
    finally:
        stage.at.corp.claims = {}


# -- clients as code ---------------------------------------------------------------------------------------------------

AS_CODE = {"client_id": "written"}


async def test_a_client_as_code_is_held_to_the_same(stage: Stage) -> None:
    """One mechanism: what a file says of its client is kept as what a client says of itself."""
    asked = Asking("written", BACK, acr_values="pwd")
    signed = await stage.push(AS_CODE, request=stage.object(asked))
    assert error(signed) == (400, "invalid_request_object"), "signed, by its key, and not with the one algorithm"
    code = await stage.at.code(asked, Browser(stage.at.company))
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": asked.verifier}
    assert error(await stage.token(AS_CODE, **form)) == (400, "invalid_dpop_proof")
    got = await stage.token(AS_CODE, proof(stage.keys.ec), **form)
    assert (got.status_code, got.json()["token_type"]) == (200, "DPoP"), got.text


async def test_and_so_are_the_people_who_come_with_it(stage: Stage) -> None:
    """`default_max_age` and `default_acr_values`; what a request says itself stands before them."""
    browser, asked = Browser(stage.at.company), Asking("written", BACK)
    stage.at.corp.claims = {"auth_time": int(time.time()) - 1000}
    try:
        first = await stage.made(**BY_CODE)
        await tokens_of(stage, first, Asking(first["client_id"], BACK), browser)
        older = await stage.at.request(asked, browser, prompt="none")
        assert response(older, BACK)["error"] == "login_required"
        enough = await stage.at.request(asked, browser, max_age="2000", acr_values="pwd", prompt="none")
        assert "code" in response(enough, BACK)
    finally:
        stage.at.corp.claims = {}
    sent = await stage.at.request(asked, browser)
    there = await browser.get(sent.headers["location"])
    assert dict(parse_qsl(urlsplit(there.headers["location"]).query))["acr_values"] == "mfa", (
        "the word of the provider for it"
    )

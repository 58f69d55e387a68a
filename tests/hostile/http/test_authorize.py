"""Attacks on the authorization endpoint, each by its name (RFC 9700 section 4, RFC 9126 section 7, RFC 9101 section 10)."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import ECKey

from tests.flow import authorizing
from tests.flow.authorizing import BACK, LOOPBACK, OTHER, OWN, SIGNED, Asking, Desk, desk, response
from tests.flow.browser import ISSUER, Browser, Form
from tests.flow.fapi import error

pytestmark = pytest.mark.asyncio(loop_scope="module")


SIGNS = "https://signs.example.com/back"


def with_a_signer(bundle: Path) -> None:
    """`signs` has the key of `signer`, and may do without pushing."""
    key = (bundle / "clients/signer.toml").read_text().partition("[[client.keys]]")[2]
    authorizing.client(
        bundle, "signs", "private_key_jwt", SIGNS, authorization='consent = "implicit"', more=f"[[client.keys]]{key}"
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with desk(tmp_path_factory.mktemp("desk"), edit=with_a_signer) as found:
        yield found


@pytest.fixture
def browser(at: Desk) -> Browser:
    at.corp.claims = {}
    at.corp.subject = "alice"
    return at.another()


def on_a_page(answer: httpx2.Response, status: int = 400) -> None:
    """The person is told, and the browser is sent nowhere."""
    assert answer.status_code == status, answer.headers
    assert "location" not in answer.headers
    assert answer.headers["content-type"].startswith("text/html")


async def page_of(at: Desk, browser: Browser, asked: Asking) -> httpx2.Response:
    page = await at.through(await at.request(asked, browser), browser)
    assert page.status_code == 200, page.headers
    return page


# -- open redirect ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "redirect",
    [
        "https://portal.example.com/signed-im",
        "https://portal.example.com/signed-in/",
        "https://portal.example.com/signed-in?x=1",
        "https://portal.example.com/signed-in#there",
        "https://portal.example.com/signed-in#",
        "https://portal.example.com:8443/signed-in",
        "https://portal.example.com./signed-in",
        "https://PORTAL.example.com/signed-in",
        "HTTPS://portal.example.com/signed-in",
        "http://portal.example.com/signed-in",
        "https://portal.example.com@evil.example/signed-in",
        "https://evil.example/?https://portal.example.com/signed-in",
        "https://portal.example.com/x/../signed-in",
        "https://portal.example.com/%73igned-in",
        "//portal.example.com/signed-in",
        "javascript:alert(1)",
        "data:text/html,x",
        OTHER,
    ],
)
async def test_open_redirect(at: Desk, browser: Browser, redirect: str) -> None:
    on_a_page(await at.request(Asking(), browser, redirect_uri=redirect))
    on_a_page(await at.request(Asking(), browser, redirect_uri=redirect, response_type="token"))


@pytest.mark.parametrize(
    "redirect",
    [
        "http://127.0.0.1:8080/callback/x",
        "http://127.0.0.1:8080@evil.example/callback",
        "http://127.0.0.1.evil.example/callback",
        "http://127.0.0.1:808080/callback",
        "http://127.0.0.1:0/callback",
        "http://127.0.0.1:/callback#x",
        "http://127.0.0.2:8080/callback",
        "http://localhost:8080/callback",
        "http://[::1]:8080/callback",
        "https://127.0.0.1:8080/callback",
        "com.example.app:/back/x",
        "com.example.app://back",
        "com.example.app:1/back",
    ],
)
async def test_open_redirect_by_a_loopback_address(at: Desk, browser: Browser, redirect: str) -> None:
    on_a_page(await at.request(Asking("native", LOOPBACK), browser, redirect_uri=redirect))


async def test_a_redirect_must_be_named_where_there_are_several(at: Desk, browser: Browser) -> None:
    on_a_page(await at.request(Asking("native").without("redirect_uri"), browser))
    alone = Asking("api").without("redirect_uri")
    assert "code" in response(await at.through(await at.request(alone, browser), browser), OWN)


async def test_an_unknown_client_is_no_reason_to_redirect(at: Desk, browser: Browser) -> None:
    for client in ("nobody", "https://evil.example/client.json", ""):
        on_a_page(await at.request(Asking(), browser, client_id=client))


async def test_a_client_without_the_grant_gets_nobody(at: Desk, browser: Browser) -> None:
    on_a_page(await at.request(Asking("batch"), browser))


async def test_errors_that_may_be_told_go_nowhere_else(at: Desk, browser: Browser) -> None:
    """The redirect of an error is as strict as that of a code."""
    back = response(await at.request(Asking(), browser, response_type="token"))
    assert back["error"] == "unsupported_response_type"
    assert back["iss"] == ISSUER


# -- mix-up ------------------------------------------------------------------------------------------


async def test_mix_up_every_response_says_who_it_is_of(at: Desk, browser: Browser) -> None:
    asked = Asking("api", OWN)
    answers = [await at.through(await at.request(asked, browser), browser)]
    answers += [
        await at.request(asked, browser, **wrong)
        for wrong in (
            {"response_type": "token"},
            {"scope": "nonsense"},
            {"prompt": "none login"},
            {"claims": "{"},
            {"resource": "https://api.example.com/nowhere"},
        )
    ]
    for answer in answers:
        back = response(answer, OWN)
        assert (back["iss"], back["state"]) == (ISSUER, asked.state)


# -- PKCE downgrade ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", ["web", "native"])
@pytest.mark.parametrize(
    "wrong",
    [
        {"code_challenge": ""},
        {"code_challenge_method": ""},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": "s256"},
        {"code_challenge": "short"},
        {"code_challenge": "=" * 43},
    ],
)
async def test_pkce_downgrade(at: Desk, browser: Browser, client: str, wrong: dict[str, str]) -> None:
    asked = Asking(client, BACK if client == "web" else LOOPBACK)
    back = response(await at.request(asked, browser, **wrong), asked.parameters["redirect_uri"])
    assert back["error"] == "invalid_request"


async def test_pkce_downgrade_when_the_code_is_redeemed(at: Desk, browser: Browser) -> None:
    asked = Asking("api", OWN)
    code = await at.code(asked, browser)
    for verifier in (None, "x" * 43, asked.parameters["code_challenge"]):
        assert error(await at.redeem(asked, code, code_verifier=verifier)) == (400, "invalid_grant")
    assert (await at.redeem(asked, code)).status_code == 200


# -- code injection and replay ------------------------------------------------------------------------------


async def test_code_injection_into_another_client(at: Desk, browser: Browser) -> None:
    asked = Asking("api", OWN)
    code = await at.code(asked, browser)
    for client in ("helper", "web"):
        thief = Asking(client, OTHER if client == "helper" else BACK)
        thief.verifier = asked.verifier
        assert error(await at.redeem(thief, code, redirect_uri=OWN)) == (400, "invalid_grant")
    assert error(await at.redeem(asked, code, redirect_uri=OTHER)) == (400, "invalid_grant")
    assert (await at.redeem(asked, code)).status_code == 200  # who only tried has not used it up


async def test_a_replayed_code_ends_what_came_of_it(at: Desk, browser: Browser) -> None:
    asked = Asking("api", OWN)
    code = await at.code(asked, browser)
    tokens = (await at.redeem(asked, code)).json()
    assert error(await at.redeem(asked, code)) == (400, "invalid_grant")
    again = await at.company.ask("api", grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert error(again) == (400, "invalid_grant")


# -- cross-site request forgery and clickjacking ------------------------------------------------------------


async def test_csrf_on_consent(at: Desk, browser: Browser) -> None:
    page = await page_of(at, browser, Asking())
    fields = Form(page.text).fields | {"decision": "allow"}
    for wrong in ({"csrf": ""}, {"csrf": "x" * 43}, {"i": "x"}):
        on_a_page(await browser.post("/authorize/continue", fields | wrong))
    on_a_page(await browser.post("/authorize/continue", fields, origin="https://evil.example"))
    other = await page_of(at, browser, Asking())  # a token of another request of the same browser
    on_a_page(await browser.post("/authorize/continue", fields | {"csrf": Form(other.text).fields["csrf"]}))
    assert "code" in response(await browser.post("/authorize/continue", fields))


async def test_csrf_on_consent_by_another_browser(at: Desk, browser: Browser) -> None:
    """Who has the address, the form and even a session of their own has not the browser that began it."""
    fields = Form((await page_of(at, browser, Asking())).text).fields | {"decision": "allow"}
    stranger = at.another()
    await page_of(at, stranger, Asking())
    on_a_page(await stranger.post("/authorize/continue", fields))
    on_a_page(await stranger.get("/authorize/continue", {"i": fields["i"]}))


async def test_consent_of_one_person_is_not_that_of_the_next(at: Desk, browser: Browser) -> None:
    """A page that was shown to somebody else who was signed in here allows nothing."""
    fields = Form((await page_of(at, browser, Asking())).text).fields | {"decision": "allow"}
    at.corp.subject = "carol"
    await at.through(await at.request(Asking("api", OWN, scope="openid"), browser, prompt="login"), browser)
    answer = await browser.post("/authorize/continue", fields)
    assert "code=" not in answer.headers.get("location", "")


@pytest.mark.parametrize("limit", [{"budget": "5"}, {"max_depth": "1"}])
async def test_what_was_allowed_within_limits_is_not_had_without_them_in_silence(
    at: Desk, browser: Browser, limit: dict[str, str]
) -> None:
    """An agent that was allowed a little asks for all, or for as much once more: its person is asked, each time."""
    asked = Asking("helper", OTHER)
    await at.allow(
        await page_of(at, browser, Asking("helper", OTHER, prompt="consent")), browser, decision="deny"
    )  # nothing is left
    page = await at.through(await at.request(asked, browser, **limit), browser)
    assert "code" in response(await at.allow(page, browser), OTHER)
    for wanted in ({}, limit, {"budget": "9", "max_depth": "3"}):
        silent = await at.request(asked, browser, prompt="none", **wanted)
        assert response(silent, OTHER)["error"] == "consent_required", wanted
    await at.allow(await page_of(at, browser, asked), browser)  # without any
    assert "code" in response(await at.request(asked, browser, prompt="none"), OTHER)
    assert "code" in response(await at.request(asked, browser, prompt="none", **limit), OTHER), "that is less"


async def test_consent_answered_twice_is_one_code(at: Desk, browser: Browser) -> None:
    fields = Form((await page_of(at, browser, Asking())).text).fields | {"decision": "allow"}
    assert "code" in response(await browser.post("/authorize/continue", dict(fields)))
    on_a_page(await browser.post("/authorize/continue", dict(fields)))


async def test_login_csrf(at: Desk, browser: Browser) -> None:
    """An attacker's half-finished request cannot be finished in the victim's browser."""
    attacker = at.another()
    answer = await at.request(Asking(), attacker)
    on_a_page(await browser.get(answer.headers["location"]))
    on_a_page(await browser.get(answer.headers["location"].replace("/signin?", "/authorize/continue?")))
    handle = dict(parse_qsl(urlsplit(answer.headers["location"]).query))["i"]
    from mintwarden.authn.interactions import cookie_of

    browser.cookies[f"__Host-{cookie_of(handle)}"] = "1"  # even if they could plant a cookie of that name
    on_a_page(await browser.get(answer.headers["location"].replace("/signin?", "/authorize/continue?")))


async def test_clickjacking(at: Desk, browser: Browser) -> None:
    page = await page_of(at, browser, Asking())
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert page.headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "form-action 'self' https://portal.example.com;" in policy


async def test_nothing_of_it_is_for_scripts_of_other_sites(at: Desk, browser: Browser) -> None:
    for method in ("GET", "OPTIONS"):
        answer = await at.company.http.request(method, "/authorize", headers={"origin": "https://evil.example"})
        assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_what_is_in_an_address_does_not_leak_by_referrer_or_cache(at: Desk, browser: Browser) -> None:
    asked = Asking("api", OWN)
    for answer in (await at.request(asked, browser), await at.through(await at.request(asked, browser), browser)):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "same-origin"


async def test_script_injection_by_what_a_client_says(at: Desk, browser: Browser) -> None:
    evil = '"><script>alert(1)</script>'
    asked = Asking("api", OWN, state=evil, response_mode="form_post")
    page = await at.through(await at.request(asked, browser), browser)
    assert "<script>alert" not in page.text
    assert Form(page.text).fields["state"] == evil
    told = await at.request(Asking(), browser, redirect_uri=f"https://x.example/{evil}")
    assert "<script>alert" not in told.text


# -- parameter pollution ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "state", "scope", "code_challenge", "nonsense"])
async def test_parameter_pollution(at: Desk, browser: Browser, name: str) -> None:
    from urllib.parse import urlencode

    asked = Asking()
    query = urlencode([*asked.parameters.items(), (name, "x"), (name, "y")])
    on_a_page(await browser.get(f"/authorize?{query}"))


async def test_parameters_in_two_places(at: Desk, browser: Browser) -> None:
    asked = Asking()
    on_a_page(await browser.post("/authorize?redirect_uri=https%3A%2F%2Fevil.example", asked.parameters))


async def test_an_endless_request(at: Desk, browser: Browser) -> None:
    back = response(await at.request(Asking(), browser, login_hint="x" * 17_000))
    assert back["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"response_type": ""}, "invalid_request"),
        ({"response_type": "code token"}, "unsupported_response_type"),
        ({"response_type": "id_token"}, "unsupported_response_type"),
        ({"response_mode": "web_message"}, "invalid_request"),
        ({"prompt": "create"}, "invalid_request"),
        ({"prompt": "none consent"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "1.5"}, "invalid_request"),
        ({"claims": "[]"}, "invalid_request"),
        ({"claims": '{"id_token":{"acr":1}}'}, "invalid_request"),
        ({"claims": '{"id_token":{"a":null,"a":null}}'}, "invalid_request"),
        ({"dpop_jkt": "short"}, "invalid_request"),
        ({"id_token_hint": "x"}, "invalid_request"),
        ({"scope": "payments:read nonsense"}, "invalid_scope"),
        ({"scope": "mintwarden:facts.read"}, "invalid_scope"),
        ({"scope": " "}, "invalid_scope"),
        ({"resource": "payments"}, "invalid_target"),
        ({"resource": "https://api.example.com/payments#x"}, "invalid_target"),
        ({"resource": "https://api.example.com/payments/"}, "invalid_target"),
        ({"scope": "payments:read", "resource": "https://api.example.com/ledger"}, "invalid_scope"),
        ({"audience": "mintwarden"}, "invalid_target"),
        ({"purpose": "nonsense"}, "invalid_request"),
        ({"environment": "staging"}, "invalid_request"),
        ({"tenant": "acme"}, "invalid_request"),
        ({"authorization_details": '[{"type":"x"}]'}, "invalid_authorization_details"),
        ({"authorization_details": "{}"}, "invalid_authorization_details"),
    ],
)
async def test_what_is_malformed_is_told(at: Desk, browser: Browser, wrong: dict[str, str], error: str) -> None:
    asked = Asking()
    back = response(await at.request(asked, browser, **wrong))
    assert (back["error"], back["state"]) == (error, asked.state)


# -- pushed requests ----------------------------------------------------------------------------------------


async def push(at: Desk, asked: Asking, client: str = "", **changes: Any) -> httpx2.Response:
    client = client or asked.client
    form = {name: value for name, value in (asked.parameters | changes).items() if value is not None}
    return await at.company.http.post("/par", data=form, auth=(client, at.company.secrets[client]))


async def test_the_request_uri_of_another_client(at: Desk, browser: Browser) -> None:
    pushed = (await push(at, Asking())).json()["request_uri"]
    on_a_page(await browser.get("/authorize", {"client_id": "helper", "request_uri": pushed}))
    stolen = {"client_id": "helper", "request_uri": pushed, "redirect_uri": OTHER}
    on_a_page(await browser.get("/authorize", stolen))
    on_a_page(await browser.get("/authorize", {"request_uri": pushed}))


async def test_a_request_uri_that_was_guessed_or_points_elsewhere(at: Desk, browser: Browser) -> None:
    for name in (
        "urn:ietf:params:oauth:request_uri:" + secrets.token_urlsafe(32),
        "https://evil.example/request.jwt",
        "http://127.0.0.1:1/request.jwt",
    ):
        on_a_page(await at.request(Asking(), browser, request_uri=name))


async def test_a_request_uri_leads_to_one_answer(at: Desk, browser: Browser) -> None:
    asked = Asking("api", OWN)
    short = {"client_id": "api", "request_uri": (await push(at, asked)).json()["request_uri"]}
    assert "code" in response(await at.through(await browser.get("/authorize", short), browser), OWN)
    on_a_page(await browser.get("/authorize", short))
    asked = Asking()
    short = {"client_id": "web", "request_uri": (await push(at, asked)).json()["request_uri"]}
    windows = [await at.through(await browser.get("/authorize", short), browser) for _ in range(2)]
    assert "code" in response(await at.allow(windows[0], browser))
    on_a_page(await at.allow(windows[1], browser))


async def test_what_stands_beside_a_request_uri_counts_for_nothing(at: Desk, browser: Browser) -> None:
    asked = Asking("api", OWN)
    uri = (await push(at, asked)).json()["request_uri"]
    beside = {"redirect_uri": OTHER, "scope": "payments:write", "state": "evil", "response_mode": "fragment"}
    polluted = {"client_id": "api", "request_uri": uri, **beside}
    back = response(await at.through(await browser.get("/authorize", polluted), browser), OWN)
    assert back["state"] == asked.state
    tokens = (await at.redeem(asked, back["code"])).json()
    assert tokens["scope"] == "payments:read"


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        ({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, 400, "invalid_request"),
        ({"redirect_uri": OTHER}, 400, "invalid_request"),
        ({"code_challenge": None}, 400, "invalid_request"),
        ({"code_challenge_method": "plain"}, 400, "invalid_request"),
        ({"response_type": "token"}, 400, "unsupported_response_type"),
        ({"scope": "nonsense"}, 400, "invalid_scope"),
        ({"resource": "https://api.example.com/nowhere"}, 400, "invalid_target"),
        ({"client_id": "helper"}, 400, "invalid_request"),
        ({"request": "x.y.z"}, 400, "invalid_request_object"),
    ],
)
async def test_pushing_something_wrong(at: Desk, wrong: dict[str, Any], status: int, code: str) -> None:
    assert error(await push(at, Asking(), **wrong)) == (status, code)


async def test_pushing_without_proof_of_who_pushes(at: Desk) -> None:
    answer = await at.company.http.post("/par", data=Asking().parameters)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    answer = await at.company.http.post("/par", data=Asking().parameters, auth=("web", "wrong"))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    for method in ("GET", "PUT"):
        assert (await at.company.http.request(method, "/par")).status_code == 405


# -- signed requests ----------------------------------------------------------------------------------------


def signed(at: Desk, key: ECKey | None = None, header: dict[str, Any] | None = None, **changes: Any) -> str:
    now = int(time.time())
    asked = Asking("signer", SIGNED)
    claims = {"iss": "signer", "aud": ISSUER, "exp": now + 60, "nbf": now, **asked.parameters, **changes}
    head = {"alg": "ES256", "kid": "signer-1", "typ": "oauth-authz-req+jwt"} | (header or {})
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(head, kept, key or at.company.signer, algorithms=["ES256"])


async def push_signed(at: Desk, request: str) -> httpx2.Response:
    form = {"client_id": "signer", "request": request, **at.company.assertion(int(time.time()))}
    return await at.company.http.post("/par", data=form)


def unsigned(at: Desk, algorithm: str) -> str:
    head, body, _ = signed(at).split(".")
    named = base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "typ": "oauth-authz-req+jwt"}).encode())
    assert head
    return f"{named.rstrip(b'=').decode()}.{body}."


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://other.example"},
        {"aud": None},
        {"exp": 1_000},
        {"exp": None},
        {"exp": 4_000_000_000},
        {"nbf": 4_000_000_000},
        {"iss": "web"},
        {"client_id": "web"},
        {"client_id": None},
        {"sub": "signer"},
        {"request_uri": "urn:ietf:params:oauth:request_uri:x"},
        {"request": "x"},
        {"client_secret": "x"},
        {"max_age": [1]},
        {"scope": {"a": 1}},
    ],
)
async def test_a_request_object_that_is_wrong(at: Desk, changes: dict[str, Any]) -> None:
    answer = await push_signed(at, signed(at, **changes))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request_object")


async def test_a_request_object_by_another_key_or_none(at: Desk) -> None:
    for request in (
        signed(at, ECKey.generate_key("P-256")),
        signed(at, header={"typ": "client-authentication+jwt"}),
        signed(at, header={"typ": "at+jwt"}),
        signed(at)[:-4] + "AAAA",
        unsigned(at, "none"),
        unsigned(at, "None"),
        unsigned(at, "HS256"),
        "x",
    ):
        answer = await push_signed(at, request)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request_object")
    assert (await push_signed(at, signed(at))).status_code == 201
    assert (await push_signed(at, signed(at, aud=[ISSUER, "https://other.example"]))).status_code == 201
    assert (await push_signed(at, signed(at, header={"typ": "JWT"}))).status_code == 201


async def test_a_request_object_as_client_assertion_and_the_other_way_round(at: Desk) -> None:
    now = int(time.time())
    assertion = at.company.assertion(now)
    for request in (signed(at, jti="x"), signed(at, header={"typ": "JWT"}, jti="y")):
        form = {"grant_type": "client_credentials", **assertion, "client_assertion": request}
        answer = await at.company.http.post("/token", data=form)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    answer = await push_signed(at, assertion["client_assertion"])
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request_object")


async def test_signed_and_pushed_where_the_bundle_says_so(at: Desk, browser: Browser) -> None:
    asked = Asking("signer", SIGNED)
    assert response(await at.request(asked, browser), SIGNED)["error"] == "invalid_request"
    only_signed = await browser.get("/authorize", {"client_id": "signer", "request": signed(at)})
    assert response(only_signed, SIGNED)["error"] == "invalid_request"
    form = {**asked.parameters, **at.company.assertion(int(time.time()))}
    only_pushed = await at.company.http.post("/par", data=form)
    assert only_pushed.json()["error"] == "invalid_request"


async def test_what_stands_beside_a_request_object_counts_for_nothing(at: Desk, browser: Browser) -> None:
    """RFC 9101 section 6.3: parameters are those of the object alone; the client is the same in both."""
    asked = Asking("signs", SIGNS, scope="payments:read")
    said: dict[str, Any] = asked.parameters | {"iss": "signs", "redirect_uri": SIGNS}
    request = signed(at, **said)
    beside = {
        "client_id": "signs", "request": request, "state": "outer", "scope": "payments:write", "redirect_uri": OTHER,
        "response_mode": "fragment", "nonce": "outer", "prompt": "none", "code_challenge": "A" * 43,
    }  # fmt: skip
    back = response(await at.through(await browser.get("/authorize", beside), browser), SIGNS)
    assert back["state"] == asked.state
    form = {"grant_type": "authorization_code", "code": back["code"], "redirect_uri": SIGNS}
    proven = at.company.assertion(int(time.time()), iss="signs", sub="signs")
    answer = await at.company.http.post("/token", data=form | proven | {"code_verifier": asked.verifier})
    assert answer.json()["scope"] == "payments:read", answer.text
    only_outside = beside | {"request": signed(at, **(said | {"state": None}))}
    back = response(await at.through(await browser.get("/authorize", only_outside), browser), SIGNS)
    assert "state" not in back, "and is not told by us either"
    on_a_page(await browser.get("/authorize", beside | {"client_id": "web"}))
    on_a_page(await browser.get("/authorize", beside | {"client_id": "signer"}))
    on_a_page(await browser.get("/authorize", beside | {"request_uri": "urn:ietf:params:oauth:request_uri:x"}))


async def test_a_bad_object_is_told_where_the_plain_request_may_go_and_without_its_state(
    at: Desk, browser: Browser
) -> None:
    bad = signed(at, ECKey.generate_key("P-256"))
    beside = {"client_id": "signer", "request": bad, "redirect_uri": SIGNED, "state": "outer"}
    back = response(await browser.get("/authorize", beside), SIGNED)
    assert back["error"] == "invalid_request_object"
    assert "state" not in back
    on_a_page(await browser.get("/authorize", beside | {"redirect_uri": "https://evil.example/"}))
    on_a_page(await browser.get("/authorize", beside | {"client_id": "web"}))
    on_a_page(await browser.get("/authorize", beside | {"request_uri": "urn:ietf:params:oauth:request_uri:x"}))

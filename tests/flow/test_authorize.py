"""A person comes with an application: the request, signing in, being asked, the code, the tokens (OAuth 2.1, OIDC)."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from tests.flow.authorizing import APP, BACK, LOOPBACK, OTHER, OWN, SIGNED, Asking, Desk, desk, response
from tests.flow.browser import ISSUER, Browser, Form
from tests.flow.test_dpop import proof

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with desk(tmp_path_factory.mktemp("desk")) as found:
        yield found


@pytest.fixture
def browser(at: Desk) -> Browser:
    at.corp.claims = {}
    return at.another()


async def verified(at: Desk, compact: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, by another's library."""
    keys = KeySet.import_key_set((await at.company.http.get("/jwks.json")).json())
    found = jwt.decode(compact, keys, algorithms=["ES256"])
    return dict(found.header), dict(found.claims)


async def asked_page(at: Desk, browser: Browser, asked: Asking, **changes: str) -> httpx2.Response:
    page = await at.through(await at.request(asked, browser, **changes), browser)
    assert page.status_code == 200, page.headers
    return page


async def entries(at: Desk, *kinds: str) -> list[dict[str, Any]]:
    """Entries of the ledger, as they become part of the log."""
    config = load_config(at.company.folder / "mintwarden.toml", environ={})
    async with foundation(config) as base:
        found = []
        for index in range(10_000):
            stored = await base.store.entries.by_index(index, index + 1)
            if not stored:
                break
            found.append(json.loads(stored[0].entry))
    return [entry for entry in found if entry["kind"] in kinds]


# -- the whole way ------------------------------------------------------------------------------------------


async def test_a_person_signs_in_allows_and_the_client_gets_tokens(at: Desk, browser: Browser) -> None:
    asked = Asking()
    answer = await at.request(asked, browser)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/signin?i=")
    page = await at.through(answer, browser)
    assert "Portal asks for access" in page.text
    for words in ("Payments", "Read payments", "Sign you in", "alice", "until you sign out", BACK.rsplit("/", 1)[0]):
        assert words in page.text
    back = response(await at.allow(page, browser))
    assert back.keys() == {"code", "state", "iss"}
    assert (back["state"], back["iss"]) == (asked.state, ISSUER)
    tokens = (await at.redeem(asked, back["code"])).json()
    assert tokens["scope"] == "payments:read"
    claims = await at.company.claims(tokens["access_token"])
    assert (claims["sub"], claims["client_id"], claims["acr"]) == ("alice", "web", "phr")
    header, told = await verified(at, tokens["id_token"])
    assert header["typ"] == "JWT"
    assert (told["sub"], told["aud"], told["nonce"], told["sid"]) == ("alice", "web", "n-1", claims["sid"])
    again = await at.company.ask("web", grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert again.status_code == 200, again.text


async def test_somebody_signed_in_is_asked_at_once_and_then_not_again(at: Desk, browser: Browser) -> None:
    asked = Asking("helper", OTHER)
    await asked_page(at, browser, Asking())  # signed in, for another client
    answer = await at.request(asked, browser)
    assert answer.headers["location"].startswith("/authorize/continue?i=")
    page = await at.through(answer, browser)
    assert "code" in response(await at.allow(page, browser), OTHER)
    assert "code" in response(await at.request(asked, browser), OTHER)  # remembered
    fewer = await at.request(asked, browser, scope="openid")
    assert "code" in response(fewer, OTHER)
    more = await at.request(asked, browser, scope="openid payments:read payments:write")
    assert more.headers["location"].startswith("/authorize/continue?i=")  # that was not allowed yet
    again = await at.request(asked, browser, prompt="consent")
    assert again.headers["location"].startswith("/authorize/continue?i=")
    refused = await at.allow(await at.through(again, browser), browser, decision="deny")
    assert response(refused, OTHER)["error"] == "access_denied"
    assert (await at.request(asked, browser)).headers["location"].startswith("/authorize/continue?i=")  # taken back


async def test_revoking_the_grant_takes_the_consent_back(at: Desk, browser: Browser) -> None:
    asked = Asking("helper", OTHER, scope="openid ledger:read")
    code = await at.code(asked, browser)
    tokens = (await at.redeem(asked, code)).json()
    assert "code" in response(await at.request(asked, browser), OTHER)
    given_back = await at.company.http.post(
        "/revoke", data={"token": tokens["refresh_token"]}, auth=("helper", at.company.secrets["helper"])
    )
    assert given_back.status_code == 200
    assert (await at.request(asked, browser)).headers["location"].startswith("/authorize/continue?i=")


async def test_a_first_party_is_not_asked_about(at: Desk, browser: Browser) -> None:
    asked = Asking("api", OWN)
    back = response(await at.through(await at.request(asked, browser), browser), OWN)
    assert (await at.redeem(asked, back["code"])).status_code == 200
    page = await at.through(await at.request(asked, browser, prompt="consent"), browser)
    assert page.status_code == 200  # unless the client says so


async def test_a_native_app_at_any_loopback_port(at: Desk, browser: Browser) -> None:
    redirect = LOOPBACK.replace("127.0.0.1", "127.0.0.1:49152")
    asked = Asking("native", redirect)
    code = await at.code(asked, browser)
    tokens = (await at.redeem(asked, code)).json()
    assert "access_token" in tokens
    own = Asking("native", APP)
    answer = await at.request(own, browser)
    assert answer.headers["location"].startswith(f"{APP}?code=")


async def test_a_person_leaves_something_out(at: Desk, browser: Browser) -> None:
    asked = Asking(scope="openid profile payments:read payments:write")
    page = await asked_page(at, browser, asked)
    back = response(await at.allow(page, browser, "payments:write", "profile"))
    tokens = (await at.redeem(asked, back["code"])).json()
    assert tokens["scope"] == "payments:read"
    renewed = await at.company.ask(
        "web", grant_type="refresh_token", refresh_token=tokens["refresh_token"], scope="payments:write"
    )
    assert renewed.json()["error"] == "invalid_scope"


async def test_leaving_everything_out_is_a_refusal(at: Desk, browser: Browser) -> None:
    page = await asked_page(at, browser, Asking(scope="payments:read"))
    assert response(await at.allow(page, browser, "payments:read"))["error"] == "access_denied"


async def test_a_person_refuses(at: Desk, browser: Browser) -> None:
    asked = Asking()
    page = await asked_page(at, browser, asked)
    back = response(await at.allow(page, browser, decision="deny"))
    assert (back["error"], back["state"], back["iss"]) == ("access_denied", asked.state, ISSUER)


async def test_consents_are_in_the_ledger_without_the_person(at: Desk, browser: Browser) -> None:
    asked = Asking("native", LOOPBACK, prompt="consent", scope="openid ledger:read")
    page = await asked_page(at, browser, asked)
    await at.allow(page, browser)
    page = await asked_page(at, browser, asked)
    await at.allow(page, browser, decision="deny")
    for _ in range(200):
        found = [entry for entry in await entries(at, "consent") if entry["detail"]["client"] == "native"]
        if {entry["detail"]["what"] for entry in found} == {"allowed", "refused"}:
            break
    assert {"allowed", "refused"} == {entry["detail"]["what"] for entry in found}
    allowed = next(entry for entry in found if entry["detail"]["what"] == "allowed")
    assert allowed["detail"]["scopes"]["ledger"] == ["ledger:read"]
    assert "alice" not in json.dumps(found)


async def test_several_audiences_and_each_token_is_for_one(at: Desk, browser: Browser) -> None:
    asked = Asking(scope="openid payments:read ledger:read")
    code = await at.code(asked, browser)
    assert (await at.redeem(asked, code)).json()["error"] == "invalid_target"
    payments = (await at.redeem(asked, code, resource="https://api.example.com/payments")).json()
    ledger = await at.company.ask(
        "web",
        grant_type="refresh_token",
        refresh_token=payments["refresh_token"],
        resource="https://api.example.com/ledger",
    )
    assert (payments["scope"], ledger.json()["scope"]) == ("payments:read", "ledger:read")


async def test_without_a_scope_the_named_resource_is_asked_for_its_defaults(at: Desk, browser: Browser) -> None:
    asked = Asking(resource="https://api.example.com/payments").without("scope")
    tokens = (await at.redeem(asked, await at.code(asked, browser))).json()
    assert tokens["scope"] == "payments:read"


# -- what the policy says first -----------------------------------------------------------------------------


async def test_what_the_policy_refuses_is_said_and_not_granted(at: Desk, browser: Browser) -> None:
    asked = Asking(scope="payments:read vault:burn")
    page = await asked_page(at, browser, asked)
    assert "Burn the vault: the policy does not allow it" in " ".join(page.text.split())
    assert "scope:vault:burn" not in page.text
    fields = Form(page.text).fields | {"decision": "allow", "scope:vault:burn": "on"}
    back = response(await browser.post("/authorize/continue", fields))
    form = {"resource": "https://api.example.com/vault"}
    assert (await at.redeem(asked, back["code"], **form)).json()["error"] == "invalid_target"


async def test_nothing_granted_is_denied_and_recorded(at: Desk, browser: Browser) -> None:
    back = response(await at.through(await at.request(Asking(scope="vault:burn"), browser), browser))
    assert back["error"] == "access_denied"
    decision = back["error_description"].partition("(")[2].rstrip(")")
    for _ in range(200):
        found = [entry for entry in await entries(at, "decision") if entry["id"] == decision]
        if found:
            break
    assert (found[0]["audience"], found[0]["granted"]) == ("vault", False)


async def test_a_stronger_sign_in_is_asked_for_once_and_then_it_is_granted(at: Desk, browser: Browser) -> None:
    at.corp.claims = {"acr": "pwd", "amr": ["pwd"]}
    await asked_page(at, browser, Asking())  # signed in, but weakly
    asked = Asking(scope="vault:open")
    answer = await at.request(asked, browser)
    assert answer.headers["location"].startswith("/signin?i=")
    there = await browser.get(answer.headers["location"])
    at.corp.claims = {}
    page = await at.through(there, browser)
    assert at.corp.sent[-1]["acr_values"] == "mfa"
    tokens = (await at.redeem(asked, response(await at.allow(page, browser))["code"])).json()
    assert tokens["scope"] == "vault:open"


async def test_an_agent_that_may_not_act_is_told_before_its_person_is_asked(at: Desk, browser: Browser) -> None:
    answer = await at.through(await at.request(Asking("helper", OTHER, scope="vault:open"), browser), browser)
    assert response(answer, OTHER)["error"] == "access_denied"


async def test_a_sign_in_that_stays_weak_is_told_as_such(at: Desk, browser: Browser) -> None:
    at.corp.claims = {"acr": "pwd", "amr": ["pwd"]}
    await asked_page(at, browser, Asking())
    answer = await at.request(Asking(scope="vault:open"), browser)
    back = response(await at.through(answer, browser))
    assert back["error"] == "unmet_authentication_requirements"


async def test_a_demand_on_the_key_is_left_for_the_token_endpoint(at: Desk, browser: Browser) -> None:
    asked, key = Asking(scope="vault:carry"), ECKey.generate_key("P-256")
    code = await at.code(asked, browser)
    assert (await at.redeem(asked, code)).json()["error"] == "invalid_scope"
    bound = await at.redeem(asked, code, headers=proof(key))
    assert bound.json()["token_type"] == "DPoP"


async def test_authorization_details_are_shown_allowed_one_by_one_and_never_widened(at: Desk, browser: Browser) -> None:
    wanted = [{"type": "take", "amount": 40, "what": "gold <b>"}, {"type": "take", "amount": 50}]
    beyond = {"type": "take", "amount": 5000}
    asked = Asking(authorization_details=json.dumps([*wanted, beyond])).without("scope")
    page = await asked_page(at, browser, asked)
    assert "Take something out of the vault" in page.text
    assert "gold &lt;b&gt;" in page.text
    assert "5000" not in page.text  # refused, so not to be allowed
    assert {"detail:0", "detail:1"} <= Form(page.text).fields.keys()
    back = response(await at.allow(page, browser, "detail:1"))
    tokens = (await at.redeem(asked, back["code"])).json()
    assert tokens["authorization_details"] == wanted[:1]
    renewed = await at.company.ask(
        "web",
        grant_type="refresh_token",
        refresh_token=tokens["refresh_token"],
        authorization_details=json.dumps(wanted[1:]),
    )
    assert renewed.json()["error"] == "invalid_authorization_details"
    denied = await at.through(
        await at.request(Asking(authorization_details=json.dumps([beyond])).without("scope"), browser), browser
    )
    assert response(denied)["error"] == "access_denied"


# -- prompt, max_age, acr, hints ----------------------------------------------------------------------------


async def test_prompt_none(at: Desk, browser: Browser) -> None:
    silent = Asking(prompt="none")
    assert response(await at.request(silent, browser))["error"] == "login_required"
    page = await asked_page(at, browser, Asking())
    assert response(await at.request(silent, browser))["error"] == "consent_required"
    await at.allow(page, browser)
    own = Asking("api", OWN, prompt="none")
    back = response(await at.request(own, browser), OWN)
    assert (set(back), back["state"]) == ({"code", "state", "iss"}, own.state)
    strong = await at.request(own, browser, claims='{"id_token":{"acr":{"essential":true,"values":["gold"]}}}')
    assert response(strong, OWN)["error"] == "login_required"


async def test_prompt_login_and_select_account_sign_in_anew(at: Desk, browser: Browser) -> None:
    asked = Asking("api", OWN)
    first = await at.code(asked, browser)
    for prompt in ("login", "select_account"):
        answer = await at.request(asked, browser, prompt=prompt)
        assert answer.headers["location"].startswith("/signin?i=")
        # Going on without having signed in leads back to signing in.
        there = await browser.get(answer.headers["location"].replace("/signin?", "/authorize/continue?"))
        assert there.headers["location"].startswith("/signin?i=")
        assert "code" in response(await at.through(there, browser), OWN)
    assert first


async def test_max_age(at: Desk, browser: Browser) -> None:
    asked = Asking("api", OWN)
    at.corp.claims = {"auth_time": int(time.time()) - 1000}
    await at.code(asked, browser)
    assert "code" in response(await at.request(asked, browser, max_age="2000"), OWN)
    at.corp.claims = {}
    answer = await at.request(asked, browser, max_age="500")
    assert answer.headers["location"].startswith("/signin?i=")
    assert "code" in response(await at.through(answer, browser), OWN)


@pytest.mark.parametrize(("max_age", "ago"), [("0", 0), ("1", 30)])
async def test_a_sign_in_for_this_very_request_does_not_age_while_its_person_reads(
    at: Desk, browser: Browser, max_age: str, ago: int
) -> None:
    """`max_age=0` is a demand to sign in anew (OpenID Connect Core section 3.1.2.1), and nobody answers in no time."""
    asked = Asking("api", OWN)
    at.corp.claims = {"auth_time": int(time.time()) - ago}  # as much as a provider's clock may be behind
    try:
        await at.code(asked, browser)
        answer = await at.request(asked, browser, max_age=max_age)
        assert answer.headers["location"].startswith("/signin?i=")
        assert "code" in response(await at.through(answer, browser), OWN)
        silent = await at.request(asked, browser, max_age=max_age, prompt="none")
        assert response(silent, OWN)["error"] == "login_required", "the next request is another one"
        page = await at.through(await at.request(Asking(prompt="consent", max_age=max_age), browser), browser)
        assert "code" in response(await at.allow(page, browser))
    finally:
        at.corp.claims = {}


async def test_id_token_hint_says_who_it_must_be(at: Desk, browser: Browser) -> None:
    asked = Asking("api", OWN)
    tokens = (await at.redeem(asked, await at.code(asked, browser))).json()
    hint = tokens["id_token"]
    assert "code" in response(await at.request(asked, browser, id_token_hint=hint, prompt="none"), OWN)
    stranger = at.another()
    at.corp.subject = "bob"
    try:
        await at.through(await at.request(Asking("api", OWN), stranger), stranger)
        back = await at.request(asked, stranger, id_token_hint=hint, prompt="none")
    finally:
        at.corp.subject = "alice"
    assert response(back, OWN)["error"] == "login_required"
    for bad in ("x.y.z", tokens["access_token"]):
        assert response(await at.request(asked, browser, id_token_hint=bad), OWN)["error"] == "invalid_request"
    other = await at.request(Asking(), browser, id_token_hint=hint)
    assert response(other)["error"] == "invalid_request"  # another client's


async def test_single_claims_in_the_id_token_within_what_the_bundle_gives(at: Desk, browser: Browser) -> None:
    wishes = json.dumps({"id_token": {"department": None, "email": {"essential": True}}, "userinfo": {"email": None}})
    asked = Asking(scope="openid profile payments:read", claims=wishes)
    tokens = (await at.redeem(asked, await at.code(asked, browser))).json()
    _, told = await verified(at, tokens["id_token"])
    assert told["department"] == "finance"
    assert "email" not in told
    plain = Asking(claims=wishes)  # without the scope that gives it
    tokens = (await at.redeem(plain, await at.code(plain, browser))).json()
    assert "department" not in (await verified(at, tokens["id_token"]))[1]


# -- response modes -----------------------------------------------------------------------------------------


async def test_response_modes(at: Desk, browser: Browser) -> None:
    asked = Asking("api", OWN)
    await at.code(asked, browser)
    fragment = (await at.request(asked, browser, response_mode="fragment")).headers["location"]
    assert fragment.startswith(f"{OWN}#code=")
    page = await at.request(asked, browser, response_mode="form_post")
    fields = Form(page.text).fields
    assert fields.keys() == {"code", "state", "iss"}
    assert f'action="{OWN}"' in page.text
    policy = page.headers["content-security-policy"]
    assert "form-action 'self' https://own.example.com;" in policy
    assert "script-src 'self'" in policy
    script = await at.company.http.get("/assets/submit.js")
    assert script.headers["content-type"].startswith("text/javascript")
    for mode, separator in (("jwt", "?"), ("query.jwt", "?"), ("fragment.jwt", "#")):
        location = (await at.request(asked, browser, response_mode=mode)).headers["location"]
        assert location.startswith(f"{OWN}{separator}response=")
        header, claims = await verified(at, dict(parse_qsl(location.partition(separator)[2]))["response"])
        assert header["typ"] == "oauth-authz-resp+jwt"
        assert claims.keys() == {"iss", "aud", "exp", "code", "state"}
        assert (claims["iss"], claims["aud"], claims["state"]) == (ISSUER, "api", asked.state)
    page = await at.request(asked, browser, response_mode="form_post.jwt", prompt="none")
    _, claims = await verified(at, Form(page.text).fields["response"])
    assert "code" in claims
    refused = await at.request(asked, at.another(), response_mode="jwt", prompt="none")
    _, claims = await verified(at, dict(parse_qsl(urlsplit(refused.headers["location"]).query))["response"])
    assert (claims["error"], claims["iss"]) == ("login_required", ISSUER)


async def test_posted_requests_go_on_with_get(at: Desk, browser: Browser) -> None:
    asked = Asking()
    answer = await browser.post("/authorize", asked.parameters, origin="https://portal.example.com")
    assert answer.status_code == 303
    assert (await at.through(answer, browser)).status_code == 200


# -- pushed and signed --------------------------------------------------------------------------------------


def signed_request(at: Desk, asked: Asking, typ: str = "oauth-authz-req+jwt", **changes: Any) -> str:
    now = int(time.time())
    claims = {"iss": "signer", "aud": ISSUER, "exp": now + 60, "nbf": now, **asked.parameters, **changes}
    claims = {name: value for name, value in claims.items() if value is not None}
    header = {"alg": "ES256", "kid": "signer-1", "typ": typ}
    return jwt.encode(header, claims, at.company.signer, algorithms=["ES256"])


async def push(at: Desk, asked: Asking, **changes: Any) -> httpx2.Response:
    auth = (asked.client, at.company.secrets[asked.client])
    headers = changes.pop("headers", None)
    form = {name: value for name, value in (asked.parameters | changes).items() if value is not None}
    return await at.company.http.post("/par", data=form, auth=auth, headers=headers)


async def test_a_pushed_request(at: Desk, browser: Browser) -> None:
    asked = Asking()
    pushed = await push(at, asked)
    assert pushed.status_code == 201
    assert pushed.headers["cache-control"] == "no-store"
    assert pushed.json()["request_uri"].startswith("urn:ietf:params:oauth:request_uri:")
    assert 60 <= pushed.json()["expires_in"] <= 600
    short = {"client_id": "web", "request_uri": pushed.json()["request_uri"]}
    await at.through(await browser.get("/authorize", short), browser)
    page = await at.through(await browser.get("/authorize", short), browser)  # loaded again
    back = response(await at.allow(page, browser))
    assert (await at.redeem(asked, back["code"])).status_code == 200
    used = await browser.get("/authorize", short)
    assert used.status_code == 400
    assert "location" not in used.headers


async def test_a_pushed_request_bound_to_a_key(at: Desk, browser: Browser) -> None:
    asked, key = Asking("api", OWN), ECKey.generate_key("P-256")
    at_par = {"htu": f"{ISSUER}/par"}
    pushed = await push(at, asked, headers=proof(key, **at_par))
    assert pushed.status_code == 201, pushed.text
    short = {"client_id": "api", "request_uri": pushed.json()["request_uri"]}
    code = response(await at.through(await browser.get("/authorize", short), browser), OWN)["code"]
    assert (await at.redeem(asked, code)).json()["error"] == "invalid_grant"
    other = proof(ECKey.generate_key("P-256"))
    assert (await at.redeem(asked, code, headers=other)).json()["error"] == "invalid_grant"
    assert (await at.redeem(asked, code, headers=proof(key))).json()["token_type"] == "DPoP"
    twice = await push(at, asked, dpop_jkt=key.thumbprint(), headers=proof(ECKey.generate_key("P-256"), **at_par))
    assert (twice.status_code, twice.json()["error"]) == (400, "invalid_dpop_proof")
    elsewhere = await push(at, asked, headers=proof(key))
    assert elsewhere.json()["error"] == "invalid_dpop_proof"  # made for `/token`


async def test_a_signed_and_pushed_request(at: Desk, browser: Browser) -> None:
    asked = Asking("signer", SIGNED)
    form = {"request": signed_request(at, asked), "client_id": "signer", **at.company.assertion(int(time.time()))}
    pushed = await at.company.http.post("/par", data=form)
    assert pushed.status_code == 201, pushed.text
    short = {"client_id": "signer", "request_uri": pushed.json()["request_uri"], "state": "outer"}
    page = await at.through(await browser.get("/authorize", short), browser)
    back = response(await at.allow(page, browser), SIGNED)
    assert back["state"] == asked.state
    tokens = await at.redeem(asked, back["code"], client_id=None, **at.company.assertion(int(time.time())))
    assert tokens.status_code == 200, tokens.text


# -- user info ----------------------------------------------------------------------------------------------


async def bearer(at: Desk, token: str, method: str = "GET", **headers: str) -> httpx2.Response:
    sent = {"authorization": f"Bearer {token}"} | headers
    return await at.company.http.request(method, "/userinfo", headers=sent)


async def test_user_info_is_a_decision_of_now(at: Desk, browser: Browser) -> None:
    asked = Asking(scope="openid profile")
    tokens = (await at.redeem(asked, await at.code(asked, browser))).json()
    for method in ("GET", "POST"):
        told = await bearer(at, tokens["access_token"], method)
        assert (told.status_code, told.json()) == (200, {"sub": "alice", "department": "finance"})
        assert told.headers["cache-control"] == "no-store"
    token = (await at.redeem(asked, await at.code(Asking(), browser))).json()
    assert token.get("access_token") is None
    for wrong in ("x", tokens["id_token"], tokens["refresh_token"]):
        answer = await bearer(at, wrong)
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    bare = await at.company.http.get("/userinfo")
    assert bare.status_code == 401
    assert "error" not in bare.headers["www-authenticate"]
    plain = Asking()
    elsewhere = (await at.redeem(plain, await at.code(plain, browser))).json()
    assert (await bearer(at, elsewhere["access_token"])).status_code == 401  # for the API, not for us
    mine = await at.company.ask(
        "web", grant_type="refresh_token", refresh_token=elsewhere["refresh_token"], resource=ISSUER
    )
    assert (await bearer(at, mine.json()["access_token"])).json() == {"sub": "alice"}


async def test_user_info_without_openid(at: Desk, browser: Browser) -> None:
    asked = Asking(scope="profile")
    tokens = (await at.redeem(asked, await at.code(asked, browser))).json()
    answer = await bearer(at, tokens["access_token"])
    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert 'scope="openid"' in answer.headers["www-authenticate"]


async def test_user_info_signed_and_bound(at: Desk, browser: Browser) -> None:
    asked, key = Asking("api", OWN, scope="openid profile"), ECKey.generate_key("P-256")
    code = await at.code(asked, browser)
    token = (await at.redeem(asked, code, headers=proof(key))).json()["access_token"]
    ath = {"ath": half(token), "htm": "GET", "htu": f"{ISSUER}/userinfo"}
    shown = {"authorization": f"DPoP {token}", **proof(key, **ath)}
    answer = await at.company.http.get("/userinfo", headers=shown)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/jwt"
    header, claims = await verified(at, answer.text)
    assert header["typ"] == "userinfo+jwt"
    assert (claims["iss"], claims["aud"], claims["sub"], claims["department"]) == (ISSUER, "api", "alice", "finance")
    assert (await bearer(at, token)).status_code == 401  # it never becomes a bearer token
    again = await at.company.http.get("/userinfo", headers=shown)
    assert again.status_code == 401
    assert 'error="invalid_dpop_proof"' in again.headers["www-authenticate"]


def half(token: str) -> str:
    import base64
    import hashlib

    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


async def test_discovery_says_all_of_it(at: Desk) -> None:
    document = (await at.company.http.get("/.well-known/openid-configuration")).json()
    assert document["authorization_endpoint"] == f"{ISSUER}/authorize"
    assert document["pushed_authorization_request_endpoint"] == f"{ISSUER}/par"
    assert document["userinfo_endpoint"] == f"{ISSUER}/userinfo"
    assert document["response_types_supported"] == ["code"]
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert document["request_parameter_supported"] is True
    assert document["request_uri_parameter_supported"] is False
    assert document["scopes_supported"] == ["offline_access", "openid", "profile"]
    assert document["acr_values_supported"] == ["phr"]
    assert {"sub", "department"} <= set(document["claims_supported"])
    assert document["require_pushed_authorization_requests"] is False

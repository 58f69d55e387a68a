"""Questions that people are asked out of band (OpenID CIBA Core 1.0), over real HTTP."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import ECKey

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.authn.ports import ClientSecret
from mintwarden.authn.secrets import generate_secret, hash_secret
from mintwarden.issue.pending import MOST_WAITING
from tests.flow.authorizing import Desk, desk
from tests.flow.browser import ISSUER, Browser
from tests.flow.company import EXCHANGE, PAYMENTS, public
from tests.flow.test_device_code import acts, decide, error

pytestmark = pytest.mark.asyncio(loop_scope="module")

GRANT = "urn:openid:params:grant-type:ciba"
CLIENT = """
[client]
id = "{id}"
name = "The {id}"
kind = "{kind}"
owner = "Payments"
environments = ["production"]
authentication = ["client_secret_basic"]
grants = ["ciba", "refresh_token"]
{more}
[client.ceilings]
identity = "*"
payments = "*"
"""
DETAILS = """
[details.transfer]
meaning = "Transfer money to one account"
tier = "low"
[details.transfer.fields]
amount = { type = "decimal", narrows = "at_most", required = true }
"""
PING = 'backchannel_token_delivery_mode = "ping"\nbackchannel_client_notification_endpoint = "https://till.example/cb"'
RULES = """
@id("transfer") @owner("Payments") @reason("people transfer small amounts")
permit (principal is User, action == Action::"issue", resource == Detail::"transfer")
when { context.detail.amount.lessThanOrEqual(decimal("100.00")) };
@id("butler-acts") @owner("Payments") @reason("the butler works for people")
permit (principal == Agent::"butler", action == Action::"act", resource in Audience::"payments");
@id("butler-signs-in") @owner("Token Governance") @reason("it has to know whom it works for")
permit (principal == Agent::"butler", action == Action::"act", resource in Audience::"identity");
"""
SECRETS: dict[str, str] = {}
HINTS = "https://hints.example"
HINTING = ECKey.generate_key("P-256")


def with_askers(bundle: Path) -> None:
    payments = bundle / "audiences" / "payments.toml"
    payments.write_text(payments.read_text() + DETAILS)
    (bundle / "issuers").mkdir(exist_ok=True)
    (bundle / "issuers/hints.toml").write_text(
        f'[issuer]\nid = "hints"\nissuer = "{HINTS}"\naudiences = ["{ISSUER}"]\nprincipal = "User"\n'
        f'uses = ["login_hint"]\nkeys = "inline"\n[[issuer.jwks]]\n{public(HINTING, "hint-1")}\n'
    )
    for name, kind, more in (
        ("callcentre", "web", 'details = ["transfer"]'),
        ("other", "web", ""),
        ("flood", "web", ""),
        ("till", "web", PING),
        ("butler", "agent", ""),
    ):
        (bundle / "clients" / f"{name}.toml").write_text(CLIENT.format(id=name, kind=kind, more=more))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with desk(tmp_path_factory.mktemp("desk"), rules=RULES, edit=with_askers) as made:
        async with foundation(load_config(made.company.folder / "mintwarden.toml", environ={})) as base:
            for name in ("callcentre", "other", "flood", "till", "butler"):
                SECRETS[name] = generate_secret(secrets.token_bytes)
                digest = hash_secret(base.pepper, SECRETS[name])
                row = ClientSecret(client_id=name, scheme="hmac-sha256", digest=digest, created_at=0)
                await base.store.credentials.add_secrets([row])
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(here: Desk) -> Browser:
    return Browser(here.company)


async def begin(here: Desk, client: str = "callcentre", **form: str) -> httpx2.Response:
    asked = {"scope": "openid payments:read", "login_hint": "alice", **form}
    asked = {name: value for name, value in asked.items() if value != "-"}
    return await here.company.http.post("/bc-authorize", data=asked, auth=(client, SECRETS[client]))


async def poll(here: Desk, name: str, client: str = "callcentre") -> httpx2.Response:
    asked = {"grant_type": GRANT, "auth_req_id": name, "resource": PAYMENTS}
    return await here.company.http.post("/token", data=asked, auth=(client, SECRETS[client]))


async def page_of(here: Desk, name: str, browser: Browser) -> httpx2.Response:
    request = name.partition(".")[0]
    return await here.through(await browser.get("/approvals", {"r": request}), browser)


async def test_a_person_is_asked_and_allows_it(here: Desk, browser: Browser) -> None:
    answer = await begin(here, binding_message="Order 4711", requested_expiry="120")
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["expires_in"], said["interval"]) == (120, 5)
    name = said["auth_req_id"]
    assert error(await poll(here, name)) == (400, "authorization_pending")
    assert error(await poll(here, name)) == (400, "slow_down")
    queue = await here.through(await browser.get("/approvals"), browser)
    assert "The callcentre: Order 4711" in queue.text
    page = await page_of(here, name, browser)
    for told in ("The callcentre", "Order 4711", "Read payments", "127.0.0.1", "not just ask for this yourself"):
        assert told in page.text, told
    assert (await decide(browser, page)).status_code == 200
    tokens = await poll(here, name)
    assert tokens.status_code == 200, tokens.text
    claims = await here.company.claims(tokens.json()["access_token"])
    assert (claims["sub"], claims["client_id"], claims["scope"]) == ("alice", "callcentre", "payments:read")
    assert tokens.json()["id_token"]
    assert tokens.json()["refresh_token"]
    act = (await acts(here))[-1]
    assert (act["detail"]["what"], act["detail"]["how"]) == ("allowed", "ciba")
    assert "Order 4711" not in json.dumps(act), "what is said between two stays between them"
    assert error(await poll(here, name)) == (400, "invalid_grant")
    assert "Order 4711" not in (await browser.get("/approvals")).text


async def test_details_are_shown_allowed_and_in_the_token(here: Desk, browser: Browser) -> None:
    details = [{"type": "transfer", "amount": "12.50"}]
    asked = {"scope": "openid", "authorization_details": json.dumps(details)}
    name = (await begin(here, **asked)).json()["auth_req_id"]
    page = await page_of(here, name, browser)
    assert "Transfer money to one account" in page.text
    assert "12.50" in page.text
    await decide(browser, page)
    tokens = await poll(here, name)
    assert tokens.status_code == 200, tokens.text
    claims = await here.company.claims(tokens.json()["access_token"])
    assert claims["authorization_details"] == details
    act = (await acts(here))[-1]
    assert act["detail"]["details"] == ["transfer"]
    assert "12.50" not in json.dumps(act), "the details themselves are sealed"


async def test_a_level_that_the_client_wants_is_signed_in_at(here: Desk) -> None:
    weak = {"acr": "pwd", "amr": ["pwd"]}
    browser = Browser(here.company)
    here.corp.claims = weak
    try:
        await here.through(await browser.get("/approvals"), browser)  # signed in, but weakly
        name = (await begin(here, acr_values="phr")).json()["auth_req_id"]
        answer = await browser.get("/approvals", {"r": name.partition(".")[0]})
        assert answer.headers["location"].startswith("/signin?i=")
        there = await browser.get(answer.headers["location"])
        refused = await here.through(there, browser)
        assert refused.status_code == 400, "still weak"
        assert "could not sign in as this request demands" in refused.text
        here.corp.claims = {}
        page = await page_of(here, name, browser)
    finally:
        here.corp.claims = {}
    assert here.corp.sent[-1]["acr_values"] == "mfa"
    await decide(browser, page)
    tokens = await poll(here, name)
    assert tokens.status_code == 200, tokens.text
    assert (await here.company.claims(tokens.json()["access_token"]))["acr"] == "phr"


async def test_a_person_says_no(here: Desk, browser: Browser) -> None:
    name = (await begin(here)).json()["auth_req_id"]
    await decide(browser, await page_of(here, name, browser), "deny")
    assert error(await poll(here, name)) == (400, "access_denied")


async def test_markup_in_a_binding_message_stays_text(here: Desk, browser: Browser) -> None:
    name = (await begin(here, binding_message="<b>Order</b> {{ 7*7 }}")).json()["auth_req_id"]
    for page in (await page_of(here, name, browser), await browser.get("/approvals")):
        assert "&lt;b&gt;Order&lt;/b&gt; {{ 7*7 }}" in page.text


async def test_only_whoever_is_asked_sees_it(here: Desk) -> None:
    name = (await begin(here, binding_message="For alice")).json()["auth_req_id"]
    here.corp.subject = "carol"
    try:
        browser = Browser(here.company)
        assert (await page_of(here, name, browser)).status_code == 404
        assert "For alice" not in (await browser.get("/approvals")).text
    finally:
        here.corp.subject = "alice"
    assert error(await poll(here, name)) == (400, "authorization_pending")


async def test_another_clients_request(here: Desk) -> None:
    name = (await begin(here)).json()["auth_req_id"]
    assert error(await poll(here, name, "other")) == (400, "invalid_grant")
    assert error(await poll(here, "nothing.here")) == (400, "invalid_grant")
    assert error(await poll(here, name)) == (400, "authorization_pending")


async def test_an_agent_acts_for_the_person_who_was_asked(here: Desk, browser: Browser) -> None:
    name = (await begin(here, "butler")).json()["auth_req_id"]
    await decide(browser, await page_of(here, name, browser))
    tokens = await poll(here, name, "butler")
    assert tokens.status_code == 200, tokens.text
    claims = await here.company.claims(tokens.json()["access_token"])
    assert claims["sub"] == "alice"
    assert claims["act"]["sub"] == "butler"


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"login_hint": "-"}, "invalid_request"),
        ({"id_token_hint": "x"}, "invalid_request"),
        ({"login_hint": "-", "login_hint_token": "x"}, "invalid_request"),
        ({"login_hint_token": "x"}, "invalid_request"),
        ({"login_hint": "-", "id_token_hint": "x.y.z"}, "invalid_request"),
        ({"login_hint": "nobody-of-that-name"}, "unknown_user_id"),
        ({"scope": "payments:read"}, "invalid_scope"),
        ({"scope": "openid no:such"}, "invalid_scope"),
        ({"binding_message": "x" * 101}, "invalid_binding_message"),
        ({"binding_message": " padded"}, "invalid_binding_message"),
        ({"binding_message": "one line\nanother"}, "invalid_request"),  # no parameter may have such characters
        ({"binding_message": "pay 10\u202e01"}, "invalid_request"),
        ({"binding_message": "\u3164"}, "invalid_binding_message"),  # a letter that is drawn as nothing
        ({"binding_message": "pay" + "\u0338" * 20}, "invalid_binding_message"),  # marks over the lines around
        ({"requested_expiry": "0"}, "invalid_request"),
        ({"requested_expiry": "-5"}, "invalid_request"),
        ({"requested_expiry": "soon"}, "invalid_request"),
        ({"requested_expiry": "1.5"}, "invalid_request"),
        ({"user_code": "1234"}, "invalid_request"),
        ({"request": "x.y.z"}, "invalid_request"),  # what a signed request is: `test_ciba_signed.py`
    ],
)
async def test_what_is_wrong_with_a_request(here: Desk, form: dict[str, str], expected: str) -> None:
    answer = await begin(here, **form)
    assert error(answer) == (400, expected), answer.text


async def test_who_may_not_ask(here: Desk) -> None:
    form = {"scope": "openid", "login_hint": "alice"}
    answer = await here.company.http.post("/bc-authorize", data=form, auth=("callcentre", "wrong"))
    assert error(answer) == (401, "invalid_client")
    answer = await here.company.http.post("/bc-authorize", data=form, auth=("web", here.company.secrets["web"]))
    assert error(answer) == (400, "unauthorized_client")


async def test_a_hint_that_is_another_clients_id_token(here: Desk, browser: Browser) -> None:
    name = (await begin(here)).json()["auth_req_id"]
    await decide(browser, await page_of(here, name, browser))
    hint = (await poll(here, name)).json()["id_token"]
    asked = {"login_hint": "-", "id_token_hint": hint}
    assert (await begin(here, **asked)).status_code == 200
    assert error(await begin(here, "other", **asked)) == (400, "invalid_request")


def hint(*, typ: str = "login-hint+jwt", key: ECKey | None = None, **changes: Any) -> str:
    now = int(time.time())
    said = {"iss": HINTS, "sub": "alice", "aud": ISSUER, "iat": now, "exp": now + 60} | changes
    return jwt.encode({"alg": "ES256", "kid": "hint-1", "typ": typ}, said, key or HINTING, algorithms=["ES256"])


async def test_a_trusted_issuer_says_whom_to_ask(here: Desk, browser: Browser) -> None:
    answer = await begin(here, login_hint="-", login_hint_token=hint(), binding_message="By a hint")
    assert answer.status_code == 200, answer.text
    page = await page_of(here, answer.json()["auth_req_id"], browser)
    assert "By a hint" in page.text
    await decide(browser, page, "deny")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sub": "nobody"}, "unknown_user_id"),
        ({"exp": 1_700_000_000, "iat": 1_699_999_940}, "expired_login_hint_token"),
        ({"aud": "https://other.example"}, "invalid_request"),
        ({"iss": "https://other.example"}, "invalid_request"),
        ({"typ": "JWT"}, "invalid_request"),
        ({"key": ECKey.generate_key("P-256")}, "invalid_request"),
    ],
    ids=["unknown", "ended", "for-others", "of-others", "another-kind", "another-key"],
)
async def test_a_hint_that_is_none(here: Desk, changes: dict[str, Any], expected: str) -> None:
    assert error(await begin(here, login_hint="-", login_hint_token=hint(**changes))) == (400, expected)


async def test_a_hint_is_nothing_else(here: Desk) -> None:
    form = {"subject_token": hint(), "subject_token_type": "urn:ietf:params:oauth:token-type:jwt"}
    answer = await here.company.http.post(
        "/token", data={"grant_type": EXCHANGE, **form}, auth=("callcentre", SECRETS["callcentre"])
    )
    assert answer.status_code == 400
    assert (await begin(here, login_hint="-", id_token_hint=hint())).status_code == 400


async def test_a_long_wish_is_cut(here: Desk) -> None:
    assert (await begin(here, requested_expiry="86400")).json()["expires_in"] == 900


async def test_nobody_is_worn_out_by_questions(here: Desk) -> None:
    for _ in range(MOST_WAITING):
        assert (await begin(here, "flood")).status_code == 200
    assert error(await begin(here, "flood")) == (403, "access_denied")


async def test_ping_needs_a_token_of_the_clients(here: Desk) -> None:
    assert error(await begin(here, "till")) == (400, "invalid_request")
    for wrong in ("with space", "x" * 1025, "ü"):
        assert error(await begin(here, "till", client_notification_token=wrong)) == (400, "invalid_request")
    answer = await begin(here, "till", client_notification_token="8d67dc78-7faa-4d41-aabd-67707b374255")
    assert answer.status_code == 200, answer.text


async def test_it_is_announced(here: Desk) -> None:
    metadata = (await here.company.http.get("/.well-known/openid-configuration")).json()
    assert metadata["backchannel_authentication_endpoint"] == "https://tokens.example.com/bc-authorize"
    assert metadata["backchannel_token_delivery_modes_supported"] == ["poll", "ping", "push"]
    assert metadata["backchannel_user_code_parameter_supported"] is False
    assert GRANT in metadata["grant_types_supported"]

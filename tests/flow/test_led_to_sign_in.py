"""What the policy gives in part for want of a better sign-in: the person is led to it once, and it is decided anew."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
import pytest_asyncio

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.sign_in import passkeys_of
from mintwarden.consumer import Guard, KeyCache, Proofs, ProtectedResource, TokenVerifier
from mintwarden.model.values import EntityUid
from tests.flow.authenticator import Authenticator
from tests.flow.authorizing import OWN, Asking, Desk, desk, response
from tests.flow.browser import ISSUER, Browser, Form

pytestmark = pytest.mark.asyncio(loop_scope="module")

VAULT = "https://api.example.com/vault"
WEAK: dict[str, Any] = {"acr": "pwd", "amr": ["pwd"]}
SCOPES = "".join(
    f'[scopes."vault:{name}"]\nmeaning = "{meaning}"\ntier = "low"\n'
    for name, meaning in (
        ("look", "Look into the vault"),
        ("renew", "Renew the vault"),
        ("seal", "Seal the vault"),
        ("hide", "Hide the vault"),
        ("lend", "Lend the vault"),
        ("count", "Count what is there"),
    )
)
RULES = """
@id("vault-look") @owner("Payments") @reason("anybody")
permit (principal is User, action == Action::"issue", resource == Scope::"vault:look");
@id("vault-renew") @owner("Payments") @reason("by who signed in just now") @require_auth_age("5m")
permit (principal is User, action == Action::"issue", resource == Scope::"vault:renew");
@id("vault-seal") @owner("Payments") @reason("with a key of ours") @require_acr("phrh")
permit (principal is User, action == Action::"issue", resource == Scope::"vault:seal");
@id("vault-count") @owner("Payments") @reason("with a key of ours, said otherwise") @require_amr("user")
permit (principal is User, action == Action::"issue", resource == Scope::"vault:count");
@id("vault-hide") @owner("Payments") @reason("as nobody signs in here") @require_acr("nowhere")
permit (principal is User, action == Action::"issue", resource == Scope::"vault:hide");
@id("vault-lend") @owner("Payments") @reason("strong, and for a purpose") @require_acr("phr") @require_purpose("audit")
permit (principal is User, action == Action::"issue", resource == Scope::"vault:lend");
"""
PASSKEYS = '[passkeys]\nenabled = true\nacr = "phrh"\namr = ["hwk", "user", "mfa"]\n'
PURPOSE = '[purposes.audit]\nmeaning = "Looking at what is there"\n'


def more(bundle: Path) -> None:
    vault = bundle / "audiences/vault.toml"
    vault.write_text(vault.read_text().replace('[details."take"]', f'{SCOPES}[details."take"]', 1))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    async with desk(folder, rules=RULES, edit=more, registration=PASSKEYS + PURPOSE) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def keyed(tmp_path: Path) -> AsyncIterator[tuple[Desk, Browser]]:
    """A desk of its own for whoever makes a passkey: from then on they have one."""
    async with desk(tmp_path, rules=RULES, edit=more, registration=PASSKEYS + PURPOSE) as at:
        yield at, await weakly(at)


@pytest_asyncio.fixture(loop_scope="module")
async def browser(at: Desk) -> AsyncIterator[Browser]:
    yield await weakly(at)
    at.corp.claims = {}


async def weakly(at: Desk) -> Browser:
    """Where alice is signed in, weakly and just now. The provider can do better from now on."""
    at.corp.claims, at.corp.subject = dict(WEAK), "alice"
    browser = at.another()
    await signed_in(at, browser)
    at.corp.claims = {}
    at.corp.sent.clear()
    return browser


async def signed_in(at: Desk, browser: Browser, **parameters: str) -> None:
    answer = await at.through(await at.request(wanting("vault:look", **parameters), browser), browser)
    assert "code" in response(answer, OWN)


def wanting(scope: str, **parameters: str) -> Asking:
    """By the client whose people need not be asked, and which knows where they sign in."""
    return Asking("api", OWN, scope=scope, domain_hint="corp", **parameters)


async def given(at: Desk, browser: Browser, scope: str, **parameters: str) -> str:
    """What a request comes to, whatever it takes."""
    asked = wanting(scope, **parameters)
    back = response(await at.through(await at.request(asked, browser), browser), OWN)
    return await redeemed(at, asked, back)


async def redeemed(at: Desk, asked: Asking, back: dict[str, str]) -> str:
    if "code" not in back:
        return back["error"]
    answer = await at.redeem(asked, back["code"], resource=VAULT)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["scope"])


async def test_one_request_is_enough_where_the_sign_in_is_too_weak_for_a_part_of_it(at: Desk, browser: Browser) -> None:
    assert await given(at, browser, "vault:look vault:open") == "vault:look vault:open"
    assert [sent.get("acr_values") for sent in at.corp.sent] == ["mfa"]
    assert await given(at, browser, "vault:look vault:open") == "vault:look vault:open"
    assert len(at.corp.sent) == 1, "whoever is signed in so is led nowhere"


async def test_the_page_that_asks_comes_afterwards_and_offers_all_of_it(at: Desk, browser: Browser) -> None:
    asked = Asking(scope="vault:look vault:open", domain_hint="corp")
    page = await at.through(await at.request(asked, browser), browser)
    assert {"scope:vault:look", "scope:vault:open"} <= Form(page.text).fields.keys()
    assert len(at.corp.sent) == 1
    assert await redeemed(at, asked, response(await at.allow(page, browser))) == "vault:look vault:open"


async def test_a_newer_sign_in_is_one_too(at: Desk) -> None:
    browser = await signed_in_long_ago(at)
    assert await given(at, browser, "vault:look vault:renew") == "vault:look vault:renew"
    assert [sent.get("max_age") for sent in at.corp.sent] == ["300"]


async def test_what_is_lacking_for_several_is_met_by_one_sign_in(at: Desk) -> None:
    browser = await signed_in_long_ago(at, **WEAK)
    every = "vault:look vault:open vault:renew"
    assert await given(at, browser, every) == every
    assert [(sent["acr_values"], sent["max_age"]) for sent in at.corp.sent] == [("mfa", "300")]


async def test_whoever_stays_weak_goes_on_with_less_and_is_left_alone_for_a_while(at: Desk, browser: Browser) -> None:
    at.corp.claims = dict(WEAK)
    for scope in ("vault:look vault:open", "vault:open vault:look", "vault:look vault:open vault:burn"):
        assert await given(at, browser, scope) == "vault:look"
        assert len(at.corp.sent) == 1, "once, and not again for each request that lacks the same"
    page = await at.through(
        await at.request(Asking(scope="vault:look vault:open", domain_hint="corp"), browser), browser
    )
    assert "Open the vault: you would have to sign in with a stronger method" in page.text
    at.corp.claims = {}
    assert await given(at, browser, "vault:look vault:open", acr_values="phr") == "vault:look vault:open"


async def test_whoever_the_provider_refuses_goes_on_with_less(at: Desk, browser: Browser) -> None:
    asked = wanting("vault:look vault:open")
    there = await browser.get((await at.request(asked, browser)).headers["location"])
    state = dict(parse_qsl(urlsplit(there.headers["location"]).query))["state"]
    refusal = {"error": "access_denied", "state": state, "iss": at.corp.issuer}
    back = await at.through(await browser.get("/signin/callback/corp", refusal), browser)
    assert await redeemed(at, asked, response(back, OWN)) == "vault:look"
    assert await given(at, browser, "vault:look vault:open") == "vault:look"
    assert at.corp.sent == []


async def test_a_provider_that_does_nothing_anew_takes_nothing_away(at: Desk) -> None:
    browser = await signed_in_long_ago(at)
    at.corp.claims = {"auth_time": int(time.time()) - 3600}
    for _ in range(2):
        assert await given(at, browser, "vault:look vault:renew") == "vault:look"
    assert len(at.corp.sent) == 1


async def test_what_was_tried_for_the_client_is_not_tried_again_for_the_rule(at: Desk, browser: Browser) -> None:
    at.corp.claims = dict(WEAK)
    assert await given(at, browser, "vault:look vault:open", acr_values="phr") == "vault:look"
    assert len(at.corp.sent) == 1


@pytest.mark.parametrize("scope", ["vault:hide", "vault:count", "vault:lend", "vault:burn"])
async def test_nobody_is_led_where_no_sign_in_of_theirs_would_do(at: Desk, browser: Browser, scope: str) -> None:
    """A level that nobody reaches, a method that a provider cannot be asked for, a purpose that is lacking as well."""
    assert await given(at, browser, f"vault:look {scope}") == "vault:look"
    expected = {"vault:hide": "unmet_authentication_requirements", "vault:count": "unmet_authentication_requirements"}
    assert await given(at, browser, scope) == expected.get(scope, "access_denied")
    assert at.corp.sent == []


async def test_in_silence_it_is_what_can_be_had_in_silence(at: Desk, browser: Browser) -> None:
    """And where that is nothing, the client hears that the person has to be there."""
    assert await given(at, browser, "vault:look vault:open", prompt="none") == "vault:look"
    assert await given(at, browser, "vault:open", prompt="none") == "login_required"
    assert await given(at, browser, "vault:hide", prompt="none") == "unmet_authentication_requirements"
    assert at.corp.sent == []


async def test_a_part_that_a_sign_in_gives_is_had_though_the_rest_is_refused(at: Desk, browser: Browser) -> None:
    assert await given(at, browser, "vault:burn vault:open") == "vault:open"
    assert len(at.corp.sent) == 1


async def test_a_level_that_the_client_insists_on_is_not_given_up_for_the_rules(at: Desk, browser: Browser) -> None:
    at.corp.claims = {}
    essential = '{"id_token":{"acr":{"essential":true,"values":["phr"]}}}'
    assert await given(at, browser, "vault:look vault:seal", claims=essential) == "vault:look"
    assert len(at.corp.sent) == 1, "by the client's demand, and not by the rule's"


async def test_a_passkey_is_a_way_for_whoever_has_one(keyed: tuple[Desk, Browser]) -> None:
    at, browser = keyed
    asked = wanting("vault:look vault:seal vault:count")
    assert await redeemed(at, asked, response(await at.request(asked, browser), OWN)) == "vault:look"
    authenticator = await with_passkey(at, browser)
    asked = wanting("vault:look vault:seal vault:count")
    page = await at.through(await at.request(asked, browser), browser)
    assert "a stronger or a more recent sign-in" in page.text
    assert "/signin/start" not in page.text, "the provider cannot give it"
    fields = Form(page.text).fields
    told = (await browser.call("/signin/passkey/options", fields)).json()
    shown = {"handle": told["handle"], "credential": authenticator.show(told["options"])}
    done = await browser.call("/signin/passkey", fields | shown)
    back = response(await at.through(await browser.get(done.json()["next"]), browser), OWN)
    assert await redeemed(at, asked, back) == "vault:look vault:seal vault:count"
    assert at.corp.sent == []


async def test_the_page_of_ways_has_one_without(keyed: tuple[Desk, Browser]) -> None:
    at, browser = keyed
    await with_passkey(at, browser)
    asked = wanting("vault:look vault:seal")
    page = await at.through(await at.request(asked, browser), browser)
    (without,) = [link for link in Form(page.text).links if link.startswith("/authorize/continue")]
    back = response(await browser.get(without), OWN)
    assert await redeemed(at, asked, back) == "vault:look"


# -- an MCP client --------------------------------------------------------------------------------------------


async def test_an_mcp_client_that_unites_its_scopes_reaches_what_it_lacks_in_one_round(
    at: Desk, browser: Browser
) -> None:
    """MCP, revision 2026-07-28: challenges name what the operation needs, and the client asks for that and all before."""
    server, asked_for, rounds = guarded(at), set[str](), 0
    token = ""
    while True:
        head = {"authorization": f"Bearer {token}"} if token else {}
        answer = await server.post("/vault", headers=head)
        if answer.status_code == 200:
            break
        rounds += 1
        assert rounds <= 2, "each challenge takes one round"
        asked_for |= set(scope_of(answer).split())
        asked = wanting(" ".join(sorted(asked_for)), resource=VAULT)
        back = response(await at.through(await at.request(asked, browser), browser), OWN)
        redeemed = await at.redeem(asked, back["code"], resource=VAULT)
        token = redeemed.json()["access_token"]
    assert rounds == 2
    assert redeemed.json()["scope"] == "vault:look vault:open"
    assert len(at.corp.sent) == 1, "of which one led through a stronger sign-in, which nobody had to ask for"


def guarded(at: Desk) -> httpx2.AsyncClient:
    """A server whose every call takes one scope, and this one another that it says only then, by itself."""

    async def fetch(url: str) -> bytes:
        return (await at.company.http.get(url.removeprefix(ISSUER))).content

    async def application(scope: Any, _receive: Any, send: Any) -> None:
        guard.demand(scope, "vault:open")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    resource = ProtectedResource(resource=VAULT, authorization_servers=(ISSUER,), scopes=("vault:look", "vault:open"))
    verifier = TokenVerifier(issuer=ISSUER, audience=VAULT, keys=KeyCache(ISSUER, fetch=fetch), proofs=Proofs())
    guard = Guard(application, resource=resource, verifier=verifier, needed=("vault:look",))
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=guard), base_url="https://api.example.com")


def scope_of(answer: httpx2.Response) -> str:
    found = re.search('scope="([^"]*)"', answer.headers["www-authenticate"])
    assert found is not None, answer.headers["www-authenticate"]
    return found[1]


async def signed_in_long_ago(at: Desk, **claims: Any) -> Browser:
    """A browser in which alice signed in an hour ago, of a provider that can do it anew from now on."""
    browser = at.another()
    at.corp.subject, at.corp.claims = "alice", {"auth_time": int(time.time()) - 3600, **claims}
    await signed_in(at, browser)
    at.corp.claims = {}
    at.corp.sent.clear()
    return browser


async def with_passkey(at: Desk, browser: Browser) -> Authenticator:
    """Alice makes a passkey."""
    async with foundation(load_config(at.company.folder / "mintwarden.toml", environ={})) as base:
        now = base.clock.now()
        invitation = await passkeys_of(base).invite(EntityUid("User", "alice"), ends=now + 60_000, now=now)
    page = await browser.get("/signin/passkey/new", {"invitation": invitation})
    content = {"csrf": Form(page.text).fields["csrf"], "invitation": invitation}
    told = (await browser.call("/signin/passkey/registration/options", content)).json()
    authenticator = Authenticator()
    made = {"handle": told["handle"], "credential": authenticator.make(told["options"])}
    done = await browser.call("/signin/passkey/registration", content | made)
    assert done.status_code == 200, done.text
    return authenticator

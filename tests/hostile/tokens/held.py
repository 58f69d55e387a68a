"""What browsers hold, by name: links, handles, challenges, cookies and tokens of forms; and the places that take them.

None of it is signed, and all of it looks alike: it is found, or worked out, by what it is for. Whatever goes with one of
them (the browser, the other fields of its form) is kept beside it in the world, so that it is the right one that is
offered to its own place; to that place all others come with what goes with a good one.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
from msgspec.structs import replace

from mintwarden.app.sign_in import passkeys_of
from mintwarden.authn.interactions import KIND as INTERACTION
from mintwarden.authn.interactions import Interaction, cookie_of, secret_digest
from mintwarden.authn.shelf import Shelf
from mintwarden.issue.pending import TRIES, Tries
from mintwarden.model.values import EntityUid
from tests.flow.authenticator import Authenticator
from tests.flow.authorizing import BACK, Asking
from tests.flow.browser import PREFIX, Browser, Form, Forms
from tests.flow.company import ACCESS_TOKEN, EXCHANGE
from tests.hostile.tokens.kinds import AFTER, KINDS, World, asked_out_of_band, asking

AT = "/signin/passkey"
LATEST = ""
NEITHER = "neither"
"""Said of an approval for somebody else: whoever says yes or no to one is not asked again."""
PASSKEYS = '\n[passkeys]\nenabled = true\nacr = "phr"\namr = ["hwk", "user", "mfa"]\n'
Make = Callable[[World], Awaitable[str]]
Offer = Callable[[World, str], Awaitable[tuple[bool, str]]]


def query_of(answer: httpx2.Response) -> dict[str, str]:
    """The parameters of where an answer leads."""
    assert answer.status_code == 303, answer.text
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


def _keep(world: World, kind: str, text: str, *beside: Any) -> str:
    world.kept[kind, text] = world.kept[kind, LATEST] = beside
    return text


def _with(world: World, kind: str, text: str) -> Any:
    """What goes with `text`, or with the latest good one of its kind: no refusal uses that up."""
    return world.kept.get((kind, text)) or world.kept[kind, LATEST]


# -- passkeys ---------------------------------------------------------------------------------------------------------


async def invitation(world: World) -> str:
    now, who = world.base.clock.now(), EntityUid("User", f"alice-{secrets.token_hex(4)}")
    return await passkeys_of(world.base).invite(who, ends=now + 600_000, now=now)


async def invited(world: World, text: str) -> tuple[bool, str]:
    page = await Browser(world.company).get(f"{AT}/new", {"invitation": text})
    return page.status_code == 200, "page"


async def making(world: World) -> str:
    """The handle of a challenge to make a passkey with; beside it all that its answer takes."""
    browser, maker = Browser(world.company), Authenticator()
    fields = Form((await browser.get(f"{AT}/new", {"invitation": await invitation(world)})).text).fields
    asked = (await browser.call(f"{AT}/registration/options", fields)).json()
    answered = fields | {"credential": maker.make(asked["options"])}
    return _keep(world, "making", str(asked["handle"]), browser, answered, maker)


async def made(world: World, text: str) -> tuple[bool, str]:
    browser, answered, _ = _with(world, "making", text)
    return _json(await browser.call(f"{AT}/registration", answered | {"handle": text}))


async def showing(world: World) -> str:
    """The handle of a challenge to sign in with a passkey by; beside it all that its answer takes."""
    handle = await making(world)
    assert (await made(world, handle))[0]
    _, _, authenticator = _with(world, "making", handle)
    await making(world)  # one that is not used up
    browser, fields = await _at_the_door(world)
    asked = (await browser.call(f"{AT}/options", fields)).json()
    answered = fields | {"credential": authenticator.show(asked["options"])}
    return _keep(world, "showing", str(asked["handle"]), browser, answered)


async def shown(world: World, text: str) -> tuple[bool, str]:
    browser, answered = _with(world, "showing", text)
    return _json(await browser.call(AT, answered | {"handle": text}))


def _json(answer: httpx2.Response) -> tuple[bool, str]:
    return answer.status_code == 200, "" if answer.status_code == 200 else str(answer.json()["error"])


async def _at_the_door(world: World) -> tuple[Browser, dict[str, str]]:
    """A browser that nobody is signed in with, at the page of the ways to, and the fields there."""
    browser = Browser(world.company)
    sent = await browser.get("/authorize", asking().parameters)
    return browser, Form((await browser.get(sent.headers["location"])).text).fields


# -- signing in -------------------------------------------------------------------------------------------------------


async def transaction(world: World) -> str:
    """`state` of a sign-in at the provider; beside it the browser that it began in, and what the provider said."""
    browser = Browser(world.company)
    sent = await world.desk.to_the_provider(await browser.get("/authorize", asking().parameters), browser)
    query = world.desk.corp.authorize(sent.headers["location"])
    return _keep(world, "transaction", str(query["state"]), browser, query)


def called_back(name: str) -> Offer:
    """At the address that the provider sends people back to, by the browser that went there."""

    async def offer(world: World, text: str) -> tuple[bool, str]:
        if name == "code":  # which uses the transaction up, right or wrong
            await transaction(world)
        browser, query = _with(world, "transaction", text)
        answer = await browser.get("/signin/callback/corp", query | {name: text})
        return answer.status_code == 303 and "error" not in answer.headers["location"], "page"

    return offer


async def secret_of_an_interaction(world: World) -> str:
    """The cookie by which a browser has begun what it signs in for; beside it the handle."""
    browser = Browser(world.company)
    handle = query_of(await browser.get("/authorize", asking().parameters))["i"]
    secret = browser.cookies[PREFIX + cookie_of(handle)]
    return _keep(world, "secret", secret, handle)


async def by_secret_of_an_interaction(world: World, text: str) -> tuple[bool, str]:
    (handle,) = _with(world, "secret", text)
    browser = Browser(world.company)
    browser.cookies = {PREFIX + cookie_of(handle): text}
    return (await browser.get("/signin", {"i": handle})).status_code == 200, "page"


async def typed_in(world: World, text: str) -> tuple[bool, str]:
    """As the code that a device shows, by somebody who was never wrong before: beyond a few, nothing is looked for."""
    for who in ("person:User:corp/alice", "address:127.0.0.1"):
        await Shelf(TRIES, Tries, states=world.base.store.states, seal=world.base.master).take(who, 0)
    page = await world.browser.post(
        "/device", Form((await world.browser.get("/device")).text).fields | {"user_code": text}
    )
    if page.status_code == 200:
        return "seen" in Form(page.text).fields, ""
    return False, "no device" if "There is no device with this code" in page.text else page.text


async def gone_on(world: World, text: str) -> tuple[bool, str]:
    """As what a browser began, by one that knows the secret of its cookie, too."""
    begun = Shelf(INTERACTION, Interaction, states=world.base.store.states, seal=world.base.master)
    held = await begun.get(text, world.base.clock.now())
    if held is not None:
        await begun.replace(held, replace(held.value, browser=secret_digest("1")))
    browser = Browser(world.company)
    browser.cookies = {PREFIX + cookie_of(text): "1"}
    return (await browser.get("/signin", {"i": text})).status_code == 200, "page"


# -- somebody's word --------------------------------------------------------------------------------------------------


async def approval_link(world: World) -> str:
    """Names what waits for somebody: it is in the address of the page that they answer on. Looking uses nothing up."""
    if ("link", LATEST) not in world.kept:
        _keep(world, "link", await _asked(world))
    return str(next(text for kind, text in world.kept if kind == "link" and text))


async def _asked(world: World) -> str:
    return str((await asked_out_of_band(world)).json()["auth_req_id"]).partition(".")[0]


async def opened(world: World, path: str, query: Mapping[str, str] | None = None) -> httpx2.Response:
    """A page as whoever is signed in sees it: somebody else may have ended the session."""
    return await world.desk.through(await world.browser.get(path, dict(query or {})), world.browser)


def page_of(path: str, name: str, field: str) -> Offer:
    """Looked at by whoever is signed in: what has a form of that kind was found."""

    async def offer(world: World, text: str) -> tuple[bool, str]:
        page = await opened(world, path, {name: text})
        return page.status_code == 200 and field in Form(page.text).fields, "page"

    return offer


async def approval_of_another(world: World) -> str:
    """The id of what waits for whoever may approve it for somebody else."""
    subject = await KINDS["access token about a person"](world)
    form = {"grant_type": EXCHANGE, "subject_token": subject, "subject_token_type": ACCESS_TOKEN}
    answer = await world.http.post("/approval-requests", data=world.assertion() | form | {"scope": "payments:hold"})
    return str(answer.json()["approval_requests"][0]["id"])


async def signing_out(world: World) -> str:
    """What is left in the address of a client's request that somebody signs out."""
    sent = await Browser(world.company).post("/logout", {"client_id": "app", "post_logout_redirect_uri": AFTER})
    return query_of(sent)["logout"]


# -- tokens of forms --------------------------------------------------------------------------------------------------


async def _consent(world: World) -> tuple[Browser, dict[str, str]]:
    page = await world.desk.through(await world.desk.request(Asking("web", BACK), world.browser), world.browser)
    return world.browser, Form(page.text).fields | {"decision": "allow"}


async def _code(world: World) -> tuple[Browser, dict[str, str]]:
    page = await opened(world, "/device")
    return world.browser, Form(page.text).fields | {"user_code": await KINDS["user code"](world)}


async def _decision(world: World) -> tuple[Browser, dict[str, str]]:
    page = await opened(world, "/approvals", {"r": await _asked(world)})
    return world.browser, Form(page.text).fields | {"decision": "allow"}


async def _for_another(world: World) -> tuple[Browser, dict[str, str]]:
    page = await opened(world, "/approvals/requests", {"r": await approval_of_another(world)})
    return world.browser, Form(page.text).fields | {"decision": NEITHER}


async def _grant(world: World) -> tuple[Browser, dict[str, str]]:
    await world.redeemed("refresh_token")
    page = await opened(world, "/grants")
    return world.browser, next(form for form in Forms(page.text).all if form.get("what") == "grant")


async def _logout(world: World) -> tuple[Browser, dict[str, str]]:
    browser = Browser(world.company)
    await world.desk.through(await world.desk.request(asking(), browser), browser)
    page = await browser.get("/logout", {"logout": await signing_out(world)})
    return browser, Form(page.text).fields


async def _registration(world: World) -> tuple[Browser, dict[str, str]]:
    browser = Browser(world.company)
    page = await browser.get(f"{AT}/new", {"invitation": await invitation(world)})
    return browser, Form(page.text).fields


Filled = Callable[[World], Awaitable[tuple[Browser, dict[str, str]]]]
FORMS: Mapping[str, tuple[str, str, Filled]] = {
    "consent.html": ("consent", "/authorize/continue", _consent),
    "device.html": ("a device's code", "/device", _code),
    "approve.html": ("an approval", "/approvals/decide", _decision),
    "approval_request.html": ("an approval for another", "/approvals/requests/decide", _for_another),
    "parts.html": ("taking a grant back", "/grants/end", _grant),
    "sign_out.html": ("signing out", "/logout", _logout),
    "sign_in.html": ("signing in by a passkey", f"{AT}/options", _at_the_door),
    "passkey_new.html": ("making a passkey", f"{AT}/registration/options", _registration),
}
"""By template with a form that changes something: what it is for, where it is sent, and how it is filled in."""


def form_token(about: str, filled: Filled) -> Make:
    async def make(world: World) -> str:
        browser, fields = await filled(world)
        assert "csrf" in fields, (about, fields)
        return _keep(world, about, fields["csrf"], browser, fields)

    return make


def posted(about: str, path: str) -> Offer:
    async def offer(world: World, text: str) -> tuple[bool, str]:
        browser, fields = _with(world, about, text)
        send = browser.call if path.startswith(AT) else browser.post
        answer = await send(path, fields | {"csrf": text})
        undecided = fields.get("decision") == NEITHER and "neither a yes nor a no" in answer.text
        told = "another page" if "our own page" in answer.text else f"{answer.status_code}"
        return answer.status_code in (200, 303) or undecided, told

    return offer


HELD: Mapping[str, Make] = {
    "passkey invitation": invitation,
    "challenge to make a passkey": making,
    "challenge of a passkey": showing,
    "login transaction": transaction,
    "secret of an interaction": secret_of_an_interaction,
    "approval link": approval_link,
    "approval of another": approval_of_another,
    "request to sign out": signing_out,
    **{f"form token: {about}": form_token(about, filled) for about, _, filled in FORMS.values()},
}
"""Each by how to get a fresh one."""

TAKE: Mapping[str, tuple[Offer, str, str]] = {
    "invitation": (invited, "passkey invitation", "page"),
    "handle, making a passkey": (made, "challenge to make a passkey", "invalid_request"),
    "handle, signing in by a passkey": (shown, "challenge of a passkey", "invalid_request"),
    "state, from the provider": (called_back("state"), "login transaction", "page"),
    "an interaction's cookie": (by_secret_of_an_interaction, "secret of an interaction", "page"),
    "what waits for somebody": (page_of("/approvals", "r", "seen"), "approval link", "page"),
    "what waits for another's word": (page_of("/approvals/requests", "r", "seen"), "approval of another", "page"),
    "signing out, gone on": (page_of("/logout", "logout", "csrf"), "request to sign out", "page"),
    **{
        f"csrf, {about}": (posted(about, path), f"form token: {about}", "another page")
        for about, path, _ in FORMS.values()
    },
}
"""By place: how a thing is offered there, the one kind that is taken, and how the rest is refused."""
HANDLES: Mapping[str, str] = {
    "approval_request": "approval of another",
    "code": "authorization code",
    "grant": "refresh token",
    "interaction": "interaction",
    "logout": "request to sign out",
    "passkey_challenge": "challenge of a passkey",
    "passkey_invitation": "passkey invitation",
    "pending": "device code",
    "pushed_request": "pushed request",
    "session": "session",
    "sign_in_attempt": "login transaction",
    "user_code": "user code",
}
"""By kind of what is remembered between requests, the kind of thing that it is found by."""
NOBODY_S = frozenset({
    "answered_request", "approval", "approval_crowd", "budget", "consent", "passkey", "signal_event", "signal_push", "signal_stream", "spiffe_bundle", "status_counter",
    "status_list", "upstream_session", "user_code_tries",
})  # fmt: skip
"""What is found by names that everybody may know, since nobody brings them here."""

"""Passkeys at the running service: invited, made, signed in with; and everything that is not accepted, by name."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio

from mintwarden.app.cli import main
from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.sign_in import Upstreams, passkeys_of, sign_ins
from mintwarden.authn.sign_in import Demand
from mintwarden.model.values import EntityUid
from tests.flow.authenticator import BACKED_UP, ELIGIBLE, PRESENT, VERIFIED, Authenticator
from tests.flow.browser import ISSUER, PREFIX, Browser, Form
from tests.flow.company import Company, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALICE = EntityUid("User", "alice")
AT = "/signin/passkey"


def anybody() -> EntityUid:
    """Somebody whom no other test knows."""
    return EntityUid("User", f"alice-{secrets.token_hex(4)}")


class Desk:
    """The company without any provider, where people sign in with passkeys."""

    def __init__(self, company: Company) -> None:
        self.company = company

    async def invite(self, subject: EntityUid | None = None, life: int = 60_000) -> str:
        async with foundation(self.config) as base:
            now = base.clock.now()
            return await passkeys_of(base).invite(subject or anybody(), ends=now + life, now=now)

    @property
    def config(self) -> Any:
        return load_config(self.company.folder / "mintwarden.toml", environ={})

    async def make(self, authenticator: Authenticator, subject: EntityUid | None = None, **said: Any) -> Any:
        """The last answer of a registration; `said` is what else the browser said of the credential."""
        browser = Browser(self.company)
        page = await browser.get(f"{AT}/new", {"invitation": await self.invite(subject)})
        assert page.status_code == 200, page.text
        fields = Form(page.text).fields
        asked = (await browser.call(f"{AT}/registration/options", fields)).json()
        content = fields | {"handle": asked["handle"], "credential": authenticator.make(asked["options"]) | said}
        return await browser.call(f"{AT}/registration", content)

    async def asked(self, browser: Browser, demand: Demand | None = None) -> tuple[dict[str, str], dict[str, Any]]:
        """The sign-in page's fields, and the options that its script was given."""
        page = await browser.get("/signin", {"i": await browser.begin(demand or Demand())})
        assert page.status_code == 200
        fields = Form(page.text).fields
        answered = await browser.call(f"{AT}/options", fields)
        assert answered.status_code == 200, answered.text
        asked = answered.json()
        return fields | {"handle": asked["handle"]}, asked["options"]

    async def show(self, browser: Browser, authenticator: Authenticator, **how: Any) -> Any:
        fields, options = await self.asked(browser)
        return await browser.call(AT, fields | {"credential": authenticator.show(options, **how)})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with running(
        tmp_path_factory.mktemp("company"),
        registration='[passkeys]\nenabled = true\nacr = "phr"\namr = ["hwk", "user", "mfa"]\n',
    ) as company:
        yield Desk(company)


async def test_a_passkey_is_made_by_invitation_and_signs_in(desk: Desk) -> None:
    authenticator = Authenticator()
    made = await desk.make(authenticator, ALICE)
    assert made.status_code == 200, made.text
    browser = Browser(desk.company)
    assert (await browser.get(made.json()["next"])).status_code == 200
    answered = await desk.show(browser, authenticator)
    assert answered.json() == {"next": "/after?x=1"}
    cookie = browser.cookies[PREFIX + "mintwarden"]
    async with foundation(desk.config) as base:
        found = await sign_ins(base, Upstreams(base)).sessions.current({"mintwarden": cookie}, base.clock.now())
        assert found is not None
        assert (found.subject, found.provider, found.acr, found.amr) == (
            ALICE,
            "passkey",
            "phr",
            ("hwk", "user", "mfa"),
        )
        assert base.clock.now() - found.authenticated_at < 60_000
    again = await desk.show(Browser(desk.company), authenticator)
    assert again.status_code == 200


async def test_what_the_browser_is_asked_for(desk: Desk) -> None:
    browser = Browser(desk.company)
    page = await browser.get(f"{AT}/new", {"invitation": await desk.invite()})
    assert "script-src 'self'; connect-src 'self'" in page.headers["content-security-policy"]
    options = (await browser.call(f"{AT}/registration/options", Form(page.text).fields)).json()["options"]
    assert options["rp"]["id"] == "tokens.example.com"
    assert options["attestation"] == "none"
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert options["authenticatorSelection"]["residentKey"] == "required"
    assert "alice" not in json.dumps(options["user"]["id"])
    _, shown = await desk.asked(browser)
    assert (shown["rpId"], shown["userVerification"], shown["allowCredentials"]) == (
        "tokens.example.com",
        "required",
        [],
    )


async def test_a_passkey_that_is_synced_is_not_called_hardware(desk: Desk) -> None:
    authenticator = Authenticator()
    authenticator.flags = PRESENT | VERIFIED | ELIGIBLE | BACKED_UP
    assert (await desk.make(authenticator)).status_code == 200
    browser = Browser(desk.company)
    await desk.show(browser, authenticator)
    async with foundation(desk.config) as base:
        cookies = {"mintwarden": browser.cookies[PREFIX + "mintwarden"]}
        found = await sign_ins(base, Upstreams(base)).sessions.current(cookies, base.clock.now())
        assert found is not None
        assert found.amr == ("swk", "user", "mfa")


async def test_an_invitation_works_once(desk: Desk) -> None:
    invitation = await desk.invite()
    browser = Browser(desk.company)
    for _ in range(2):  # looking at it uses nothing up
        page = await browser.get(f"{AT}/new", {"invitation": invitation})
        assert page.status_code == 200
    fields = Form(page.text).fields
    first, second = Authenticator(), Authenticator()
    asked = [(await browser.call(f"{AT}/registration/options", fields)).json() for _ in range(2)]
    one = fields | {"handle": asked[0]["handle"], "credential": first.make(asked[0]["options"])}
    two = fields | {"handle": asked[1]["handle"], "credential": second.make(asked[1]["options"])}
    assert (await browser.call(f"{AT}/registration", one)).status_code == 200
    assert (await browser.call(f"{AT}/registration", two)).status_code == 400
    assert (await browser.get(f"{AT}/new", {"invitation": invitation})).status_code == 400
    ended = await desk.invite(life=-1)
    for handle in (ended, "", "x" * 43):
        assert (await browser.get(f"{AT}/new", {"invitation": handle})).status_code == 400


@pytest.mark.parametrize(
    "spoil",
    [
        {"origin": "https://evil.example"},
        {"origin": "https://tokens.example.com.evil.example"},
        {"origin": "http://tokens.example.com"},
        {"host": "example.com"},
        {"flags": PRESENT},
        {"flags": VERIFIED},
        {"client": {"crossOrigin": True}},
        {"client": {"topOrigin": "https://evil.example"}},
        {"client": {"type": "webauthn.create"}},
        {"client": {"challenge": "AAAA"}},
        {"client": {"tokenBinding": {"status": "nonsense"}}},
    ],
    ids=str,
)
async def test_a_ceremony_that_is_not_ours(desk: Desk, spoil: dict[str, Any]) -> None:
    """Phishing origin, another site's name, nobody verified, nobody present, a frame, another ceremony."""
    authenticator = Authenticator()
    assert (await desk.make(authenticator)).status_code == 200
    for name, value in spoil.items():
        setattr(authenticator, name, value)
    browser = Browser(desk.company)
    refused = await desk.show(browser, authenticator)
    assert refused.status_code == 400
    assert PREFIX + "mintwarden" not in browser.cookies
    if spoil.get("client", {}).get("type") is None:
        authenticator.id = b"another"
        assert (await desk.make(authenticator)).status_code == 400


async def test_challenge_replay(desk: Desk) -> None:
    authenticator = Authenticator()
    await desk.make(authenticator)
    browser = Browser(desk.company)
    fields, options = await desk.asked(browser)
    shown = authenticator.show(options)
    assert (await browser.call(AT, fields | {"credential": shown})).status_code == 200
    assert (await browser.call(AT, fields | {"credential": shown})).status_code == 400
    # Another interaction's challenge, a registration's challenge, one of nobody.
    other, more = await desk.asked(Browser(desk.company))
    assert (
        await browser.call(AT, fields | {"handle": other["handle"], "credential": authenticator.show(more)})
    ).status_code == 400
    assert (
        await browser.call(AT, fields | {"handle": "x" * 43, "credential": authenticator.show(options)})
    ).status_code == 400


async def test_a_cloned_authenticator(desk: Desk) -> None:
    authenticator = Authenticator()
    await desk.make(authenticator)
    assert (await desk.show(Browser(desk.company), authenticator)).status_code == 200
    assert (await desk.show(Browser(desk.company), authenticator)).status_code == 200
    authenticator.count = 0
    assert (await desk.show(Browser(desk.company), authenticator)).status_code == 400


async def test_another_persons_passkey(desk: Desk) -> None:
    """The key of one person under the name of another; a key that nobody registered."""
    alices, bobs = Authenticator(), Authenticator()
    await desk.make(alices)
    await desk.make(bobs, EntityUid("User", "bob"))
    assert (await desk.show(Browser(desk.company), bobs, user=alices.user)).status_code == 400
    bobs.id = alices.id
    assert (await desk.show(Browser(desk.company), bobs)).status_code == 400
    assert (await desk.show(Browser(desk.company), bobs, user=alices.user)).status_code == 400
    assert (await desk.show(Browser(desk.company), Authenticator())).status_code == 400


async def test_cross_site_request_forgery(desk: Desk) -> None:
    authenticator = Authenticator()
    await desk.make(authenticator)
    browser, other = Browser(desk.company), Browser(desk.company)
    fields, options = await desk.asked(browser)
    content = fields | {"credential": authenticator.show(options)}
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"origin": ""}):
        assert (await browser.call(AT, content, **headers)).status_code == 400
    assert (await browser.call(AT, content | {"csrf": "x" * 43})).status_code == 400
    assert (await other.call(AT, content)).status_code == 400  # login CSRF: the cookie of the interaction is missing
    assert (await browser.post(AT, {"i": fields["i"], "csrf": fields["csrf"]})).status_code == 400
    assert (await browser.call(AT, content)).status_code == 200


@pytest.mark.parametrize(
    "credential",
    [
        {},
        {"id": "x"},
        {"id": 7},
        {"id": "", "response": None},
        {"id": "?", "response": []},
        {"id": "known", "response": {"clientDataJSON": "!!!"}},
        {"id": "known", "response": {"clientDataJSON": "bnVsbA", "userHandle": "AA"}},
        {
            "id": "known",
            "response": {"clientDataJSON": "e30", "userHandle": "AA", "authenticatorData": "", "signature": ""},
        },
    ],
    ids=str,
)
async def test_a_credential_that_is_none(desk: Desk, credential: dict[str, Any]) -> None:
    authenticator = Authenticator()
    await desk.make(authenticator)
    browser = Browser(desk.company)
    fields, options = await desk.asked(browser)
    known = authenticator.show(options)["id"]
    sent = credential | ({"id": known, "rawId": known} if credential.get("id") == "known" else {})
    assert (await browser.call(AT, fields | {"credential": sent})).status_code == 400


@pytest.mark.parametrize("step", ["", "/options", "/registration", "/registration/options"])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["arrays", "objects"])
async def test_a_credential_that_is_nested_without_end(desk: Desk, step: str, opening: bytes, closing: bytes) -> None:
    depth = 60_000 // len(opening + closing)
    content = b'{"csrf": "x", "credential": {"a": ' + opening * depth + b"1" + closing * depth + b"}}"
    headers = {"origin": "https://tokens.example.com", "content-type": "application/json"}
    answer = await desk.company.http.post(AT + step, content=content, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("form", ["tpm", "android-safetynet", "fido-u2f", "apple", "nonsense", 7])
async def test_an_attestation_that_nobody_asked_for(desk: Desk, form: Any) -> None:
    authenticator = Authenticator()
    authenticator.format = form
    assert (await desk.make(authenticator)).status_code == 400


async def test_a_passkey_that_is_known_is_not_taken_over(desk: Desk) -> None:
    alices = Authenticator()
    await desk.make(alices)
    theirs = Authenticator()
    theirs.id = alices.id
    assert (await desk.make(theirs, EntityUid("User", "mallory"))).status_code == 400
    assert (await desk.show(Browser(desk.company), alices)).status_code == 200


async def test_operators_invite_list_and_remove(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(desk.company.folder / "mintwarden.toml")

    def run(*words: str) -> tuple[int, str]:
        import threading

        result: list[int] = []
        thread = threading.Thread(target=lambda: result.append(main(["passkeys", *words, "--config", config])))
        thread.start()
        thread.join()
        return result[0], capsys.readouterr().out

    code, told = run("invite", "User:carol", "--for", "1h", "--json")
    assert code == 0
    link = json.loads(told)["link"]
    assert link.startswith(f"{ISSUER}{AT}/new?invitation=")
    browser, authenticator = Browser(desk.company), Authenticator()
    page = await browser.get(f"{AT}/new", {"invitation": parse_qs(urlsplit(link).query)["invitation"][0]})
    fields = Form(page.text).fields | {"label": "Key <b>\u202e"}
    asked = (await browser.call(f"{AT}/registration/options", fields)).json()
    content = fields | {"handle": asked["handle"], "credential": authenticator.make(asked["options"])}
    assert (await browser.call(f"{AT}/registration", content)).status_code == 200
    code, told = run("list", "User:carol", "--json")
    (row,) = json.loads(told)
    assert (row["label"], row["used"]) == ("Key <b>", None)
    assert run("list", "User:carol")[1].startswith(row["id"])
    assert run("remove", "User:bob", row["id"])[0] == 2
    assert run("remove", "User:carol", row["id"])[0] == 0
    assert (await desk.show(Browser(desk.company), authenticator)).status_code == 400
    for wrong in (("invite", "Workload:x"), ("invite", "alice"), ("invite", "User:carol", "--for", "8d")):
        assert run(*wrong)[0] == 2


async def test_where_the_bundle_has_no_passkeys(tmp_path: Path) -> None:
    async with running(tmp_path) as company:
        browser = Browser(company)
        assert (await browser.get(f"{AT}/new", {"invitation": "x"})).status_code == 404
        assert (await browser.call(f"{AT}/options", {"csrf": "x", "i": "y"})).status_code == 404
        assert main(["passkeys", "list", "alice", "--config", str(company.folder / "mintwarden.toml")]) == 2


async def test_an_address_has_no_passkeys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path / "shop")]) == 0
    bundle = tmp_path / "shop" / "bundle" / "bundle.toml"
    bundle.write_text(bundle.read_text() + "\n[passkeys]\nenabled = true\n")
    config = tmp_path / "shop" / "mintwarden.toml"
    text = config.read_text().replace("[server]\n", '[server]\ndev = true\nissuer = "http://127.0.0.1:8080"\n')
    config.write_text(text)
    assert main(["store", "migrate", "--config", str(config)]) == 0
    assert await asyncio.to_thread(main, ["passkeys", "invite", "User:alice", "--config", str(config)]) == 2
    assert "give the issuer a name" in capsys.readouterr().err

"""What a transmitter tells changes the next answer: sessions end, and what hangs on them; facts are known."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from mintwarden.app.cli import main
from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.sign_in import session_shelf
from tests.flow.authorizing import Asking, Desk, desk
from tests.flow.browser import Browser
from tests.flow.signalling import CAEP, CONFIG, RISC, RULES, SECRET, SSF, Transmitting, with_transmitter


@contextlib.asynccontextmanager
async def told(folder: Path, *, config: str = CONFIG, **changes: Any) -> AsyncIterator[tuple[Desk, Transmitting]]:
    """The company, and a transmitter that it listens to."""
    secret = folder / "transmitter"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    (folder / "secret").touch(0o600)
    async with desk(folder, rules=RULES, config=config, edit=lambda bundle: with_transmitter(bundle, **changes)) as at:
        yield at, Transmitting(at, folder)


async def acts(at: Desk, what: str = "security_event") -> list[dict[str, Any]]:
    """The administrative entries of the ledger about security events."""
    config = load_config(at.company.folder / "mintwarden.toml", environ={})
    async with foundation(config) as base:
        while await base.store.tree.sequence(1_000):
            pass
        found = [msgspec.json.decode(one.entry) for one in await base.store.entries.by_index(0, 100_000)]
    return [one["detail"] for one in found if one["kind"] == "administration" and one["detail"].get("what") == what]


async def tokens(at: Desk, browser: Browser | None = None, scope: str = "openid payments:read") -> dict[str, Any]:
    asked = Asking(scope=scope)
    answer = await at.redeem(asked, await at.code(asked, browser))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def renewed(at: Desk, given: dict[str, Any]) -> httpx2.Response:
    return await at.company.ask("web", grant_type="refresh_token", refresh_token=given["refresh_token"])


async def active(at: Desk, given: dict[str, Any]) -> bool:
    auth = ("web", at.company.secrets["web"])
    answer = await at.company.http.post("/introspect", data={"token": given["access_token"]}, auth=auth)
    return bool(answer.json()["active"])


async def allowed(at: Desk) -> set[str]:
    """The scopes of a new token, after a new sign-in where one is wanted."""
    return set(str((await tokens(at))["scope"]).split())


async def known(at: Desk, entity: str) -> dict[str, dict[str, Any]]:
    """What the store says about somebody, by source."""
    config = load_config(at.company.folder / "mintwarden.toml", environ={})
    async with foundation(config) as base:
        rows = (await base.store.facts.read([entity])).rows.get(entity, ())
    return {row.source: msgspec.json.decode(row.document)["facts"] for row in rows}


async def idle_out(at: Desk) -> None:
    """Nobody visits for so long that alice has no session left."""
    config = load_config(at.company.folder / "mintwarden.toml", environ={})
    async with foundation(config) as base:
        shelf = session_shelf(base)
        for held in await shelf.owned("User:alice", base.clock.now()):
            await shelf.remove(held)


async def signed_in(at: Desk, browser: Browser | None = None) -> bool:
    return "login_required" not in (await at.request(Asking(prompt="none"), browser)).headers["location"]


async def test_a_revoked_session_ends_with_what_hangs_on_it(tmp_path: Path) -> None:
    async with told(tmp_path) as (at, transmitter):
        given, before = await tokens(at), int(time.time())
        assert await active(at, given)
        assert await signed_in(at)
        assert (await renewed(at, given)).status_code == 200
        token = await transmitter.tell(CAEP + "session-revoked", event_timestamp=before + 1)
        assert not await active(at, given)
        assert not await signed_in(at)
        refused = await renewed(at, given)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
        (entry,) = await acts(at)
        assert (entry["transmitter"], entry["event"]) == ("corp", "session-revoked")
        # Sent again, it is taken again and does nothing: whoever signed in since is signed in.
        again = await tokens(at)
        answer = await transmitter.push(token)
        assert (answer.status_code, answer.content) == (202, b"")
        assert await active(at, again)
        assert len(await acts(at)) == 1


async def test_events_of_the_account_end_everything_and_are_facts(tmp_path: Path) -> None:
    async with told(tmp_path) as (at, transmitter):
        given = await tokens(at, scope="openid payments:read offline_access")
        now = int(time.time())
        await transmitter.tell(RISC + "account-disabled", reason="hijacking")
        assert not await active(at, given)
        assert (await renewed(at, given)).json()["error"] == "invalid_grant"
        assert not await signed_in(at)
        # Nothing bars but the rules: signing in goes on, payments do not.
        assert await allowed(at) == {"openid"}
        # What happened before is no news; an hour ago it was enabled.
        await transmitter.tell(RISC + "account-enabled", event_timestamp=now - 3600)
        assert await allowed(at) == {"openid"}
        await transmitter.tell(RISC + "account-enabled")
        assert await allowed(at) == {"payments:read"}
        shown = await known(at, "User:alice")
        assert shown["accounts"]["account_status"] == "enabled"
        assert "account_reason" not in shown["accounts"]
        assert [one["event"] for one in await acts(at)] == ["account-disabled", "account-enabled"]


async def test_devices_and_risks_are_facts_for_the_next_renewal(tmp_path: Path) -> None:
    async with told(tmp_path) as (at, transmitter):
        given = await tokens(at)
        both = {"format": "complex", "user": transmitter.user(), "device": {"format": "opaque", "id": "laptop-1"}}
        changed = CAEP + "device-compliance-change"
        await transmitter.tell(changed, both, previous_status="compliant", current_status="not-compliant")
        assert await active(at, given), "a fact ends nothing by itself"
        refused = await renewed(at, given)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
        assert await allowed(at) == {"openid"}
        await transmitter.tell(changed, both, previous_status="not-compliant", current_status="compliant")
        good = await tokens(at)
        assert good["scope"] == "payments:read"
        assert (await known(at, "device:laptop-1"))["posture"] == {"device_compliance": "compliant"}
        risk = CAEP + "risk-level-change"
        await transmitter.tell(risk, principal="TENANT", current_level="HIGH")
        assert "levels" not in await known(at, "User:alice"), "it was about no person"
        await transmitter.tell(
            risk, principal="USER", current_level="HIGH", risk_reason="PASSWORD_FOUND_IN_DATA_BREACH"
        )
        assert (await renewed(at, good)).status_code == 400


async def test_a_credential_that_was_added_ends_nothing_and_one_that_changed_does(tmp_path: Path) -> None:
    async with told(tmp_path) as (at, transmitter):
        given, changed = await tokens(at), CAEP + "credential-change"
        await transmitter.tell(changed, change_type="create", credential_type="fido2-roaming")
        assert await active(at, given)
        # It changed an hour before anybody signed in here: with the new one, it may be.
        await transmitter.tell(
            changed, change_type="update", credential_type="password", event_timestamp=int(time.time()) - 3600
        )
        assert await active(at, given)
        assert await acts(at) == []
        await transmitter.tell(changed, change_type="update", credential_type="password")
        assert not await active(at, given)


async def test_what_hangs_on_a_session_that_is_no_more_ends_too(tmp_path: Path) -> None:
    """Nobody visited for a while, so that the session is gone; its client goes on renewing."""
    async with told(tmp_path) as (at, transmitter):
        given = await tokens(at)
        kept = await tokens(at, scope="openid payments:read offline_access")
        await idle_out(at)
        await transmitter.tell(CAEP + "session-revoked", transmitter.user("bob"))
        assert (given := (await renewed(at, given)).json())["access_token"]
        await transmitter.tell(CAEP + "session-revoked")
        assert (await renewed(at, given)).json()["error"] == "invalid_grant"
        assert not await active(at, given)
        assert (await renewed(at, kept)).status_code == 200, "what was allowed for while the person is away"
        assert len(await acts(at)) == 1


async def test_a_session_that_is_named_alone_and_is_no_more_ends_with_what_hangs_on_it(tmp_path: Path) -> None:
    """The event does not say whose it was, but here it is known for as long as anything of it can last."""
    async with told(tmp_path) as (at, transmitter):
        given = await tokens(at)
        at.corp.claims = {"sid": "another-one"}
        kept = await tokens(at, at.another())
        await idle_out(at)
        await transmitter.tell(CAEP + "session-revoked", {"format": "opaque", "id": "a third"})
        assert (given := (await renewed(at, given)).json())["access_token"]
        await transmitter.tell(CAEP + "session-revoked", {"format": "opaque", "id": "upstream-session"})
        assert (await renewed(at, given)).json()["error"] == "invalid_grant"
        assert not await active(at, given)
        assert await active(at, kept)
        assert len(await acts(at)) == 1


async def test_a_late_word_of_a_disabled_account_ends_what_was_renewed_meanwhile(tmp_path: Path) -> None:
    async with told(tmp_path) as (at, transmitter):
        given, now = await tokens(at), int(time.time())
        await transmitter.tell(RISC + "account-enabled", event_timestamp=now - 300)
        await transmitter.tell(RISC + "account-disabled", event_timestamp=now - 600)
        assert await active(at, given), "it was enabled since, and signed in after that"
        await transmitter.tell(RISC + "account-disabled", event_timestamp=now - 200)
        assert not await active(at, given)


async def test_only_the_session_that_is_named_ends(tmp_path: Path) -> None:
    async with told(tmp_path) as (at, transmitter):
        other = at.another()
        given = await tokens(at)
        at.corp.claims = {"sid": "another-one"}
        kept = await tokens(at, other)
        named = {"format": "opaque", "id": "upstream-session"}
        await transmitter.tell(CAEP + "session-revoked", named)
        assert not await active(at, given)
        assert await active(at, kept)
        # A complex subject means all of it at once: nobody else was in that session.
        both = {
            "format": "complex",
            "user": transmitter.user("bob"),
            "session": {"format": "opaque", "id": "another-one"},
        }
        await transmitter.tell(CAEP + "session-revoked", both)
        assert await active(at, kept)
        both["user"] = {"format": "email", "email": "bob@example.com"}
        await transmitter.tell(CAEP + "session-revoked", both)
        assert await active(at, kept)
        both["user"] = transmitter.user()
        both["tenant"] = {"format": "opaque", "id": "there is none of it here"}
        await transmitter.tell(CAEP + "session-revoked", both)
        assert not await active(at, kept)


async def test_a_person_may_be_named_by_address(tmp_path: Path) -> None:
    async with told(tmp_path) as (at, transmitter):
        given = await tokens(at)
        named = {"format": "email", "email": "alice@Example.com"}
        aliases = {"format": "aliases", "identifiers": [{"format": "phone_number", "phone_number": "+1"}, named]}
        await transmitter.tell(RISC + "sessions-revoked", aliases)
        assert not await active(at, given)


async def test_what_is_about_the_stream_and_what_nobody_knows_changes_nothing(tmp_path: Path) -> None:
    async with told(tmp_path) as (at, transmitter):
        given = await tokens(at)
        stream = {"format": "opaque", "id": "stream-1"}
        await transmitter.tell(SSF + "verification", stream)
        await transmitter.tell(SSF + "stream-updated", stream, status="paused", reason="maintenance")
        await transmitter.tell("https://example.com/events/of-our-own", {"format": "of-our-own", "x": 1}, y=2)
        # SSF 1.0 section 8.1.4: with a state, it is the answer to a question; nobody asked.
        wrong = await transmitter.push(transmitter.signed(transmitter.claims(SSF + "verification", stream, state="s")))
        assert (wrong.status_code, wrong.json()["err"]) == (400, "invalid_request")
        # One that there is nothing of here to end leaves no trace either.
        await transmitter.tell(RISC + "credential-compromise", transmitter.user("stranger"), credential_type="password")
        assert await acts(at) == []
        assert await active(at, given)
        metrics = (await at.company.http.get("/metrics")).text
        for event, outcome in (
            ("verification", "applied"), ("stream-updated", "applied"), ("other", "ignored"), ("verification", "refused"),
            ("credential-compromise", "nothing"),
        ):  # fmt: skip
            line = f'mintwarden_signals_total{{event="{event}",outcome="{outcome}",transmitter="corp"}} 1.0'
            assert line in metrics, (event, outcome)


async def test_a_verification_that_was_asked_for_has_its_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with told(tmp_path) as (at, transmitter):
        config, stream = str(at.company.folder / "mintwarden.toml"), {"format": "opaque", "id": "stream-1"}

        async def expected(name: str, *more: str) -> str:
            assert await asyncio.to_thread(main, ["signals", "expect", name, "-c", config, *more]) == 0
            return capsys.readouterr().out

        async def verify(state: str) -> int:
            claims = transmitter.claims(SSF + "verification", stream, state=state)
            return (await transmitter.push(transmitter.signed(claims))).status_code

        first = json.loads(await expected("corp", "--json"))["state"]
        second = (await expected("corp")).splitlines()[0]
        assert [await verify(state) for state in (first, "another", second, second)] == [400, 400, 202, 400]
        assert await asyncio.to_thread(main, ["signals", "expect", "nobody", "-c", config]) == 2
        assert "the bundle has no transmitter `nobody`" in capsys.readouterr().err


async def test_a_transmitter_that_cannot_be_reached_is_asked_to_try_again(tmp_path: Path) -> None:
    async with told(tmp_path) as (_at, transmitter):
        transmitter.metadata = {"issuer": "https://somebody.else.example", "jwks_uri": transmitter.metadata["jwks_uri"]}
        answer = await transmitter.push(transmitter.signed(transmitter.claims(CAEP + "session-revoked")))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_nobody_is_heard_unless_the_bundle_says_so(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        answer = await Transmitting(at, tmp_path).push("x.y.z")
        assert answer.status_code == 404

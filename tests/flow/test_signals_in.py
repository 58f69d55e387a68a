"""What a transmitter tells changes the next answer: sessions end, and what hangs on them; facts are known."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from tests.flow.authorizing import Asking, Desk, desk
from tests.flow.browser import Browser
from tests.flow.signalling import CAEP, CONFIG, RISC, RULES, SECRET, Transmitting, with_transmitter


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
        await transmitter.tell(RISC + "account-disabled", reason="hijacking")
        assert not await active(at, given)
        assert (await renewed(at, given)).json()["error"] == "invalid_grant"

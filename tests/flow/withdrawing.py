"""The desk with what hangs below a grant: an API that exchanges what it receives, a device, somebody asked elsewhere."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.authn.ports import ClientSecret
from mintwarden.authn.secrets import generate_secret, hash_secret
from mintwarden.authn.sign_in import SignIn
from mintwarden.issue.granted import Granted
from mintwarden.model.values import EntityUid
from tests.flow.authorizing import Asking, Desk, desk
from tests.flow.browser import Browser, Forms
from tests.flow.company import ACCESS_TOKEN, LEDGER, PAYMENTS, Company
from tests.flow.test_ciba import CLIENT as CALL_CENTRE
from tests.flow.test_device_code import CLIENT as DEVICE

TOOL = """
[client]
id = "batch"
name = "The tool"
kind = "service"
owner = "Payments"
environments = ["production"]
authentication = ["client_secret_basic"]
grants = ["token_exchange"]
serves = ["payments"]
[client.ceilings]
ledger = "*"
"""


def lasting(number: int, now: int, person: str, client_id: str = "web") -> Granted:
    """What somebody allowed: the lower its number, the longer it lasts."""
    return Granted(
        grant_id=f"{person}-{number}",
        client_id=client_id,
        sign_in=SignIn(
            subject=EntityUid("User", person), provider="corp", authenticated_at=now, acr="", amr=(), session="gone"
        ),
        scopes={"payments": ("payments:read",)},
        granted_at=now - number,
        ends=now + 3_600_000 - number * 1000,
        offline=True,
    )


def furnished(bundle: Path) -> None:
    """More clients, and pages that remember."""
    (bundle / "clients/batch.toml").write_text(TOOL)
    (bundle / "clients/tv.toml").write_text(DEVICE.format(id="tv", name="The tv", kind="native"))
    asking = CALL_CENTRE.format(id="callcentre", kind="web", more="")
    (bundle / "clients/callcentre.toml").write_text(asking.replace(', "refresh_token"', ""))
    web = bundle / "clients/web.toml"
    web.write_text(web.read_text().replace('remember = "0s"', 'remember = "30d"'))


@contextlib.asynccontextmanager
async def withdrawing(
    folder: Path, titles: str = "", more_edit: Callable[[Path], None] = lambda _bundle: None, **more: Any
) -> AsyncIterator[Desk]:
    """The desk, running; `titles` is what its clients call themselves."""

    def edit(bundle: Path) -> None:
        furnished(bundle)
        more_edit(bundle)
        for path in (bundle / "clients").iterdir() if titles else ():
            lines = path.read_text().splitlines()
            path.write_text("\n".join(f'name = "{titles}"' if line.startswith("name =") else line for line in lines))

    async with desk(folder, edit=edit, people=("alice", "bob"), **more) as made:
        async with foundation(load_config(folder / "mintwarden.toml", environ={})) as base:
            secret = generate_secret(secrets.token_bytes)
            digest = hash_secret(base.pepper, secret)
            await base.store.credentials.add_secrets(
                [ClientSecret(client_id="callcentre", scheme="hmac-sha256", digest=digest, created_at=0)]
            )
        made.company.secrets["callcentre"] = secret
        yield made


async def signed_in(at: Desk, person: str = "alice") -> Browser:
    """A browser in which somebody is signed in."""
    at.corp.subject = person
    browser = at.another()
    page = await at.through(await browser.get("/grants"), browser)
    assert page.status_code == 200, page.text
    return browser


async def granted(at: Desk, browser: Browser, client: str = "web", back: str = "", **parameters: str) -> dict[str, Any]:
    """What a client gets once the person allowed it."""
    asked = Asking(client, back, **parameters) if back else Asking(client, **parameters)
    answer = await at.redeem(asked, await at.code(asked, browser), resource=PAYMENTS)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def exchanged(company: Company, token: str) -> str:
    """What the tool makes of a token that it received, or of one that it made."""
    made = await company.exchange("batch", token, ACCESS_TOKEN, resource=LEDGER)
    assert made.status_code == 200, made.text
    return str(made.json()["access_token"])


async def live(company: Company, *tokens: str) -> list[bool]:
    """Which access tokens are good, as their resource server or their own client learns it."""
    found = []
    for token in tokens:
        said = False
        for client in ("batch", "web", "helper", "callcentre", "api"):
            auth = (client, company.secrets[client])
            said |= bool((await company.http.post("/introspect", data={"token": token}, auth=auth)).json()["active"])
        found.append(said)
    return found


def forms_of(page: httpx2.Response, what: str, name: str | None = None) -> list[dict[str, str]]:
    """The page's forms that end `what`."""
    found = [form for form in Forms(page.text).all if form.get("what") == what]
    return [form for form in found if name is None or form["name"] == name]

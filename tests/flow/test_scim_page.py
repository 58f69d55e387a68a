"""`docs/scim.md` as it stands: its source, scopes, rules and client in a running service, and what comes of its user."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.authn.ports import ClientSecret
from mintwarden.authn.secrets import generate_secret, hash_secret
from mintwarden.feeds.scim import changes, dialects, shelf
from mintwarden.feeds.scim.description import MOST_RESULTS
from mintwarden.web import scim
from tests.docs.pages import blocks
from tests.flow.company import ADMIN, running
from tests.flow.feeding import Provider
from tools.findings import ROOT

PAGE = (ROOT / "docs" / "scim.md").read_text(encoding="utf-8")
BLOCKS = {block.info: "\n".join(block.lines) + "\n" for block in blocks(ROOT / "docs" / "scim.md")}
CLIENT = "identity-provider"


def as_the_page_says(bundle: Path) -> None:
    sources = bundle / "sources.toml"
    # the company's own directory says its groups and its departments no more
    own = sources.read_text().replace("groups = true\n", "", 1).replace('department = "string"', 'floor = "string"', 1)
    sources.write_text(own + BLOCKS["toml", "sources"])
    claims = bundle / "claims.toml"
    claims.write_text(claims.read_text().replace('source = "directory"', 'source = "people"', 1))
    audience = bundle / "audiences/mintwarden.toml"
    audience.write_text(audience.read_text() + BLOCKS["toml", "scopes"])
    (bundle / "rules/scim.cedar").write_text(BLOCKS["cedar", "rule"] + BLOCKS["cedar", "guardrail"])
    (bundle / "clients/identity-provider.toml").write_text(BLOCKS["toml", "client"])


async def test_the_page_lets_an_identity_provider_in(tmp_path: Path) -> None:
    async with running(tmp_path, people=(), edit=as_the_page_says) as company:
        secret = generate_secret(secrets.token_bytes)
        async with foundation(load_config(tmp_path / "mintwarden.toml", environ={})) as base:
            digest = hash_secret(base.pepper, secret)
            row = ClientSecret(client_id=CLIENT, scheme="hmac-sha256", digest=digest, created_at=0)
            await base.store.credentials.add_secrets([row])
        form = {"grant_type": "client_credentials", "scope": "mintwarden:scim.write", "resource": ADMIN}
        token = await company.http.post("/token", data=form, auth=(CLIENT, secret))
        idp = Provider(company, token.json()["access_token"])
        user = json.loads(BLOCKS["json", "user"])
        made = await idp.send("POST", "/Users", user)
        assert made.status_code == 201, made.text
        form |= {"scope": "mintwarden:facts.read"}
        headers = {"authorization": f"Bearer {await company.token('operator', **form)}"}

        async def facts() -> object:
            told = await company.http.get("/admin/v1/facts", params={"entity": "User:alice"}, headers=headers)
            (document,) = told.json()["documents"]
            assert document["source"] == "people"
            return document["facts"]

        assert await facts() == json.loads(BLOCKS["json", "facts"])
        await idp.group("finance", made.json()["id"])
        assert await idp.granted("alice")
        await idp.patch(f"/Users/{made.json()['id']}", {"op": "replace", "path": "active", "value": False})
        assert await facts() == {**json.loads(BLOCKS["json", "facts"]), "enabled": False}
        assert not await idp.granted("alice")


def test_the_limits_are_those_of_the_code() -> None:
    told = PAGE.replace("\n", " ").replace("  ", " ")
    assert f"A filter has up to {dialects.LONGEST_FILTER:,} characters, a page up to {MOST_RESULTS} resources" in told
    assert f"up to {shelf.MOST_LOOKED_AT:,} resources to look through" in told
    assert (scim.MAX_BODY, changes.LONGEST) == (1024 * 1024, 64 * 1024)
    limits = (changes.MOST_MEMBERS, dialects.MOST_OPERATIONS)
    assert (
        "A body has up to 1 MiB, a resource 64 KiB, a group {:,} members, a PATCH {:,} operations".format(*limits)
        in told
    )
    assert f"More than {scim.AT_ONCE} requests" in told
    assert all(f'"{scope}"' in BLOCKS["toml", "scopes"] for scope in (scim.READ, scim.WRITE))

"""oauth4webapi as a client that people come with: codes, pushed and signed requests, JARM, DPoP, refresh, user info."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey

from interop.conftest import free_port
from interop.deployment import Process, prepare
from interop.person import Person
from tests.flow.authorizing import IDENTITY
from tests.flow.company import public
from tests.flow.upstream import SECRET, provider_file, upstream

SCRIPT = Path(__file__).parent / "code.mjs"
CHECKS = re.findall(r"^  '([^']+)':", SCRIPT.read_text(encoding="utf-8"), flags=re.MULTILINE)
OWN = "https://tokens.example.com"
"""What the bundle calls the issuer; a development server may be somewhere else."""
APP, PORTAL = "http://127.0.0.1/app", "https://portal.example.com/back"

AUDIENCES = {
    "identity": IDENTITY,
    "things": """
[audience]
id = "things"
identifier = "https://api.example.com/things"
description = "Things"
owner = "Interop"
environments = ["production"]
max_ttl = "15m"
default_ttl = "5m"
[scopes."things:read"]
meaning = "Look at things"
tier = "low"
""",
}
CLIENT = """
[client]
id = "{id}"
name = "{id}"
kind = "{kind}"
owner = "Interop"
environments = ["production"]
authentication = ["{method}"]
grants = ["authorization_code", "refresh_token", "{elsewhere}"]
redirect_uris = ["{redirect}"]
[client.ceilings]
identity = "*"
things = "*"
[client.authorization]
{more}
"""
RULE = """
@id("people-code") @owner("Interop") @reason("people sign in and look at things")
permit (principal is User, action == Action::"issue", resource in Audience::"identity");
@id("people-things") @owner("Interop") @reason("people look at things")
permit (principal is User, action == Action::"issue", resource in Audience::"things");
"""


def write(folder: Path, port: int, provider: str, key: ECKey) -> str:
    """The deployment; its issuer."""
    made = prepare(folder, port, witness=None)
    bundle = folder / "bundle"
    for name, text in AUDIENCES.items():
        (bundle / f"audiences/{name}.toml").write_text(text)
    app = CLIENT.format(id="app", kind="native", method="none", redirect=APP, elsewhere="device_code", more="")
    strict = 'pushed = true\nsigned = true\nuserinfo_algorithm = "ES256"'
    portal = CLIENT.format(
        id="portal", kind="web", method="private_key_jwt", redirect=PORTAL, elsewhere="ciba", more=strict
    )
    (bundle / "clients/app.toml").write_text(app)
    (bundle / "clients/portal.toml").write_text(f"{portal}[[client.keys]]\n{public(key, 'portal-1')}\n")
    (bundle / "rules/code.cedar").write_text(RULE)
    (bundle / "issuers/login.toml").unlink()
    (bundle / "providers").mkdir()
    (bundle / "providers/corp.toml").write_text(provider_file(provider))
    (folder / "secret").write_text(SECRET + "\n")
    (folder / "secret").chmod(0o600)
    config = folder / "mintwarden.toml"
    config.write_text(config.read_text() + '\n[upstreams.corp]\nsecret_file = "secret"\n')
    return made.issuer


def _ready(issuer: str) -> bool:
    try:
        return httpx2.get(f"{issuer}/readyz").status_code == 200
    except httpx2.TransportError:
        return False


async def talk(site: Path, person: Person) -> list[dict[str, Any]]:
    """Every check's result; where the client sends a person, a person goes."""
    process = await asyncio.create_subprocess_exec(
        "node", str(SCRIPT), str(site), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    found = []
    async for line in process.stdout:
        said = json.loads(line)
        if "visit" in said:
            process.stdin.write((await person.allow(said["visit"]) + "\n").encode())
            await process.stdin.drain()
        else:
            found.append(said)
    await process.wait()
    return found


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return asyncio.run(_results(tmp_path_factory.mktemp("code")))


async def _results(folder: Path) -> dict[str, dict[str, Any]]:
    key, port = ECKey.generate_key("P-256"), free_port()
    async with upstream(lambda: int(time.time())) as corp, httpx2.AsyncClient(timeout=60) as http:
        issuer = await asyncio.to_thread(write, folder, port, corp.issuer, key)
        server = Process("mintwarden", "serve", "--config", str(folder / "mintwarden.toml"), folder=folder)
        try:
            await asyncio.to_thread(server.wait_until, lambda: _ready(issuer), "the server is ready")
            site = folder / "site.json"
            jwk = {**key.as_dict(private=True), "kid": "portal-1", "alg": "ES256"}
            site.write_text(json.dumps({"issuer": issuer, "app": APP, "portal": PORTAL, "key": jwk, "own": OWN}))
            found = await talk(site, Person(issuer, corp, http))
        finally:
            await asyncio.to_thread(server.stop)
    return {result["name"]: result for result in found}


@pytest.mark.parametrize("check", CHECKS)
def test_oauth4webapi_with_a_person(results: dict[str, dict[str, Any]], check: str):
    assert results[check]["ok"], results[check]["detail"]


def test_no_check_was_left_out(results: dict[str, dict[str, Any]]):
    assert set(results) == set(CHECKS)

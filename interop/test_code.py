"""oauth4webapi and openid-client as clients that people come with, that register themselves, and that call an API.

Codes, pushed and signed requests, JARM, DPoP with nonces, refresh, user info.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
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

HERE = Path(__file__).parent
SCRIPTS = ("code.mjs", "site.mjs")
CHECKS = [
    (script, check)
    for script in SCRIPTS
    for check in re.findall(r"^  '([^']+)':", (HERE / script).read_text(encoding="utf-8"), flags=re.MULTILINE)
]
OWN = "https://tokens.example.com"
"""What the bundle calls the issuer; a development server may be somewhere else."""
APP, PORTAL = "http://127.0.0.1/app", "https://portal.example.com/back"

AUDIENCES = {
    "identity": IDENTITY,
    "things": """
[audience]
id = "things"
identifier = "{api}"
description = "Things"
owner = "Interop"
environments = ["production"]
max_ttl = "15m"
default_ttl = "5m"
[scopes."things:read"]
meaning = "Look at things"
tier = "low"
default = true
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
@id("strangers-things") @owner("Interop") @reason("whatever registered itself looks at things")
permit (principal is Workload, action == Action::"issue", resource in Audience::"things")
when { context.client.kind == "third_party" };
"""
STRANGERS = """
[open_registration]
to = "anyone"
prefix = "self-"
kind = "third_party"
owner = "Interop"
environments = ["production"]
grants = ["client_credentials"]
authentication = ["client_secret_basic"]
[open_registration.ceilings]
things = ["things:read"]
"""


def write(folder: Path, port: int, provider: str, key: ECKey, api: str) -> str:
    """The deployment; its issuer."""
    made = prepare(folder, port, witness=None)
    bundle = folder / "bundle"
    for name, text in AUDIENCES.items():
        (bundle / f"audiences/{name}.toml").write_text(text.replace("{api}", api))
    head = bundle / "bundle.toml"
    head.write_text(head.read_text() + STRANGERS)
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
    text = config.read_text().replace("dev = true", "dev = true\ndpop_nonces = true")
    config.write_text(text + '\n[upstreams.corp]\nsecret_file = "secret"\n')
    return made.issuer


def _gives(url: str, status: int) -> bool:
    try:
        return httpx2.get(url).status_code == status
    except httpx2.TransportError:
        return False


async def talk(script: str, site: Path, person: Person) -> list[dict[str, Any]]:
    """Every check's result; where the client sends a person, a person goes."""
    process = await asyncio.create_subprocess_exec(
        "node", str(HERE / script), str(site), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
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


Results = dict[tuple[str, str], dict[str, Any]]
"""By script and check."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return asyncio.run(_results(tmp_path_factory.mktemp("code")))


async def _results(folder: Path) -> Results:
    key, port, api_port = ECKey.generate_key("P-256"), free_port(), free_port()
    api = f"http://127.0.0.1:{api_port}/things"
    async with upstream(lambda: int(time.time())) as corp, httpx2.AsyncClient(timeout=60) as http:
        issuer = await asyncio.to_thread(write, folder, port, corp.issuer, key, api)
        server = Process("mintwarden", "serve", "--config", str(folder / "mintwarden.toml"), folder=folder)
        behind = Process(sys.executable, str(HERE / "api.py"), issuer, str(api_port), "things:read", folder=folder)
        try:
            await asyncio.to_thread(server.wait_until, lambda: _gives(f"{issuer}/readyz", 200), "the server is ready")
            await asyncio.to_thread(behind.wait_until, lambda: _gives(api, 401), "the API answers")
            site = folder / "site.json"
            jwk = {**key.as_dict(private=True), "kid": "portal-1", "alg": "ES256"}
            said = {"issuer": issuer, "app": APP, "portal": PORTAL, "key": jwk, "own": OWN, "api": api}
            site.write_text(json.dumps(said))
            found = [(script, await talk(script, site, Person(issuer, corp, http))) for script in SCRIPTS]
        finally:
            await asyncio.to_thread(behind.stop)
            await asyncio.to_thread(server.stop)
    return {(script, result["name"]): result for script, results in found for result in results}


@pytest.mark.parametrize(("script", "check"), CHECKS)
def test_a_client_with_a_person(results: Results, script: str, check: str):
    assert results[script, check]["ok"], results[script, check]["detail"]


def test_no_check_was_left_out(results: Results):
    assert set(results) == set(CHECKS)

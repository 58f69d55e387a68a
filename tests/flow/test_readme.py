"""The README's way from nothing to an explained decision, command by command."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import httpx2

from tests.docs.pages import blocks
from tools.findings import ROOT

FIRST, SECOND = (
    [line.split("  #")[0].split() for line in block.commands] for block in list(blocks(ROOT / "README.md"))[1:3]
)
ENVIRONMENT = {**os.environ, "MINTWARDEN_SERVER_PORT": "0", "COLUMNS": "120"}


async def started(words: list[str], folder: Path) -> asyncio.subprocess.Process:
    assert words[0] == "mintwarden"
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", *words, cwd=folder, env=ENVIRONMENT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )  # fmt: skip


async def done(words: list[str], folder: Path) -> str:
    process = await started(words, folder)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, (words, err.decode())
    return out.decode()


async def asked(words: list[str], server: str, secret: str) -> dict[str, Any]:
    """What `curl` would be answered; not every machine has it."""
    assert words == shlex.split(
        "curl -u order-export:SECRET -d grant_type=client_credentials http://127.0.0.1:8080/token"
    )
    async with httpx2.AsyncClient() as http:
        client, form = ("order-export", secret), {"grant_type": "client_credentials"}
        answer = await http.post(f"{server}/token", auth=client, data=form)
    assert answer.status_code in (200, 400), answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_from_nothing_to_an_explained_decision(tmp_path: Path) -> None:
    folder, secret = tmp_path, ""
    for words in FIRST[:-1]:
        if words[0] == "cd":
            folder /= words[1]
        elif words[0] == "export":
            name, _, value = words[1].partition("=")
            ENVIRONMENT[name] = value
        else:
            secret = await done(words, folder)
    assert FIRST[-1] == ["mintwarden", "serve"]
    server = await started(FIRST[-1], folder)
    assert server.stdout is not None
    try:
        line = (await asyncio.wait_for(server.stdout.readline(), 30)).decode()
        told = await asked(SECOND[0], line.removeprefix("listening on ").strip(), secret.strip())
        if "access_token" in told:
            payload = told["access_token"].split(".")[1]
            decision, outcome = json.loads(base64.urlsafe_b64decode(payload + "=="))["jti"], "orders:read granted"
        else:
            decision, outcome = told["decision"], "orders:read refused"
        page = await done([decision if word == "DECISION" else word for word in SECOND[1]], folder)
        assert outcome in page
        assert "orders-export-night" in page
    finally:
        server.terminate()
        _, err = await asyncio.wait_for(server.communicate(), 30)
    assert server.returncode == 0, err.decode()

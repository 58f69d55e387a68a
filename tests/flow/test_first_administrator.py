"""The first administrator: made by `mintwarden init`, sealed, on the straight line like anybody, and good for one use."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import socket
import stat
from pathlib import Path

import httpx2
import pytest

from mintwarden.app.cli import main
from mintwarden.app.config import load_config
from mintwarden.app.first_administrator import CLIENT, FILE, assertion, read_sealed, write_sealed
from mintwarden.app.foundation import foundation
from mintwarden.app.server import serving
from mintwarden.app.wiring import open_service
from mintwarden.ledger.reveal import read_entry
from mintwarden.mint.master import LocalMasterKey
from mintwarden.model.errors import MintwardenError

ISSUER = "https://tokens.example.com"


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    made = tmp_path / "deployment"
    assert main(["init", str(made)]) == 0
    config = made / "mintwarden.toml"
    config.write_text(config.read_text().replace("[server]\n", "[server]\ndev = true\n"))
    capsys.readouterr()
    return made


async def token(folder: Path, base: str, *more: str) -> int:
    words = ["admin", "token", "--config", str(folder / "mintwarden.toml"), "--url", base, "--json", *more]
    return await asyncio.to_thread(main, words)


def test_the_key_is_sealed_and_closed_to_others(folder):
    file = folder / FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"PRIVATE" not in base64.b64decode(file.read_bytes())
    assert FILE in (folder / ".gitignore").read_text().split()
    with pytest.raises(MintwardenError, match="another master key"):
        read_sealed(file, LocalMasterKey(b"x" * 32, random_bytes=lambda n: b"r" * n))


def test_each_deployment_has_a_key_of_its_own(folder, tmp_path):
    other = tmp_path / "other"
    assert main(["init", str(other)]) == 0
    name = "bundle/clients/first-administrator.toml"
    assert (folder / name).read_text() != (other / name).read_text()
    assert main(["check", str(other / "bundle")]) == 0


async def test_it_lets_the_first_people_in_and_works_once(folder, capsys):
    shutil.copy(folder / FILE, folder / "copy.key")
    config = load_config(folder / "mintwarden.toml", environ={})
    service = await open_service(config)
    try:
        async with serving(service.surface, socket.create_server(("127.0.0.1", 0))) as base:
            assert await token(folder, base) == 0
            answer = json.loads(capsys.readouterr().out)
            assert not (folder / FILE).exists(), "it was used"
            headers = {"authorization": f"Bearer {answer['access_token']}", "idempotency-key": "first-people"}
            people = [
                {"entity": "User:olga", "facts": {"department": "it", "tenants": []}, "groups": ["policy-owners"]}
            ]
            async with httpx2.AsyncClient(base_url=f"{base}/admin/v1") as http:
                done = await http.post("/sources/directory/changes", json={"changes": people}, headers=headers)
                assert done.status_code == 200, done.text
                for path in ("/keys", "/decisions", "/owners"):
                    assert (
                        await http.get(path, headers={"authorization": headers["authorization"]})
                    ).status_code == 403
                keys = {"keys": [{"kty": "EC"}]}
                again = await http.put(
                    f"/clients/{CLIENT}/keys", json=keys, headers={**_without(headers), "if-match": "*"}
                )
                assert again.status_code == 409, "it does not give itself another key"
                own = {**headers, "idempotency-key": "the-desk", "if-match": "*"}
                desk = await http.post("/clients/admin-desk/secrets", json={}, headers=own)
                assert desk.status_code == 403, "it does not become the desk, which may do more"
            capsys.readouterr()
            words = ["clients", "secret", "admin-desk", "--config", str(folder / "mintwarden.toml")]
            assert await asyncio.to_thread(main, words) == 0, "the desk's secret is made where the service runs"
            capsys.readouterr()
            assert await token(folder, base, "--key", str(folder / "copy.key")) == 2
            assert "works once" in capsys.readouterr().err
            assert (folder / "copy.key").exists()
            await _another_assertion(folder, base)
    finally:
        await service.close()
    async with foundation(config, read_only=True) as opened:
        entries = [read_entry(one.entry) for one in await opened.store.entries.by_index(0, 100)]
    issued = [one for one in entries if one["kind"] == "decision"]
    assert [(one["client"], one["granted"]) for one in issued] == [(CLIENT, True)]


async def _another_assertion(folder: Path, base: str) -> None:
    """A fresh assertion, with another `jti`, by the same key: refused by the claim, from memory and from the store."""
    import time

    from mintwarden.app.foundation import master_key

    config = load_config(folder / "mintwarden.toml", environ={})
    key = read_sealed(folder / "copy.key", master_key(config, {}))
    form = {
        "grant_type": "client_credentials",
        "scope": "mintwarden:directory.read",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion(key, issuer=ISSUER, now=int(time.time())),
    }
    async with httpx2.AsyncClient() as http:
        assert (await http.post(f"{base}/token", data=form)).status_code == 401
    other = await open_service(config)  # another node, which remembers nothing
    try:
        async with (
            serving(other.surface, socket.create_server(("127.0.0.1", 0))) as second,
            httpx2.AsyncClient() as http,
        ):
            refused = await http.post(f"{second}/token", data=form)
            assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    finally:
        await other.close()


def _without(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "idempotency-key"}


async def test_a_service_that_does_not_answer_costs_nothing(folder, capsys):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    assert main(["store", "migrate", "--config", str(folder / "mintwarden.toml")]) == 0
    assert await token(folder, f"http://127.0.0.1:{port}") == 3
    assert (folder / FILE).exists()
    assert "does not answer" in capsys.readouterr().err


def test_no_key_is_overwritten(tmp_path):
    master = LocalMasterKey(b"x" * 32, random_bytes=lambda n: b"r" * n)
    (tmp_path / FILE).write_text("there")
    from mintwarden.app.first_administrator import new_key

    with pytest.raises(FileExistsError):
        write_sealed(tmp_path / FILE, new_key(), master)

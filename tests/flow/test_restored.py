"""A store that is restored: what goes on, what is found, and what begins anew (docs/operations.md, restoring)."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import httpx2
import pytest

from mintwarden.app.cli import main
from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.server import serving
from mintwarden.app.wiring import open_service
from mintwarden.ledger.sequencer import LEASE
from tests.flow.test_ledger import eventually

T = TypeVar("T")
CLIENT = "order-export"


class Deployment:
    """What `mintwarden init` writes, on SQLite, with its commands and, now and then, its service."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.config = folder / "mintwarden.toml"
        self.database = folder / "mintwarden.db"
        self._capsys = capsys
        assert main(["init", str(folder)]) == 0
        self.config.write_text(self.config.read_text().replace("[server]\n", "[server]\ndev = true\n"))
        assert self.run("store", "migrate")[0] == 0
        self.secret = self.run("clients", "secret", CLIENT)[1].strip()

    def run(self, *words: str) -> tuple[int, str]:
        self._capsys.readouterr()
        code = main([*words, "--config", str(self.config)])
        return code, self._capsys.readouterr().out

    def asked(self) -> tuple[int, str]:
        """A token is asked for and the service stopped: the status, and the checkpoint that has the decision."""
        return asyncio.run(self._with(self._ask))

    def first(self) -> int:
        """The status that the very first token request of a service that has just begun is answered."""
        return asyncio.run(self._with(self._token))

    def elect_another(self) -> None:
        """Another node, of the log as it was, publishes; this one never does."""

        async def held() -> None:
            async with foundation(load_config(self.config, environ={})) as base:
                assert await base.store.leases.acquire(LEASE, "another", 600)

        asyncio.run(held())

    async def _with(self, use: Callable[[httpx2.AsyncClient], Awaitable[T]]) -> T:
        service = await open_service(load_config(self.config, environ={}))
        try:
            async with (
                serving(service.surface, socket.create_server(("127.0.0.1", 0))) as base,
                httpx2.AsyncClient(base_url=base) as http,
            ):
                return await use(http)
        finally:
            await service.close()

    async def _ask(self, http: httpx2.AsyncClient) -> tuple[int, str]:
        before = size_of(await http.get("/ledger/checkpoint"))
        status = await self._token(http)

        async def published() -> str:
            answer = await http.get("/ledger/checkpoint")
            return answer.text if size_of(answer) > before else ""

        return status, await eventually(published)

    async def _token(self, http: httpx2.AsyncClient) -> int:
        form = {"grant_type": "client_credentials"}
        return (await http.post("/token", data=form, auth=(CLIENT, self.secret))).status_code

    def keys(self) -> set[str]:
        return {key["kid"] for key in json.loads(self.run("keys", "list", "--json")[1])}


def size_of(checkpoint: httpx2.Response) -> int:
    """How many entries it has; 0 where there is none yet."""
    return int(checkpoint.text.split("\n")[1]) if checkpoint.status_code == 200 else 0


@pytest.fixture
def deployment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Deployment:
    return Deployment(tmp_path / "shop", capsys)


def test_a_copy_of_a_service_that_was_stopped_goes_on(deployment: Deployment, tmp_path: Path):
    _, kept = deployment.asked()
    (tmp_path / "kept").write_text(kept)
    assert deployment.run("store", "backup", str(tmp_path / "copy.db"))[0] == 0
    for file in deployment.database.parent.glob("mintwarden.db*"):
        file.unlink()
    shutil.copy(tmp_path / "copy.db", deployment.database)
    assert deployment.run("config", "check", "--connect")[0] == 0
    assert deployment.run("ledger", "audit", "--against", str(tmp_path / "kept"))[0] == 0
    assert deployment.asked()[0] != 503
    assert deployment.run("ledger", "audit", "--against", str(tmp_path / "kept"))[0] == 0


def test_an_older_copy_is_found_by_a_kept_checkpoint_and_by_nothing_else(deployment: Deployment, tmp_path: Path):
    deployment.asked()
    assert deployment.run("store", "backup", str(tmp_path / "copy.db"))[0] == 0
    _, kept = deployment.asked()
    (tmp_path / "kept").write_text(kept)
    for file in deployment.database.parent.glob("mintwarden.db*"):
        file.unlink()
    shutil.copy(tmp_path / "copy.db", deployment.database)
    assert deployment.run("ledger", "audit")[0] == 0
    assert deployment.run("ledger", "audit", "--against", str(tmp_path / "kept"))[0] == 1


def test_another_log_takes_another_store(deployment: Deployment):
    deployment.asked()
    keys = deployment.keys()
    deployment.config.write_text(deployment.config.read_text() + '\n[ledger]\norigin = "tokens.example.com/2"\n')
    for elected in (True, False):
        if not elected:
            deployment.elect_another()
        assert deployment.first() == 503, "nothing is issued under a name that the log does not have"
    text = deployment.config.read_text()
    deployment.config.write_text(text.replace("sqlite:///mintwarden.db", "sqlite:///second.db"))
    assert deployment.run("store", "migrate")[0] == 0
    deployment.secret = deployment.run("clients", "secret", CLIENT)[1].strip()
    status, checkpoint = deployment.asked()
    assert status != 503
    assert checkpoint.startswith("tokens.example.com/2\n")
    assert not keys & deployment.keys(), "no token of the store that was lost is good any more"

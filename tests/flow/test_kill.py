"""`kill -9` under load: whoever received a token finds its entry, and the server comes up by itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from base64 import urlsafe_b64decode
from pathlib import Path

import httpx2
import pytest

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.model.ids import decision_bytes
from tests.flow.process import made, run, serving

ROUNDS = 20 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 3


def payload(token):
    body = token.split(".")[1]
    return json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))


async def load(base, secret, received):
    """Ask again and again until the server is gone."""
    async with httpx2.AsyncClient(base_url=base) as http:
        while True:
            try:
                answer = await http.post(
                    "/token", data={"grant_type": "client_credentials"}, auth=("batch", secret), timeout=20
                )
            except httpx2.HTTPError:
                return
            if answer.status_code == 200:
                received.append(payload(answer.json()["access_token"]))


@pytest.mark.serial
async def test_every_token_that_a_client_received_has_its_entry(tmp_path):
    config, given = await made(tmp_path, "port = 0")
    received: list[dict] = []
    for number in range(ROUNDS):
        before = len(received)
        async with serving(config) as server:
            clients = [asyncio.create_task(load(server.base, given["batch"], received)) for _ in range(8)]
            while len(received) < before + 100 + 37 * number and not all(client.done() for client in clients):
                await asyncio.sleep(0.005)
            server.process.kill()
            assert len(received) >= before + 100, (await server.process.communicate())[1].decode()[-4000:]
            await asyncio.gather(*clients)
    async with serving(config) as server:
        await server.end()
    async with foundation(load_config(config, environ={}), read_only=True) as base:
        for claims in received:
            stored = await base.store.entries.by_decision(decision_bytes(claims["jti"]))
            assert stored is not None
            leaf = claims["ledger_leaf"]
            assert urlsafe_b64decode(leaf + "=" * (-len(leaf) % 4)) == stored.leaf_hash
    code, out, err = await run("ledger", "audit", "--config", str(config))
    assert code == 0, (out, err)


@pytest.mark.serial
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc to find the workers")
async def test_a_worker_that_dies_is_replaced(tmp_path):
    config, given = await made(tmp_path, "port = 0\nworkers = 2")
    async with serving(config) as server:
        await answered(server.base, given["batch"])
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        workers = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert len(workers) == 2
        for pid in workers:
            os.kill(int(pid), signal.SIGKILL)
        await answered(server.base, given["batch"])
        assert (await server.end())[0] == 0


async def answered(base, secret):
    """Return once tokens are issued."""
    for _ in range(300):
        try:
            async with httpx2.AsyncClient(base_url=base, timeout=5) as http:
                answer = await http.post("/token", data={"grant_type": "client_credentials"}, auth=("batch", secret))
            if answer.status_code == 200:
                return
        except httpx2.HTTPError:
            pass
        await asyncio.sleep(0.1)
    raise AssertionError("no token")

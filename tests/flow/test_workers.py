"""Workers that die are replaced; the whole server killed under load is the business of `tests/reliability`."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import httpx2
import pytest

from tests.flow.process import made, serving


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

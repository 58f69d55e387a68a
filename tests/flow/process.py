"""The program as an operator runs it: processes, their output, their end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from joserfc.jwk import ECKey

from tests.flow.company import furnish, write_company

START = 30.0


class Process:
    def __init__(self, process, base):
        self.process = process
        self.base = base

    async def end(self, sent=signal.SIGTERM):
        self.process.send_signal(sent)
        _, err = await asyncio.wait_for(self.process.communicate(), 30)
        return self.process.returncode, err.decode()


@contextlib.asynccontextmanager
async def serving(config: Path) -> AsyncIterator[Process]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MINTWARDEN_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mintwarden", "serve", "--config", str(config),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), START)).decode()
        assert line.startswith("listening on "), (line, (await process.communicate())[1].decode())
        yield Process(process, line.removeprefix("listening on ").strip())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def made(tmp_path, server):
    config = write_company(tmp_path, ECKey.generate_key("P-256"), ECKey.generate_key("P-256"), server=server)
    return config, await furnish(config)


async def run(*words):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mintwarden", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode(), err.decode()


def alive(pid: int) -> bool:
    """Whether there is such a process, of Linux, that has not ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] not in "ZX"
    return False


async def gone(*pids: int) -> None:
    """A process that was killed is gone a moment later."""
    async with asyncio.timeout(10):
        while any(alive(pid) for pid in pids):
            await asyncio.sleep(0.01)


def children(pid: int) -> list[int]:
    """The processes that a process began, of Linux."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            if (each / "stat").read_text().rpartition(") ")[2].split()[1] == str(pid):
                found.append(int(each.name))
    return found

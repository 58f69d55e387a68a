"""A small company as its operator runs it: server processes on one store, started, killed and looked at from outside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from joserfc.jwk import ECKey
from msgspec import Struct

from tests.flow.company import Company, development, furnish, write_company

START = 60.0
SQLITE = "sqlite:///mintwarden.db"


class Node:
    """One server process. Its log lines go to a file, so that a pipe that is full stops nobody."""

    def __init__(self, config: Path, log: Path) -> None:
        self.config = config
        self.log = log
        self.base = ""
        self.process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def start(self, **environment: str) -> None:
        """Start it and wait until it listens; fails with what it said when it does not."""
        with self.log.open("ab") as log:
            self.process = await spawn("serve", "--config", str(self.config), err=log, environment=environment)
        assert self.process.stdout is not None
        line = (await asyncio.wait_for(self.process.stdout.readline(), START)).decode()
        assert line.startswith("listening on "), f"it did not start: {self.told()[-2000:]}"
        self.base = line.removeprefix("listening on ").strip()

    async def kill(self) -> None:
        """`kill -9`."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), START)

    def told(self) -> str:
        """Its log so far."""
        return self.log.read_text(errors="replace")

    async def tells(self, what: str) -> None:
        """Return once its log says so: it is written in the background."""
        async with asyncio.timeout(START):
            while what not in self.told():
                await asyncio.sleep(0.02)


class Site(Struct, kw_only=True):
    """A company that is written down and furnished, but runs only where it is told to."""

    folder: Path
    store: str
    secrets: dict[str, str]
    signer: ECKey
    login: ECKey
    nodes: list[Node]
    clients: list[httpx2.AsyncClient]

    def node(self, port: int, *, server: str = "", more: str = "") -> Node:
        """One more node, not started yet, which listens on `port`."""
        name = f"node{len(self.nodes)}"
        config = write_config(self.folder, name, store=self.store, server=f"port = {port}\n{server}", more=more)
        self.nodes.append(Node(config, self.folder / f"{name}.log"))
        return self.nodes[-1]

    def ask(self, node: Node, **options: Any) -> Company:
        """The company as clients of one node see it."""
        return self.company(node.base, **options)

    def company(self, base: str, **options: Any) -> Company:
        """The company as clients of the service at `base` see it."""
        http = httpx2.AsyncClient(base_url=base, timeout=30, **options)
        self.clients.append(http)
        return Company(
            folder=self.folder, base=base, http=http, secrets=self.secrets, signer=self.signer, login=self.login
        )


@contextlib.asynccontextmanager
async def site(
    folder: Path, store: str = SQLITE, *, extend: Callable[[Path], None] | None = None
) -> AsyncIterator[Site]:
    """The company in `folder` over `store`; whatever process of it still runs at the end is killed.

    `extend` may add to the bundle before it is read for the first time.
    """
    signer, login = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    write_company(folder, signer, login)
    if extend is not None:
        extend(folder / "bundle")
    given = await furnish(write_config(folder, "mintwarden", store=store))
    made = Site(folder=folder, store=store, secrets=given, signer=signer, login=login, nodes=[], clients=[])
    try:
        yield made
    finally:
        for client in made.clients:
            await client.aclose()
        for node in made.nodes:
            await node.kill()


def write_config(folder: Path, name: str, *, store: str, server: str = "", more: str = "") -> Path:
    """A configuration beside the bundle and the master key; its path."""
    config = folder / f"{name}.toml"
    config.write_text(
        f'[server]\n{development(server)}\n[store]\nurl = "{store}"\n[keys]\nmaster_key_file = "master.key"\n'
        f'[ledger]\ncheckpoint_interval = "50ms"\n{more}\n'
    )
    return config


async def spawn(*words: str, err: Any, environment: dict[str, str] | None = None) -> asyncio.subprocess.Process:
    """`mintwarden ...` as a process."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("MINTWARDEN_")}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mintwarden", *words,
        stdout=asyncio.subprocess.PIPE, stderr=err, env=ours | (environment or {}),
    )  # fmt: skip


async def command(*words: str) -> tuple[int, str, str]:
    """`mintwarden ...` to its end: exit code, output, errors."""
    process = await spawn(*words, err=asyncio.subprocess.PIPE)
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def audit(config: Path) -> dict[str, Any]:
    """What `mintwarden ledger audit` finds; the audit must be clean."""
    code, out, err = await command("ledger", "audit", "--config", str(config), "--json")
    assert code == 0, out + err
    report: dict[str, Any] = msgspec.json.decode(out)
    assert report["ok"], report
    return report

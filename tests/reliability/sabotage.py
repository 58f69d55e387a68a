"""What an operator, a disk or a bad day does to a store, from outside the server; and what must hold meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.flow.company import Company
from tests.reliability.load import claims_of

needs_mounts = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="explained: mounting needs root"
)
needs_linux = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="explained: needs Linux")


def edit(folder: Path, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """One statement on the embedded store in `folder`, committed; its rows."""
    with contextlib.closing(sqlite3.connect(folder / "mintwarden.db", isolation_level=None)) as connection:
        return list(connection.execute(statement, parameters))


@contextlib.contextmanager
def mounted(folder: Path, *words: str) -> Iterator[None]:
    """`mount ... folder` for the block."""
    subprocess.run(["mount", *words, str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def files_limited_to(pid: int, size: int) -> Iterator[None]:
    """Whatever the process writes beyond `size` bytes of a file fails, until the block is left."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def halted(pid: int) -> Iterator[None]:
    """A process and its children stand still during the block: they are there, and do not answer."""
    family = [pid, *(int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    for member in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, signal.SIGSTOP)
    try:
        yield
    finally:
        for member in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGCONT)


async def issued(company: Company) -> str:
    """A token, at the first request."""
    token = await company.token("batch", grant_type="client_credentials")
    assert claims_of(token)["scope"] == "payments:read"
    return token


async def refused(company: Company, *, part: str = "store") -> None:
    """No token and no reason, but when to come back; alive, not ready, and that in `part`, if that can know."""
    answer = await company.ask("batch", grant_type="client_credentials")
    assert (answer.status_code, answer.headers.get("retry-after")) == (503, "1"), answer.text
    assert answer.json().keys() == {"error", "error_description", "reference"}
    assert answer.json()["error"] == "temporarily_unavailable"
    assert (await company.http.get("/healthz")).status_code == 200
    if part:
        parts = await readiness(company, 503)
        assert parts[part] == "failing", parts


async def is_ready(company: Company) -> None:
    """Every part works."""
    assert set((await readiness(company, 200)).values()) == {"ok"}


async def readiness(company: Company, status: int) -> dict[str, str]:
    """The parts, once it is told with `status`; an answer may be a moment old."""
    async with asyncio.timeout(30):
        while True:
            answer = await company.http.get("/readyz")
            if answer.status_code == status:
                parts: dict[str, str] = answer.json()["parts"]
                return parts
            await asyncio.sleep(0.05)

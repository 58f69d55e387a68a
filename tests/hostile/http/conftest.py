from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mintwarden.app.server import serving
from mintwarden.web.asgi import Surface
from mintwarden.web.peer import PeerReader
from tests.flow.company import Company, running
from tests.unit.web.stand_ins import Bench, Monotonic, Recorder, bench


@pytest.fixture
async def company(tmp_path: Path) -> AsyncIterator[Company]:
    """The whole service."""
    async with running(tmp_path) as company:
        yield company


class Served:
    """The token endpoint alone, over real HTTP, with a stub behind it."""

    def __init__(self, base: str, bench: Bench) -> None:
        self.base = base
        self.bench = bench


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    made = bench(max_body=4096)
    surface = Surface(
        posts={"/token": made.endpoint},
        pages={},
        trees=[],
        mounts=[],
        peer=PeerReader(proxies=()),
        observer=Recorder(),
        references=lambda: "ref",
        monotonic=Monotonic(),
    )
    async with serving(surface, socket.create_server(("127.0.0.1", 0))) as base:
        yield Served(base, made)

"""The whole service in this process, over real HTTP, with one port of it in the hands of the test."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

from mintwarden.app import wiring
from mintwarden.app.config import load_config
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.app.server import serving
from mintwarden.app.telemetry import open_telemetry
from mintwarden.mint.ports import Signer
from tests.flow.company import Company
from tests.reliability.deployment import Site


@contextlib.asynccontextmanager
async def service(
    where: Site, change: Callable[[Foundation], Foundation], *, server: str = ""
) -> AsyncIterator[tuple[Company, Foundation]]:
    """The company's service, put together from what `change` makes of its foundation."""
    config = load_config(where.node(0, server=server).config, environ={})
    telemetry = open_telemetry(config)
    async with contextlib.AsyncExitStack() as stack:
        base = change(await stack.enter_async_context(foundation(config)))
        running = await wiring._compose(base, telemetry, stack.pop_all())
        try:
            async with serving(running.surface, socket.create_server(("127.0.0.1", 0))) as address:
                yield where.company(address), base
        finally:
            await running.close()


class CountingRing:
    """The key ring, with every signature over a token counted."""

    def __init__(self, ring: Any) -> None:
        self._ring = ring
        self.signatures = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ring, name)

    def signer_for(self, algorithm: str) -> Signer:
        return _Counting(self, self._ring.signer_for(algorithm))


class _Counting:
    def __init__(self, ring: CountingRing, signer: Signer) -> None:
        self._ring = ring
        self._signer = signer
        self.kid = signer.kid
        self.algorithm = signer.algorithm

    async def sign(self, data: bytes) -> bytes:
        self._ring.signatures += 1
        return await self._signer.sign(data)

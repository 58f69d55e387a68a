from __future__ import annotations

import gc

from mintwarden.app.config import Config
from mintwarden.app.server import Program
from mintwarden.model.errors import ErrorKind, MintwardenError


async def test_a_start_that_fails_says_why_and_leaves_the_collector_as_it_was():
    collecting: list[bool] = []
    sent: list[dict[str, object]] = []

    async def opener(_config):
        collecting.append(gc.isenabled())
        raise MintwardenError(ErrorKind.KEYS, "there is no signing key")

    async def receive():
        return {"type": "lifespan.startup"}

    async def send(message):
        sent.append(message)

    program = Program(Config(), opener)
    await program({"type": "lifespan"}, receive, send)
    assert sent == [{"type": "lifespan.startup.failed", "message": "there is no signing key"}]
    assert isinstance(program.failure, MintwardenError)
    assert collecting == [False]
    assert gc.isenabled()

"""The generated directory, handed to the service the way any directory is."""

from __future__ import annotations

import asyncio

import msgspec

from mintwarden.app.config import load_config
from mintwarden.app.demo.directory import generate_directory
from mintwarden.app.demo.stage import Stage
from mintwarden.app.foundation import foundation
from mintwarden.context.ports import FactRow


def import_directory(stage: Stage, now: int) -> str:
    """Generate and import it; what the import says."""

    async def put() -> int:
        directory = generate_directory(now)
        rows = [
            (e, FactRow(src, msgspec.json.encode(doc), now))
            for e, s in directory.documents().items()
            for src, doc in s.items()
        ]
        async with foundation(load_config(stage.config), create=True) as base:
            await base.store.facts.put(rows)
        return len(rows)

    return f"{asyncio.run(put())} documents imported"

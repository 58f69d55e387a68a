"""Changes the facts of somebody at random, again and again: `python -m bench.writer CONFIG CLIENTS SUBJECTS RATE`.

A process of its own, through the store's own port, as a feed would. So no two runs of requests decide over the same
facts, and every read of the server under test is one behind a foreign commit.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import time
from pathlib import Path

from bench.company import SOURCES, document
from mintwarden.app.config import load_config
from mintwarden.context.ports import FactRow
from mintwarden.model.errors import MintwardenError
from mintwarden.store import open_store


async def change(config: Path, clients: int, subjects: int, rate: int) -> tuple[int, int]:
    """Change facts `rate` times a second until told to stop; how many changes were made, how many the store refused."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    store = await open_store(load_config(config).store.url)
    chance = random.Random(time.time_ns())
    made = refused = 0
    try:
        while not stop.is_set():
            begun = time.monotonic()
            whom = chance.randrange(clients + subjects)
            # Half of the changes are to clients' workloads, since every request reads one of those.
            entity = f"Workload:c{whom % clients}" if made % 2 else f"User:u{whom % max(1, subjects)}"
            source = chance.choice(SOURCES)
            text = json.dumps(document(entity, source, chance)).encode()
            try:
                await store.facts.put([(entity, FactRow(source, text, time.time_ns() // 1_000_000))])
                made += 1
            except MintwardenError:
                refused += 1
            await asyncio.sleep(max(0.0, 1 / rate - (time.monotonic() - begun)))
    finally:
        await store.close()
    return made, refused


def main() -> int:
    """The command."""
    config, clients, subjects, rate = sys.argv[1:]
    made, refused = asyncio.run(change(Path(config), int(clients), int(subjects), int(rate)))
    print(json.dumps({"made": made, "refused": refused}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

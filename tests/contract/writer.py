"""A process that appends until it is killed, and says after each batch what it was told is durable."""

from __future__ import annotations

import asyncio
import itertools
import sys

from mintwarden.ledger.ports import Appended
from mintwarden.store import open_store
from mintwarden.store.contract.samples import once, pending, salt


async def main(url: str, first: int) -> None:
    store = await open_store(url)
    for number in itertools.count(first, 10):
        batch = [pending(n, once=(once(n),)) for n in range(number, number + 9)]
        batch.append(pending(number + 9, entity=f"User:{number}", new_salt=salt(number)))
        outcomes = await store.entries.append(batch)
        assert all(isinstance(outcome, Appended) for outcome in outcomes)
        print(number, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))

"""How fast a store is on this machine: `python -m mintwarden.store.contract.measure URL ENTRIES SUBJECTS [BYTES]`.

Fills the store first, then measures appends in groups and fact reads in shared batches, each with different values.
The store should be an empty one made for this: nothing is cleaned up.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import secrets
import sys
import time

from mintwarden.context.ports import FactRow
from mintwarden.ledger.ports import PendingEntry
from mintwarden.model.caller import OnceKey
from mintwarden.model.ids import decision_id
from mintwarden.store import Store, open_store
from mintwarden.store.store import DocumentChange

_DOCUMENT = (
    b'{"facts":{"department":"payments","manager":"User:bob","tenants":["t1","t2"]},'
    b'"groups":["all-staff","payments-operators","payments-emea","approvers","on-call","office-lisbon"]}'
)
_RISK = b'{"facts":{"risk_score":3}}'


def _now() -> int:
    return time.time_ns() // 1_000_000


BYTES = 1024


def entry(size: int, *, key_id: int = 0, entity: str = "", salt: bytes = b"", once: int = 0) -> PendingEntry:
    """A pending entry of `size` bytes in all, sealed part included."""
    body = secrets.token_bytes(size * 2 // 3)
    claims = tuple(OnceKey(secrets.token_bytes(16), _now() // 1000 * 1000 + 300_000) for _ in range(once))
    return PendingEntry(
        decision_id=decision_id(_now(), secrets.token_bytes(10)),
        leaf_hash=hashlib.sha256(body).digest(),
        entry=body,
        sealed=secrets.token_bytes(size - len(body)),
        entity=entity,
        key_id=key_id,
        new_salt=salt,
        once=claims,
    )


async def fill(store: Store, entries: int, subjects: int, size: int = BYTES) -> None:
    """Bring the store to that many entries and subjects."""
    for start in range(0, subjects, 5000):
        changes = []
        for number in range(start, min(subjects, start + 5000)):
            who = f"User:u{number:07d}"
            changes.append(DocumentChange(who, "directory", _DOCUMENT, 1))
            changes.append(DocumentChange(who, "entitlements", b'{"facts":{"entitled":["a","b"]}}', 1))
            if number % 2:
                changes.append(DocumentChange(who, "risk", _RISK, 1))
        await store.directory.apply(changes)
    present = await store.entries.count()
    for _ in range((entries - present) // 1000):
        await store.entries.append([entry(size) for _ in range(1000)])


async def appends(
    store: Store, width: int, *, subjects: int, once: int, seconds: float = 3.0, size: int = BYTES
) -> tuple[float, float]:
    """Entries a second, and microseconds of CPU time of this process for each."""
    keys = await _some_keys(store, min(subjects, 2000))
    batches = []
    for _ in range(max(50, 6000 // width)):
        batch = []
        for _ in range(width):
            who = random.choice(list(keys))  # noqa: S311
            batch.append(entry(size, entity=who, key_id=keys[who], once=once))
        batches.append(batch)
    done, started, cpu = 0, time.perf_counter(), time.process_time()
    for batch in batches:
        await store.entries.append(batch)
        done += width
        if time.perf_counter() - started > seconds:
            break
    return done / (time.perf_counter() - started), (time.process_time() - cpu) / done * 1e6


async def _some_keys(store: Store, count: int) -> dict[str, int]:
    names = [f"User:u{number:07d}" for number in range(count)]
    keys: dict[str, int] = {}
    for start in range(0, count, 250):
        part = names[start : start + 250]
        known = (await store.facts.read(part)).subject_keys
        missing = [entry(64, entity=name, salt=os.urandom(32)) for name in part if name not in known]
        await store.entries.append(missing)
        known = (await store.facts.read(part)).subject_keys
        keys.update({name: key.id for name, key in known.items()})
    return keys


async def reads(store: Store, together: int, *, subjects: int, seconds: float = 2.0, churn: bool) -> float:
    """Microseconds for one entity, `together` concurrent reads of one entity each; `churn` writes in between."""
    done, spent, ended = 0, 0.0, time.perf_counter() + seconds
    while time.perf_counter() < ended:
        if churn:
            who = f"User:u{random.randrange(subjects):07d}"  # noqa: S311
            await store.facts.put([(who, FactRow("risk", _RISK, _now()))])
        names = [f"User:u{random.randrange(subjects):07d}" for _ in range(together)]  # noqa: S311
        started = time.perf_counter()
        futures = [asyncio.ensure_future(store.facts.read([name])) for name in names]
        for future in futures:
            await future
        spent += time.perf_counter() - started
        done += together
    return spent / done * 1e6


async def measure(url: str, entries: int, subjects: int, size: int = BYTES) -> None:
    """Fill, measure, print."""
    store = await open_store(url, create=True)
    started = time.perf_counter()
    await fill(store, entries, subjects, size)
    _say(f"{await store.entries.count()} entries, {subjects} subjects ({time.perf_counter() - started:.1f} s to fill)")
    for width in (1, 20, 64):
        for once in (0, 1):
            rate, cpu = await appends(store, width, subjects=subjects, once=once, size=size)
            _say(f"append {width:3d} x {size} bytes, {once} claims: {rate:9.0f} entries/s, {cpu:6.1f} us CPU each")
    for together in (1, 20, 64):
        for churn in (False, True):
            each = await reads(store, together, subjects=subjects, churn=churn)
            _say(f"read {together:3d} together, {'with' if churn else 'no'} writes: {each:6.1f} us each")
    await store.close()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(measure(sys.argv[1], *(int(argument) for argument in sys.argv[2:])))

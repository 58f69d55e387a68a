"""`audit` finds any single change to what is stored, wherever it strikes."""

from __future__ import annotations

import asyncio
import copy
import functools
from collections.abc import Callable

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from mintwarden.ledger.audit import Auditor
from mintwarden.ledger.ports import Head
from tests.unit.ledger import samples
from tests.unit.ledger.memory import MemoryStore
from tests.unit.ledger.test_sequencer import sequencer

SIZE = 270


@functools.cache
def untouched() -> MemoryStore:
    async def make() -> MemoryStore:
        store = MemoryStore()
        await samples.fill(store, SIZE)
        await sequencer(store).run_once()
        return store

    return asyncio.run(make())


def flipped(data: bytes, at: int, bit: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]


def row(member: str) -> Callable[[MemoryStore, int, int, int], None]:
    def change(store: MemoryStore, index: int, at: int, bit: int) -> None:
        old = store.rows[index]
        store.rows[index] = msgspec.structs.replace(old, **{member: flipped(getattr(old, member), at, bit)})

    return change


def swap(store: MemoryStore, index: int, at: int, bit: int) -> None:
    other = (index + 1 + at % (SIZE - 1)) % SIZE
    first, second = store.rows[index], store.rows[other]
    store.rows[index] = msgspec.structs.replace(second, index=index)
    store.rows[other] = msgspec.structs.replace(first, index=other)


def drop(store: MemoryStore, index: int, at: int, bit: int) -> None:
    del store.rows[index]


def double(store: MemoryStore, index: int, at: int, bit: int) -> None:
    other = (index + 1 + at % (SIZE - 1)) % SIZE
    store.rows[index] = msgspec.structs.replace(store.rows[other], index=index)


def tile(store: MemoryStore, index: int, at: int, bit: int) -> None:
    path = sorted(store.tiles)[index % len(store.tiles)]
    store.tiles[path] = flipped(store.tiles[path], at, bit)


def lost_tile(store: MemoryStore, index: int, at: int, bit: int) -> None:
    del store.tiles[sorted(store.tiles)[index % len(store.tiles)]]


def root(store: MemoryStore, index: int, at: int, bit: int) -> None:
    head = store.current
    store.current = Head(head.size, flipped(head.root, at, bit), head.checkpoint)


def size(store: MemoryStore, index: int, at: int, bit: int) -> None:
    store.current = Head(index, store.current.root, store.current.checkpoint)


def checkpoint(store: MemoryStore, index: int, at: int, bit: int) -> None:
    head = store.current
    store.current = Head(head.size, head.root, flipped(head.checkpoint, at, bit))


CHANGES = [row("entry"), row("leaf_hash"), row("decision_id"), row("sealed")]
CHANGES += [swap, drop, double, tile, lost_tile, root, size, checkpoint]


@settings(max_examples=150)
@given(st.sampled_from(CHANGES), st.integers(0, SIZE - 1), st.integers(0, 2**20), st.integers(0, 7))
def test_any_change_is_found(change, index, at, bit):
    store = copy.copy(untouched())
    store.rows, store.tiles = list(store.rows), dict(store.tiles)
    change(store, index, at, bit)
    auditor = Auditor(
        tree=store,
        entries=store,
        keys=[samples.note_signer().key],
        origin=samples.ORIGIN,
        sealer=samples.sealer(),
        subject_keys=store,
    )
    assert asyncio.run(auditor.audit()).findings

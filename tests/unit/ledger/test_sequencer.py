"""The sequencer: every entry once, in one order, tiles before heads, never back; it stops rather than fork."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mintwarden.ledger.checkpoint import Checkpoint, sign_checkpoint, verify_checkpoint
from mintwarden.ledger.ports import Head
from mintwarden.ledger.published import PublishedLog
from mintwarden.ledger.sequencer import Sequencer, SequencerEvent
from mintwarden.ledger.tree import EMPTY_ROOT, leaf_hash, root_hash
from mintwarden.model.errors import ErrorKind, FatalLedgerError, MintwardenError
from tests.unit.ledger import samples
from tests.unit.ledger.memory import MemoryStore

KEY = samples.note_signer().key


def sequencer(store: MemoryStore, **changes: Any) -> Sequencer:
    return Sequencer(
        **{
            "tree": store,
            "entries": store,
            "leases": store,
            "signer": samples.note_signer(),
            "origin": samples.ORIGIN,
            "holder": "node-1",
            **changes,
        }
    )


def checkpoint_of(head: Head) -> Checkpoint:
    return verify_checkpoint(head.checkpoint, keys=[KEY], origin=samples.ORIGIN).checkpoint


async def test_an_empty_log_has_a_checkpoint():
    head = await sequencer(MemoryStore()).run_once()
    assert head is not None
    assert checkpoint_of(head) == Checkpoint(samples.ORIGIN, 0, EMPTY_ROOT)


async def test_every_entry_is_published_in_order():
    store = MemoryStore()
    worker = sequencer(store)
    for count in (1, 2, 300, 1):
        await samples.fill(store, count, start=len(store.rows))
        head = await worker.run_once()
        assert head == store.current
        assert head.size == len(store.rows)
        assert head.root == root_hash([row.leaf_hash for row in store.rows])
        assert (checkpoint_of(head).size, checkpoint_of(head).root) == (head.size, head.root)


async def test_a_new_sequencer_goes_on_where_the_last_one_stopped():
    store = MemoryStore()
    for count in (3, 254, 511):
        await samples.fill(store, count, start=len(store.rows))
        await sequencer(store).run_once()
    assert store.current.size == 768
    assert store.current.root == root_hash([row.leaf_hash for row in store.rows])


async def test_a_round_is_bounded_and_the_rest_follows():
    store = MemoryStore()
    worker = sequencer(store, limit=10)
    await samples.fill(store, 25)
    sizes = [head.size for head in [await worker.run_once() for _ in range(4)] if head is not None]
    assert sizes == [10, 20, 25, 25]


async def test_nothing_new_publishes_nothing():
    store = MemoryStore()
    events: list[SequencerEvent] = []
    worker = sequencer(store, on_event=events.append)
    await samples.fill(store, 2)
    first, second = await worker.run_once(), await worker.run_once()
    assert first == second
    assert [event.kind for event in events] == ["published"]


async def test_only_one_is_elected():
    store = MemoryStore()
    first, second = sequencer(store), sequencer(store, holder="node-2")
    await samples.fill(store, 2)
    assert await first.run_once() is not None
    assert await second.run_once() is None
    store.time += 6
    await samples.fill(store, 2, start=2)
    head = await second.run_once()
    assert head is not None
    assert head.size == 4
    assert await first.run_once() is None


async def test_two_that_believe_themselves_elected_publish_one_history():
    class Generous(MemoryStore):
        async def acquire(self, name, holder, seconds):
            return True

    store = Generous()
    events: list[SequencerEvent] = []
    first, second = sequencer(store, on_event=events.append), sequencer(store, holder="node-2")
    for round_ in range(6):
        await samples.fill(store, 3, start=3 * round_)
        await asyncio.gather(first.run_once(), second.run_once())
        assert store.current.root == root_hash([row.leaf_hash for row in store.rows[: store.current.size]])
    assert store.current.size == 18


async def test_another_key_takes_over_the_head_at_once():
    store = MemoryStore()
    await samples.fill(store, 2)
    await sequencer(store).run_once()
    store.leases.clear()
    fresh = samples.note_signer(2)
    head = await sequencer(store, signer=fresh, trusted=[KEY]).run_once()
    assert head is not None
    assert verify_checkpoint(head.checkpoint, keys=[fresh.key]).checkpoint.size == 2


async def corrupt_root(store: MemoryStore) -> None:
    root = b"r" * 32
    note = await sign_checkpoint(Checkpoint(samples.ORIGIN, store.current.size, root), samples.note_signer())
    store.current = Head(store.current.size, root, note)


async def corrupt_tile(store: MemoryStore) -> None:
    path = next(path for path in store.tiles if path.startswith("tile/0/001"))
    store.tiles[path] = b"x" * len(store.tiles[path])


async def lose_tile(store: MemoryStore) -> None:
    del store.tiles[next(path for path in store.tiles if path.startswith("tile/0/001"))]


async def cut_entries(store: MemoryStore) -> None:
    del store.rows[-3:]


async def change_leaf(store: MemoryStore) -> None:
    row = store.rows[-1]
    store.rows[-1] = type(row)(
        position=row.position,
        index=row.index,
        decision_id=row.decision_id,
        leaf_hash=leaf_hash(b"other"),
        entry=b"other",
        sealed=None,
        key_id=0,
    )


async def foreign_signature(store: MemoryStore) -> None:
    head = Checkpoint(samples.ORIGIN, store.current.size, store.current.root)
    store.current = Head(head.size, head.root, await sign_checkpoint(head, samples.note_signer(9)))


async def other_checkpoint(store: MemoryStore) -> None:
    other = Checkpoint(samples.ORIGIN, store.current.size - 1, store.current.root)
    store.current = Head(store.current.size, store.current.root, await sign_checkpoint(other, samples.note_signer()))


async def no_checkpoint(store: MemoryStore) -> None:
    store.current = Head(store.current.size, store.current.root, b"")


@pytest.mark.parametrize(
    "damage",
    [
        corrupt_root,
        corrupt_tile,
        lose_tile,
        cut_entries,
        change_leaf,
        foreign_signature,
        other_checkpoint,
        no_checkpoint,
    ],
)
async def test_it_stops_when_the_store_disagrees_with_itself(damage):
    store = MemoryStore()
    await samples.fill(store, 300)
    await sequencer(store).run_once()
    await damage(store)
    before = store.current
    with pytest.raises(FatalLedgerError):
        await sequencer(store).run_once()
    assert store.current == before


async def test_cut_entries_are_seen_at_a_tile_boundary_too():
    store = MemoryStore()
    await samples.fill(store, 256)
    await sequencer(store).run_once()
    await cut_entries(store)
    with pytest.raises(FatalLedgerError, match="missing or changed"):
        await sequencer(store).run_once()


@pytest.mark.parametrize("size", [1, 3])
async def test_it_stops_when_the_head_goes_back_or_changes_under_it(size):
    store = MemoryStore()
    worker = sequencer(store)
    await samples.fill(store, 3)
    await worker.run_once()
    note = await sign_checkpoint(Checkpoint(samples.ORIGIN, size, b"r" * 32), samples.note_signer())
    store.current = Head(size, b"r" * 32, note)
    with pytest.raises(FatalLedgerError, match="set back or replaced"):
        await worker.run_once()


async def test_it_stops_when_the_checkpoint_is_rewritten_under_it():
    store = MemoryStore()
    worker = sequencer(store)
    await samples.fill(store, 3)
    await worker.run_once()
    await foreign_signature(store)
    with pytest.raises(FatalLedgerError, match="not ours"):
        await worker.run_once()


async def test_a_changed_issuer_is_told_from_a_changed_log():
    store = MemoryStore()
    await samples.fill(store, 3)
    await sequencer(store).run_once()
    root = store.current.root
    note = await sign_checkpoint(Checkpoint("elsewhere.example/log", 3, root), samples.note_signer())
    store.current = Head(3, root, note)
    with pytest.raises(FatalLedgerError, match=r"of the log `elsewhere\.example/log`") as caught:
        await sequencer(store).run_once()
    assert "ledger.origin" in caught.value.hint


async def test_partial_tiles_do_not_pile_up_and_old_ones_are_still_served():
    store = MemoryStore()
    worker = sequencer(store)
    sizes = []
    for round_ in range(12):
        await samples.fill(store, 30, start=30 * round_)
        head = await worker.run_once()
        assert head is not None
        sizes.append(head.size)
    assert len([path for path in store.tiles if ".p/" in path]) == 2
    log = PublishedLog(tree=store, entries=store)
    for size in sizes:
        index, width = divmod(size, 256)
        data = await log.tile(f"tile/0/{index:03d}.p/{width}")
        assert data == b"".join(row.leaf_hash for row in store.rows[index * 256 : size])
        assert await log.root(size) == root_hash([row.leaf_hash for row in store.rows[:size]])


async def test_running_stops_when_told_and_leaves_the_election():
    store = MemoryStore()
    stop = asyncio.Event()
    published = asyncio.Event()
    worker = sequencer(store, on_event=lambda event: published.set() if event.size == 2 else None)
    await samples.fill(store, 2)
    task = asyncio.create_task(worker.run(stop, interval=0.01))
    await published.wait()
    stop.set()
    await task
    assert store.leases == {}


async def test_running_goes_on_after_the_store_was_away():
    class Flaky(MemoryStore):
        away = 2

        async def acquire(self, name, holder, seconds):
            if self.away:
                self.away -= 1
                raise MintwardenError(ErrorKind.UNAVAILABLE, "the store does not answer")
            return await super().acquire(name, holder, seconds)

    store = Flaky()
    stop = asyncio.Event()
    kinds: list[str] = []

    def hear(event: SequencerEvent) -> None:
        kinds.append(event.kind)
        if event.kind == "published":
            stop.set()

    await sequencer(store, on_event=hear).run(stop, interval=0.001)
    assert kinds == ["store", "store", "published"]


async def test_running_ends_when_it_cannot_go_on():
    store = MemoryStore()
    await samples.fill(store, 3)
    await sequencer(store).run_once()
    await corrupt_root(store)
    store.leases.clear()
    with pytest.raises(FatalLedgerError):
        await sequencer(store).run(asyncio.Event(), interval=0.001)
    assert store.leases == {}


async def test_leaving_a_store_that_is_away_is_no_failure():
    class Away(MemoryStore):
        async def release(self, name, holder):
            raise MintwardenError(ErrorKind.UNAVAILABLE, "the store does not answer")

    stop = asyncio.Event()
    stop.set()
    events: list[SequencerEvent] = []
    await sequencer(Away(), on_event=events.append).run(stop)
    assert [event.kind for event in events] == ["store"]


async def test_a_long_backlog_is_worked_off_without_a_pause():
    store, stop = MemoryStore(), asyncio.Event()
    await samples.fill(store, 35)
    worker = sequencer(store, limit=10, on_event=lambda event: stop.set() if event.size == 35 else None)
    async with asyncio.timeout(5):
        await worker.run(stop, interval=60)
    assert store.current.size == 35

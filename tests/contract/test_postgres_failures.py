"""PostgreSQL when something goes wrong: nothing lost, nothing twice, and on it goes once the cause is gone."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable

import asyncpg
import psycopg
import pytest

from mintwarden.ledger.ports import Appended, Head, Replayed
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.store import Store, open_store
from mintwarden.store.contract.samples import once, pending, positions, sequenced
from mintwarden.store.migrate import migrate
from mintwarden.store.postgres.embedded import EmbeddedPostgres
from tests.contract.killing import write_until

pytestmark = pytest.mark.xdist_group("postgres")


async def unavailable(call: Awaitable[object]) -> str:
    with pytest.raises(MintwardenError) as caught:
        await call
    assert caught.value.kind is ErrorKind.UNAVAILABLE
    return caught.value.public


async def check_answered(store: Store, answered: set[int]) -> None:
    hashes = await sequenced(store.tree, store.entries)
    entries = await store.entries.by_index(0, 1_000_000)
    assert [entry.index for entry in entries] == list(range(len(hashes)))
    stored = {entry.decision_id for entry in entries}
    assert len(stored) == len(entries) == await store.entries.count()
    for number in answered:
        assert all(pending(n).decision_id in stored for n in range(number, number + 10)), f"batch {number} is lost"
    assert len(entries) % 10 == 0, "half a batch"


async def test_kill_9_of_a_node_leaves_every_answered_batch(new_database: Callable[[], str]) -> None:
    url = new_database()
    store = await open_store(url)
    answered: set[int] = set()
    for turn in range(4):
        answered |= set(write_until(url, turn * 100_000, 3 + turn * 7, subprocess.Popen.kill))
        await check_answered(store, answered)
    await store.close()


async def test_a_crash_of_the_database_leaves_every_answered_batch() -> None:
    with EmbeddedPostgres() as server:
        migrate(server.url())
        store = await open_store(server.url())
        answered: set[int] = set()
        for turn in range(2):
            answered |= set(write_until(server.url(), turn * 100_000, 10, lambda _: server.stop(hard=True)))
            assert await unavailable(store.entries.append([pending(1)])) == "the store does not answer"
            assert await unavailable(store.facts.read(["User:a"])) == "the store does not answer"
            health = await store.health()
            assert (health.reads, health.writes) == (False, False)
            server.start()
            # the same handle, with no help
            assert (await store.facts.read(["User:a"])).epoch == await store.epoch()
            await check_answered(store, answered)
        await store.close()


async def test_transactions_that_commit_out_of_order_lose_no_leaf(new_database: Callable[[], str]) -> None:
    url = new_database()
    store = await open_store(url)
    slow = await asyncpg.connect(url)
    transaction = slow.transaction()
    await transaction.start()
    early = pending(1)
    position = await slow.fetchval(
        "WITH written AS (INSERT INTO entries (decision_id, leaf_hash, entry, key_id) VALUES ($1, $2, $3, 0) "
        "RETURNING position) INSERT INTO waiting SELECT position FROM written RETURNING position",
        early.decision_id,
        early.leaf_hash,
        early.entry,
    )
    late = [pending(n) for n in range(2, 8)]
    assert min(positions(await store.entries.append(late))) > position
    first = await sequenced(store.tree, store.entries)
    assert first == [entry.leaf_hash for entry in late], "what has committed does not wait for what has not"
    await transaction.commit()
    assert await sequenced(store.tree, store.entries) == [*first, early.leaf_hash]
    assert await store.tree.sequence(100) == 0
    await slow.close()
    await store.close()


async def test_a_sequencer_that_dies_halfway_gives_no_leaf_twice(new_database: Callable[[], str]) -> None:
    url = new_database()
    store = await open_store(url)
    positions(await store.entries.append([pending(n) for n in range(10)]))
    dying = await asyncpg.connect(url)
    await dying.execute("BEGIN")
    await dying.execute("DELETE FROM waiting WHERE position < 5")
    await dying.execute("INSERT INTO leaves SELECT position - 1, position FROM entries WHERE position < 5")
    dying.terminate()
    hashes = await sequenced(store.tree, store.entries)
    assert hashes == [pending(n).leaf_hash for n in range(10)]
    await store.close()


async def test_an_append_of_unknown_outcome_may_be_repeated(new_database: Callable[[], str]) -> None:
    url = new_database()
    store = await open_store(url)
    batch = [pending(1, once=(once(1),)), pending(2), pending(3)]
    positions(await store.entries.append([pending(9)]))
    with psycopg.connect(url, autocommit=True) as other:
        # the statement waits for this lock, and is cut off while it does
        with other.transaction():
            other.execute("LOCK TABLE waiting IN EXCLUSIVE MODE")
            append = asyncio.ensure_future(store.entries.append(batch))
            found = None
            with psycopg.connect(url, autocommit=True) as watcher:
                while found is None:
                    await asyncio.sleep(0)
                    found = watcher.execute("SELECT pid FROM pg_locks WHERE NOT granted").fetchone()
                watcher.execute("SELECT pg_terminate_backend(%s)", found)
            assert await unavailable(append) == "the store does not answer"
        first = await store.entries.append(batch)
        assert [type(outcome) for outcome in first] == [Appended] * 3
        assert list(await store.entries.append(batch)) == list(first)
    assert await store.entries.count() == 4
    assert list(await store.entries.append([pending(4, once=(once(1),))])) == [Replayed(once(1).digest)]
    await store.close()


async def test_a_cancelled_append_gives_its_connection_to_nobody(new_database: Callable[[], str]) -> None:
    store = await open_store(new_database())
    for number in range(20):
        append = asyncio.ensure_future(store.entries.append([pending(number)]))
        for _ in range(number % 5):
            await asyncio.sleep(0)
        append.cancel()
        await asyncio.gather(append, return_exceptions=True)
        assert await store.entries.append([pending(1000 + number)]) is not None
    await store.close()


async def test_a_store_opened_to_read_takes_no_writes(new_database: Callable[[], str]) -> None:
    store = await open_store(new_database(), read_only=True)
    assert await unavailable(store.entries.append([pending(1)])) == "the store is read-only"
    assert await unavailable(store.tree.swap_head(0, Head(1, b"r" * 32, b"note"))) == "the store is read-only"
    assert await store.entries.count() == 0
    await store.close()


async def test_a_database_that_is_not_there(postgres: EmbeddedPostgres) -> None:
    assert await unavailable(open_store(postgres.url("nowhere"))) == "the store is gone"


async def test_a_server_that_is_not_there() -> None:
    assert await unavailable(open_store("postgresql://mw@/mw?host=/nowhere")) == "the store does not answer"

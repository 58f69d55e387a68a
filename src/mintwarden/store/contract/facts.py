"""What every store's facts do."""

# ruff: noqa: S101

from __future__ import annotations

import asyncio

from mintwarden.context.ports import FactRow, SubjectKey
from mintwarden.model.errors import ErrorKind
from mintwarden.store.contract.samples import MakeStore, pending, refusal, salt


class FactsContract:
    """Reads see every committed change, in shared batches; pushes replace what is older."""

    async def test_what_is_put_is_read(self, make_store: MakeStore) -> None:
        store = await make_store()
        rows = [("User:a", FactRow("risk", b"{}", 5)), ("User:a", FactRow("directory", b'{"facts":{}}', 6))]
        await store.facts.put([*rows, ("session:s", FactRow("session", b"{}", 7))])
        batch = await store.facts.read(["User:a", "User:nobody", "session:s", "world:"])
        assert set(batch.rows) == {"User:a", "session:s"}
        assert {row.source: row for row in batch.rows["User:a"]} == {row.source: row for _, row in rows}
        assert batch.subject_keys == {}
        assert batch.epoch == await store.epoch()

    async def test_a_read_of_nothing_still_knows_the_epoch(self, make_store: MakeStore) -> None:
        store = await make_store()
        batch = await store.facts.read([])
        assert (batch.rows, batch.subject_keys, batch.epoch) == ({}, {}, await store.epoch())

    async def test_another_node_reads_a_change_at_once(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        for value in range(50):
            document = b'{"facts":{"risk_score":%d}}' % value
            await one.facts.put([("User:a", FactRow("risk", document, value))])
            assert (await other.facts.read(["User:a"])).rows["User:a"][0].document == document

    async def test_an_older_observation_does_not_replace_a_newer_one(self, make_store: MakeStore) -> None:
        store = await make_store()
        for observed_at, document in ((10, b"ten"), (9, b"nine"), (10, b"ten again"), (8, b"eight")):
            await store.facts.put([("User:a", FactRow("risk", document, observed_at))])
        assert (await store.facts.read(["User:a"])).rows["User:a"] == [FactRow("risk", b"ten again", 10)]

    async def test_of_one_push_the_latest_observation_stands(self, make_store: MakeStore) -> None:
        store = await make_store()
        await store.facts.put([("User:a", FactRow("risk", d, t)) for d, t in ((b"two", 2), (b"three", 3), (b"one", 1))])
        assert (await store.facts.read(["User:a"])).rows["User:a"] == [FactRow("risk", b"three", 3)]

    async def test_a_push_without_a_source_is_refused(self, make_store: MakeStore) -> None:
        store = await make_store()
        rows = [("User:a", FactRow("risk", b"{}", 1)), ("User:a", FactRow("", b"{}", 1))]
        assert await refusal(store.facts.put(rows)) is ErrorKind.INVALID_REQUEST
        assert (await store.facts.read(["User:a"])).rows == {}

    async def test_sealing_keys_come_with_the_facts_and_never_among_them(self, make_store: MakeStore) -> None:
        store = await make_store()
        await store.facts.put([("User:a", FactRow("risk", b"{}", 1))])
        await store.entries.append([pending(1, entity="User:a", new_salt=salt(1))])
        batch = await store.facts.read(["User:a"])
        key = await store.subject_keys.get("User:a")
        assert key is not None
        assert batch.subject_keys == {"User:a": SubjectKey(*key)}
        assert [row.source for row in batch.rows["User:a"]] == ["risk"]

    async def test_concurrent_reads_get_what_they_asked_for(self, make_store: MakeStore) -> None:
        store = await make_store()
        names = [f"User:u{number}" for number in range(400)]
        await store.facts.put([(name, FactRow("risk", name.encode(), 1)) for name in names])
        reads = [store.facts.read(names[start : start + 3]) for start in range(0, 400, 2)]
        for start, batch in zip(range(0, 400, 2), await asyncio.gather(*reads), strict=True):
            assert {n: [row.document for row in rows] for n, rows in batch.rows.items()} == {
                name: [name.encode()] for name in names[start : start + 3]
            }

    async def test_one_read_takes_any_number_of_entities(self, make_store: MakeStore) -> None:
        store = await make_store()
        names = [f"User:u{number}" for number in range(1500)]
        await store.facts.put([(name, FactRow("risk", b"{}", 1)) for name in names])
        assert set((await store.facts.read([*names, *names])).rows) == set(names)

    async def test_a_cancelled_read_does_not_disturb_the_others(self, make_store: MakeStore) -> None:
        store = await make_store()
        await store.facts.put([("User:a", FactRow("risk", b"{}", 1))])
        kept, dropped = (asyncio.ensure_future(store.facts.read(["User:a"])) for _ in range(2))
        await asyncio.sleep(0)
        dropped.cancel()
        assert "User:a" in (await kept).rows
        assert "User:a" in (await store.facts.read(["User:a"])).rows

    async def test_names_are_compared_byte_by_byte(self, make_store: MakeStore) -> None:
        store = await make_store()
        names = ["User:a", "User:A", "User:ä", "User:a\u0308", "User:李", "User:%", "User:_", "User:'; --", "User:😀"]
        await store.facts.put([(name, FactRow("risk", name.encode(), 1)) for name in names])
        rows = (await store.facts.read(names)).rows
        assert {name: rows[name][0].document for name in names} == {name: name.encode() for name in names}

    async def test_large_documents(self, make_store: MakeStore) -> None:
        store = await make_store()
        document = bytes(range(256)) * 8192
        await store.facts.put([("User:a", FactRow("directory", document, 1))])
        assert (await store.facts.read(["User:a"])).rows["User:a"][0].document == document

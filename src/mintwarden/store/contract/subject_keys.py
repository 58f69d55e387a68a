"""What every store's sealing keys do."""

# ruff: noqa: S101

from __future__ import annotations

from mintwarden.context.ports import FactRow
from mintwarden.store.contract.samples import MakeStore, pending, salt


class SubjectKeysContract:
    """A key is there until it is erased, and then gone with everything stored about its subject."""

    async def test_there_is_none_before_the_first_entry(self, make_store: MakeStore) -> None:
        store = await make_store()
        assert await store.subject_keys.get("User:a") is None
        assert await store.subject_keys.by_id(1) is None
        assert not await store.subject_keys.erase("User:a")

    async def test_erasing_forgets_one_subject_only(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        for number, entity in enumerate(("User:a", "User:b"), start=1):
            await one.entries.append([pending(number, entity=entity, new_salt=salt(number))])
            await one.facts.put([(entity, FactRow("directory", b"{}", 1)), (entity, FactRow("risk", b"{}", 1))])
        key, kept = await one.subject_keys.get("User:a"), await one.subject_keys.get("User:b")
        assert key is not None
        assert kept is not None
        before = await one.epoch()
        assert await one.subject_keys.erase("User:a")
        assert await other.epoch() > before
        assert await other.subject_keys.get("User:a") is None
        assert await other.subject_keys.by_id(key[0]) is None
        assert await other.subject_keys.by_id(kept[0]) == ("User:b", salt(2))
        batch = await other.facts.read(["User:a", "User:b"])
        assert set(batch.rows) == {"User:b"}
        assert set(batch.subject_keys) == {"User:b"}
        assert batch.epoch > before
        assert await other.entries.count() == 2, "the ledger keeps the entry"
        assert not await one.subject_keys.erase("User:a")

    async def test_many_are_read_at_once(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        entities = [f"User:{number}" for number in range(300)]
        await one.entries.append(
            [pending(number, entity=entity, new_salt=salt(number)) for number, entity in enumerate(entities)]
        )
        keys = [await one.subject_keys.get(entity) for entity in entities]
        ids = [key[0] for key in keys if key is not None]
        assert await other.subject_keys.by_ids([]) == {}
        assert await other.subject_keys.by_ids([0, 2**40]) == {}
        found = await other.subject_keys.by_ids([*ids, *ids, 0])
        assert found == {key_id: (entities[number], salt(number)) for number, key_id in enumerate(ids)}
        await one.subject_keys.erase(entities[7])
        assert set(await other.subject_keys.by_ids(ids)) == set(ids) - {ids[7]}

    async def test_erasing_takes_documents_of_a_subject_without_a_key(self, make_store: MakeStore) -> None:
        store = await make_store()
        await store.facts.put([("User:a", FactRow("directory", b"{}", 1))])
        assert not await store.subject_keys.erase("User:a")
        assert (await store.facts.read(["User:a"])).rows == {}

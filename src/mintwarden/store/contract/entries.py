"""What every store's entries do."""

# ruff: noqa: S101

from __future__ import annotations

from mintwarden.ledger.ports import Appended, Rekey, Replayed
from mintwarden.model.errors import ErrorKind
from mintwarden.store.contract.samples import NOW, MakeStore, once, pending, positions, refusal, salt, sequenced


class EntriesContract:
    """A batch is one transaction with an outcome per entry; what is answered is durable."""

    async def test_what_is_appended_is_there_for_everyone(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        batch = [pending(number) for number in range(70)]
        where = positions(await one.entries.append(batch))
        assert len(set(where)) == 70
        assert await other.entries.count() == 70
        for entry, position in zip(batch, where, strict=True):
            found = await other.entries.by_decision(entry.decision_id)
            assert found is not None
            assert (found.position, found.leaf_hash, found.entry) == (position, entry.leaf_hash, entry.entry)
            assert (found.sealed, found.key_id) == (None, 0)

    async def test_an_empty_batch_is_nothing(self, make_store: MakeStore) -> None:
        store = await make_store()
        assert list(await store.entries.append([])) == []
        assert await store.entries.count() == 0

    async def test_leaves_are_dense_and_read_in_order(self, make_store: MakeStore) -> None:
        store = await make_store()
        for start in (0, 3, 130):
            await store.entries.append([pending(number) for number in range(start, {0: 3, 3: 130, 130: 131}[start])])
        hashes = await sequenced(store.tree, store.entries)
        assert len(hashes) == 131
        entries = await store.entries.by_index(0, 1000)
        assert [entry.index for entry in entries] == list(range(131))
        assert [entry.leaf_hash for entry in entries] == hashes
        assert [entry.index for entry in await store.entries.by_index(100, 10)] == list(range(100, 110))
        assert list(await store.entries.leaf_hashes(130, 10)) == hashes[130:]
        assert list(await store.entries.by_index(131, 10)) == []
        assert await store.entries.sequenced() == 131
        assert await store.entries.by_decision(b"\0" * 16) is None

    async def test_what_has_its_place_is_counted(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        assert await one.entries.sequenced() == 0
        await one.entries.append([pending(number) for number in range(5)])
        while await other.tree.sequence(2):
            pass
        assert await one.entries.sequenced() == await other.entries.sequenced() == 5

    async def test_a_proof_is_claimed_once_on_all_nodes(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        positions(await one.entries.append([pending(1, once=(once(1),))]))
        batch = [pending(2), pending(3, once=(once(2), once(1))), pending(4, once=(once(3),))]
        outcomes = list(await other.entries.append(batch))
        assert outcomes[1] == Replayed(once(1).digest)
        assert [type(outcome) for outcome in outcomes] == [Appended, Replayed, Appended]
        assert await one.entries.by_decision(batch[1].decision_id) is None
        # the refused entry has claimed nothing: its other proof is still good
        positions(await one.entries.append([pending(5, once=(once(2),))]))
        assert await one.entries.count() == 4

    async def test_within_a_batch_the_first_claim_stands(self, make_store: MakeStore) -> None:
        store = await make_store()
        batch = [pending(1, once=(once(1),)), pending(2, once=(once(1),)), pending(3)]
        outcomes = list(await store.entries.append(batch))
        assert [type(outcome) for outcome in outcomes] == [Appended, Replayed, Appended]

    async def test_claims_are_forgotten_only_after_their_time(self, make_store: MakeStore) -> None:
        store = await make_store()
        positions(await store.entries.append([pending(1, once=(once(1, NOW),)), pending(2, once=(once(2, NOW + 1),))]))
        assert await store.purge(NOW) == 0
        assert await store.purge(NOW + 1) == 1
        outcomes = await store.entries.append([pending(3, once=(once(2, NOW + 1),)), pending(4, once=(once(1, NOW),))])
        assert [type(outcome) for outcome in outcomes] == [Replayed, Appended]

    async def test_the_same_entry_again_is_the_same_entry(self, make_store: MakeStore) -> None:
        # a caller that did not learn of its commit may try again: nothing is there twice
        one, other = await make_store(), await make_store()
        batch = [pending(1, once=(once(1),)), pending(2, entity="User:a", new_salt=salt(1)), pending(3)]
        first = list(await one.entries.append(batch))
        assert list(await other.entries.append(batch)) == first
        assert list(await one.entries.append([batch[2], pending(4), batch[0]]))[::2] == [first[2], first[0]]
        assert await one.entries.count() == 4

    async def test_one_decision_cannot_have_two_entries(self, make_store: MakeStore) -> None:
        store = await make_store()
        positions(await store.entries.append([pending(1)]))
        other = pending(1, size=41)
        assert await refusal(store.entries.append([pending(2), other])) is ErrorKind.CONFLICT
        assert await store.entries.count() == 1

    async def test_a_first_key_is_stored_with_its_entry(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        positions(await one.entries.append([pending(1, entity="User:a", new_salt=salt(1))]))
        key = await other.subject_keys.get("User:a")
        assert key is not None
        assert key[0] > 0
        assert key[1] == salt(1)
        positions(await other.entries.append([pending(2, entity="User:a", key_id=key[0])]))
        for number in (1, 2):
            found = await one.entries.by_decision(pending(number).decision_id)
            assert found is not None
            assert (found.key_id, found.sealed) == (key[0], b"sealed %d" % number)

    async def test_of_two_first_keys_the_first_stands(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        positions(await one.entries.append([pending(1, entity="User:a", new_salt=salt(1))]))
        key = await one.subject_keys.get("User:a")
        assert key is not None
        batch = [pending(2), pending(3, entity="User:a", new_salt=salt(2), once=(once(1),)), pending(4)]
        outcomes = list(await other.entries.append(batch))
        assert outcomes[1] == Rekey(*key)
        assert await one.entries.count() == 3
        # the refused entry claimed nothing, and is taken once it is sealed again
        positions(await other.entries.append([pending(3, entity="User:a", key_id=key[0], once=(once(1),))]))

    async def test_within_a_batch_the_first_key_stands(self, make_store: MakeStore) -> None:
        store = await make_store()
        batch = [pending(n, entity="User:a", new_salt=salt(s)) for n, s in ((1, 1), (2, 1), (3, 2))]
        outcomes = list(await store.entries.append(batch))
        key = await store.subject_keys.get("User:a")
        assert key is not None
        assert key[1] == salt(1)
        assert [type(outcome) for outcome in outcomes] == [Appended, Appended, Rekey]
        assert outcomes[2] == Rekey(*key)

    async def test_a_replayed_entry_leaves_no_key(self, make_store: MakeStore) -> None:
        store = await make_store()
        positions(await store.entries.append([pending(1, once=(once(1),))]))
        outcomes = await store.entries.append([pending(2, entity="User:a", new_salt=salt(1), once=(once(1),))])
        assert list(outcomes) == [Replayed(once(1).digest)]
        assert await store.subject_keys.get("User:a") is None

    async def test_a_lost_key_asks_for_another(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        positions(await one.entries.append([pending(1, entity="User:a", new_salt=salt(1))]))
        key = await one.subject_keys.get("User:a")
        assert key is not None
        assert await other.subject_keys.erase("User:a")
        assert list(await one.entries.append([pending(2, entity="User:a", key_id=key[0])])) == [Rekey(0, b"")]
        positions(await one.entries.append([pending(3, entity="User:a", new_salt=salt(2))]))
        again = await other.subject_keys.get("User:a")
        assert again is not None
        assert again[0] != key[0], "the id of an erased key was used again"
        assert list(await one.entries.append([pending(4, entity="User:a", key_id=key[0])])) == [Rekey(*again)]

    async def test_large_and_odd_entries(self, make_store: MakeStore) -> None:
        store = await make_store()
        large = pending(1, size=2_000_000)
        odd = pending(2, entity="User:李 '\"\\ \u2028", new_salt=salt(1))
        positions(await store.entries.append([large, odd]))
        found = await store.entries.by_decision(large.decision_id)
        assert found is not None
        assert found.entry == large.entry
        key = await store.subject_keys.get(odd.entity)
        assert key is not None
        assert await store.subject_keys.by_id(key[0]) == (odd.entity, salt(1))

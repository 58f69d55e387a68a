"""What several nodes on one store do to each other: nothing."""

# ruff: noqa: S101

from __future__ import annotations

import asyncio

from mintwarden.ledger.ports import Appended, Rekey, Replayed
from mintwarden.store.contract.samples import MakeStore, once, pending, salt, sequenced


class NodesContract:
    """Concurrent appends, sequencing, claims and first keys on two nodes."""

    async def test_no_leaf_is_lost_or_given_twice(self, make_store: MakeStore) -> None:
        nodes = [await make_store(), await make_store()]
        wanted = {pending(number).leaf_hash for number in range(2 * 30 * 7)}
        prefix: list[bytes] = []

        async def append(node: int) -> None:
            for start in range(0, 30 * 7, 7):
                numbers = range(node * 210 + start, node * 210 + start + 7)
                await nodes[node].entries.append([pending(number) for number in numbers])

        async def sequence(node: int, done: asyncio.Event) -> None:
            while not done.is_set():
                await nodes[node].tree.sequence(5)
                seen = list(await nodes[node].entries.leaf_hashes(0, 1000))
                assert seen[: len(prefix)] == prefix[: len(seen)], "an earlier leaf moved"
                if len(seen) > len(prefix):
                    prefix[:] = seen

        done = asyncio.Event()
        sequencers = [asyncio.create_task(sequence(node, done)) for node in (0, 1)]
        await asyncio.gather(append(0), append(1))
        done.set()
        await asyncio.gather(*sequencers)
        hashes = await sequenced(nodes[0].tree, nodes[0].entries)
        assert hashes[: len(prefix)] == prefix
        assert len(hashes) == len(wanted)
        assert set(hashes) == wanted
        assert await nodes[1].entries.count() == len(wanted)

    async def test_a_proof_that_arrives_twice_at_once_counts_once(self, make_store: MakeStore) -> None:
        nodes = [await make_store(), await make_store()]
        for turn in range(20):
            numbers = [turn * 100 + node for node in (0, 1)]
            proofs = [once(turn * 10 + proof) for proof in range(5)]
            # the same proofs, in opposite order
            batches = [
                [pending(number * 10 + at, once=(proof,)) for at, proof in enumerate(order)]
                for number, order in zip(numbers, (proofs, proofs[::-1]), strict=True)
            ]
            answers = await asyncio.gather(*(n.entries.append(b) for n, b in zip(nodes, batches, strict=True)))
            outcomes = [outcome for answer in answers for outcome in answer]
            assert sum(isinstance(outcome, Appended) for outcome in outcomes) == 5
            assert sum(isinstance(outcome, Replayed) for outcome in outcomes) == 5

    async def test_two_nodes_with_a_first_key_agree_on_one(self, make_store: MakeStore) -> None:
        nodes = [await make_store(), await make_store()]
        for turn in range(10):
            names = [f"User:t{turn}n{number}" for number in range(4)]
            batches = [
                [
                    pending(turn * 100 + node * 10 + at, entity=name, new_salt=salt(turn * 100 + node * 10 + at))
                    for at, name in enumerate(order)
                ]
                for node, order in ((0, names), (1, names[::-1]))
            ]
            answers = await asyncio.gather(*(n.entries.append(b) for n, b in zip(nodes, batches, strict=True)))
            for batch, outcomes in zip(batches, answers, strict=True):
                for entry, outcome in zip(batch, outcomes, strict=True):
                    key = await nodes[0].subject_keys.get(entry.entity)
                    assert key is not None
                    assert isinstance(outcome, Appended) == (key[1] == entry.new_salt)
                    if not isinstance(outcome, Appended):
                        assert outcome == Rekey(*key)

    async def test_erasing_while_appending_leaves_no_key_behind(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        for turn in range(10):
            await one.entries.append([pending(turn * 10, entity="User:a", new_salt=salt(turn))])
            key = await one.subject_keys.get("User:a")
            assert key is not None
            answers, _ = await asyncio.gather(
                one.entries.append([pending(turn * 10 + 1, entity="User:a", key_id=key[0])]),
                other.subject_keys.erase("User:a"),
            )
            assert isinstance(answers[0], Appended) or answers[0] == Rekey(0, b"")
            assert await one.subject_keys.get("User:a") is None
            assert await one.subject_keys.by_id(key[0]) is None

    async def test_the_epoch_is_one_for_all(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        before = await one.epoch()
        assert await other.bump_epoch() == before + 1
        assert await one.epoch() == before + 1
        assert (await one.facts.read(["User:a"])).epoch == before + 1

    async def test_a_store_in_order_says_so(self, make_store: MakeStore) -> None:
        store = await make_store()
        await store.entries.append([pending(1), pending(2)])
        health = await store.health()
        assert (health.reads, health.writes, health.detail, health.entries) == (True, True, "", 2)

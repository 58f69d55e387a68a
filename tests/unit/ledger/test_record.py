"""Step 7: one append for the entries of a moment, a receipt only for what is durable, every waiter answered."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest

from mintwarden.ledger.document import read_document
from mintwarden.ledger.ports import Appended, Rekey
from mintwarden.ledger.record import BARREN_TURNS, MAX_REKEYS, MOST_TURNS, ProofReplayed
from mintwarden.ledger.seal import SealKey
from mintwarden.ledger.tree import leaf_hash
from mintwarden.model.caller import OnceKey
from mintwarden.model.errors import ErrorKind, FatalLedgerError, MintwardenError
from mintwarden.model.ids import decision_text
from mintwarden.model.values import EntityUid
from tests.unit.ledger import samples
from tests.unit.ledger.memory import MemoryStore


def record(recorder, raw_id, **changes):
    return recorder.record(
        **{
            "decision_id": raw_id,
            "decision": samples.decision(),
            "asked": samples.asked(),
            "facts": samples.facts(),
            "prepared": samples.prepared(raw_id),
            **changes,
        }
    )


async def test_a_receipt_is_for_a_durable_entry():
    store, raw_id = MemoryStore(), next(samples.ids())
    receipt = await record(samples.recorder(store), raw_id)
    stored = await store.by_decision(raw_id)
    assert stored is not None
    assert receipt.decision_id == decision_text(raw_id)
    assert receipt.position == stored.position
    assert receipt.leaf_hash == stored.leaf_hash == leaf_hash(stored.entry)
    assert receipt.prepared == samples.prepared(raw_id).digest


async def test_the_sealed_document_holds_question_and_facts():
    store, raw_id = MemoryStore(), next(samples.ids())
    await record(samples.recorder(store), raw_id)
    stored = await store.by_decision(raw_id)
    assert stored is not None
    assert stored.sealed is not None
    found = await store.by_id(stored.key_id)
    assert found is not None
    assert found[0] == "User:alice@example.com"
    commitment = bytes.fromhex(json.loads(stored.entry)["facts"])
    document = read_document(samples.sealer().open(found[1], raw_id, stored.sealed, commitment))
    assert document.asked == samples.asked()
    assert document.facts == samples.facts()
    assert document.claims == {"department": "treasury"}


async def test_a_refusal_is_recorded_like_a_grant():
    store, raw_id = MemoryStore(), next(samples.ids())
    receipt = await record(samples.recorder(store), raw_id, prepared=None, decision=samples.decision(granted=False))
    assert receipt.prepared == b""
    assert await store.by_decision(raw_id) is not None


async def test_the_entries_of_a_moment_share_one_append():
    store = MemoryStore()
    sizes: list[int] = []
    recorder = samples.recorder(store, on_batch=sizes.append)
    workers = [EntityUid("Workload", f"w{number}") for number in range(20)]
    await asyncio.gather(
        *(
            record(recorder, raw_id, decision=samples.decision(worker))
            for raw_id, worker in zip(samples.ids(), workers, strict=False)
        )
    )
    assert store.batches == sizes == [20]


async def test_one_append_is_in_flight_and_the_next_follows_at_once():
    store = MemoryStore()
    store.gate = asyncio.Event()
    recorder = samples.recorder(store)
    numbers = samples.ids()
    first = asyncio.create_task(record(recorder, next(numbers)))
    await asyncio.sleep(0)
    while recorder.waiting:
        await asyncio.sleep(0)
    later = [
        asyncio.create_task(record(recorder, next(numbers), decision=samples.decision(EntityUid("Workload", str(n)))))
        for n in range(5)
    ]
    for _ in range(5):
        await asyncio.sleep(0)
    assert (recorder.waiting, store.batches) == (5, [])
    store.gate.set()
    await asyncio.gather(first, *later)
    assert store.batches == [1, 5]


async def _arriving(recorder, numbers, count, *, every=1):
    """So many entries, one in every so many turns of the event loop."""
    waiting = []
    for number in range(count):
        decision = samples.decision(EntityUid("Workload", str(number)))
        waiting.append(asyncio.ensure_future(record(recorder, next(numbers), decision=decision)))
        for _ in range(every):
            await asyncio.sleep(0)
    return await asyncio.gather(*waiting)


async def test_entries_that_come_turn_after_turn_share_one_append():
    store = MemoryStore()
    await _arriving(samples.recorder(store), samples.ids(), 4)
    assert store.batches == [4]


async def test_entries_whose_requests_read_the_store_in_between_share_one_append():
    store = MemoryStore()
    await _arriving(samples.recorder(store), samples.ids(), 4, every=BARREN_TURNS)
    assert store.batches == [4]


async def test_an_append_waits_no_longer_for_company_that_does_not_come():
    store = MemoryStore()
    await _arriving(samples.recorder(store), samples.ids(), 4, every=BARREN_TURNS + 2)
    assert store.batches == [1, 1, 1, 1]


async def test_an_append_waits_for_a_bounded_number_of_turns():
    store = MemoryStore()
    await _arriving(samples.recorder(store), samples.ids(), 4 * MOST_TURNS)
    assert sum(store.batches) == 4 * MOST_TURNS
    assert max(store.batches) <= MOST_TURNS + 1
    assert len(store.batches) > 1


async def test_a_batch_has_a_bound():
    store = MemoryStore()
    recorder = samples.recorder(store, max_batch=3)
    await asyncio.gather(
        *(
            record(recorder, raw_id, decision=samples.decision(EntityUid("Workload", raw_id.hex())))
            for raw_id in itertools.islice(samples.ids(), 7)
        )
    )
    assert store.batches == [3, 3, 1]


async def test_a_full_queue_refuses():
    store = MemoryStore()
    store.gate = asyncio.Event()
    recorder = samples.recorder(store, capacity=2)
    numbers = samples.ids()
    tasks = [asyncio.create_task(record(recorder, next(numbers))) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    outcomes = [task for task in tasks if task.done()]
    assert len(outcomes) == 1
    with pytest.raises(MintwardenError) as caught:
        outcomes[0].result()
    assert caught.value.kind is ErrorKind.OVERLOADED
    store.gate.set()
    assert len(await asyncio.gather(*(task for task in tasks if task not in outcomes))) == 2


async def test_a_replayed_proof_records_nothing():
    store, numbers = MemoryStore(), samples.ids()
    recorder = samples.recorder(store)
    once = (OnceKey(b"d" * 16, samples.NOW + 1),)
    await record(recorder, next(numbers), once=once)
    second = next(numbers)
    key = await store.get("User:alice@example.com")
    assert key is not None
    with pytest.raises(ProofReplayed) as caught:
        await record(recorder, second, once=once, key=SealKey(*key))
    assert caught.value.digest == b"d" * 16
    assert caught.value.kind is ErrorKind.INVALID_CLIENT
    assert await store.by_decision(second) is None


async def test_two_first_decisions_about_one_person_end_under_one_key():
    store, numbers = MemoryStore(), samples.ids()
    recorder = samples.recorder(store)
    receipts = await asyncio.gather(record(recorder, next(numbers)), record(recorder, next(numbers)))
    assert len({receipt.position for receipt in receipts}) == 2
    assert len(store.salts) == 1


async def test_a_decision_read_before_an_erasure_is_sealed_under_a_new_key():
    store, numbers = MemoryStore(), samples.ids()
    recorder = samples.recorder(store)
    await record(recorder, next(numbers))
    key = await store.get("User:alice@example.com")
    assert key is not None
    await store.erase("User:alice@example.com")
    raw_id = next(numbers)
    await record(recorder, raw_id, key=SealKey(*key))
    stored = await store.by_decision(raw_id)
    assert stored is not None
    assert stored.key_id != key[0]


async def test_a_store_that_never_agrees_on_a_key_is_unavailable():
    class Moody(MemoryStore):
        async def append(self, batch):
            self.batches.append(len(batch))
            return [Rekey(9, b"x" * 32) for _ in batch]

    store = Moody()
    with pytest.raises(MintwardenError) as caught:
        await record(samples.recorder(store), next(samples.ids()))
    assert caught.value.kind is ErrorKind.UNAVAILABLE
    assert len(store.batches) == MAX_REKEYS


async def test_every_waiter_hears_of_a_failure_and_the_next_may_succeed():
    store, numbers = MemoryStore(), samples.ids()
    recorder = samples.recorder(store)
    store.failure = MintwardenError(ErrorKind.UNAVAILABLE, "the disk is full")
    failures = await asyncio.gather(*(record(recorder, next(numbers)) for _ in range(3)), return_exceptions=True)
    assert [str(failure) for failure in failures] == ["the disk is full"] * 3
    assert len({id(failure) for failure in failures}) == 3
    store.failure = None
    assert await record(recorder, next(numbers))


async def test_an_unexpected_failure_is_unavailable_too():
    store = MemoryStore()
    store.failure = RuntimeError("boom")
    with pytest.raises(MintwardenError) as caught:
        await record(samples.recorder(store), next(samples.ids()))
    assert caught.value.kind is ErrorKind.UNAVAILABLE
    assert "boom" not in caught.value.public


async def test_a_fatal_error_stops_it_for_good():
    store, numbers = MemoryStore(), samples.ids()
    recorder = samples.recorder(store)
    store.failure = FatalLedgerError("the ledger has forked")
    with pytest.raises(FatalLedgerError):
        await record(recorder, next(numbers))
    store.failure = None
    assert recorder.fatal is not None
    with pytest.raises(FatalLedgerError, match="forked"):
        await record(recorder, next(numbers))


async def test_a_store_that_answers_short_is_fatal():
    class Short(MemoryStore):
        async def append(self, batch):
            return [Appended(1)] * (len(batch) + 1)

    with pytest.raises(FatalLedgerError, match="other entries"):
        await record(samples.recorder(Short()), next(samples.ids()))


async def test_a_caller_that_goes_away_harms_nobody():
    store, numbers = MemoryStore(), samples.ids()
    store.gate = asyncio.Event()
    recorder = samples.recorder(store)
    gone, stays = next(numbers), next(numbers)
    leaving = asyncio.create_task(record(recorder, gone))
    staying = asyncio.create_task(record(recorder, stays, decision=samples.decision(EntityUid("Workload", "stays"))))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    leaving.cancel()
    store.gate.set()
    assert (await staying).decision_id == decision_text(stays)
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await store.by_decision(gone) is not None


async def test_closing_finishes_what_waits_and_takes_no_more():
    store, numbers = MemoryStore(), samples.ids()
    recorder = samples.recorder(store)
    waiting = asyncio.create_task(record(recorder, next(numbers)))
    await asyncio.sleep(0)
    await recorder.close()
    assert (await waiting).position == 1
    with pytest.raises(MintwardenError) as caught:
        await record(recorder, next(numbers))
    assert caught.value.kind is ErrorKind.UNAVAILABLE


async def test_the_prepared_token_must_be_the_decisions():
    numbers = samples.ids()
    with pytest.raises(MintwardenError, match="another decision"):
        await record(samples.recorder(MemoryStore()), next(numbers), prepared=samples.prepared(next(numbers)))


async def test_an_act_that_governs_is_recorded_with_its_private_part_sealed():
    store, raw_id = MemoryStore(), next(samples.ids())
    receipt = await samples.recorder(store).record_act(
        entry_id=raw_id,
        kind="policy_approval",
        at=samples.NOW,
        actor=samples.ALICE,
        detail={"bundle": "sha256:00"},
        private={"contact": "alice@example.com"},
    )
    stored = await store.by_decision(raw_id)
    assert stored is not None
    assert receipt.prepared == b""
    assert b"alice" not in stored.entry
    entry = json.loads(stored.entry)
    found = await store.by_id(stored.key_id)
    assert found is not None
    assert stored.sealed is not None
    document = samples.sealer().open(found[1], raw_id, stored.sealed, bytes.fromhex(entry["facts"]))
    assert json.loads(document)["private"] == {"contact": "alice@example.com"}


async def test_everyone_is_answered_when_the_work_is_cancelled():
    store, numbers = MemoryStore(), samples.ids()
    store.gate = asyncio.Event()
    recorder = samples.recorder(store, max_batch=1)
    waiting = [asyncio.create_task(record(recorder, next(numbers))) for _ in range(3)]
    for _ in range(3):
        await asyncio.sleep(0)
    (work,) = asyncio.all_tasks() - {asyncio.current_task(), *waiting}
    work.cancel()
    failures = await asyncio.gather(*waiting, return_exceptions=True)
    assert {getattr(failure, "kind", None) for failure in failures} == {ErrorKind.UNAVAILABLE}
    assert recorder.waiting == 0
    store.gate = None
    assert await record(recorder, next(numbers))


async def test_it_can_be_stopped_from_outside():
    store, numbers = MemoryStore(), samples.ids()
    store.gate = asyncio.Event()
    recorder = samples.recorder(store, max_batch=1)
    under_way = asyncio.create_task(record(recorder, next(numbers)))
    for _ in range(3):
        await asyncio.sleep(0)
    queued = asyncio.create_task(record(recorder, next(numbers)))
    await asyncio.sleep(0)
    recorder.stop(FatalLedgerError("the log may fork"))
    with pytest.raises(FatalLedgerError, match="may fork"):
        await queued
    store.gate.set()
    assert await under_way
    with pytest.raises(FatalLedgerError, match="may fork"):
        await record(recorder, next(numbers))


async def test_a_subject_that_lost_its_key_twice_gets_a_fresh_one():
    class Erasing(MemoryStore):
        refusals = 2

        async def append(self, batch):
            if self.refusals:
                self.refusals -= 1
                return [Rekey(0, b"") for _ in batch]
            return await super().append(batch)

    store, raw_id = Erasing(), next(samples.ids())
    await record(samples.recorder(store), raw_id, key=SealKey(7, b"s" * 32))
    assert list(store.salts) == [1]

"""INVARIANT 2: no receipt without a durable entry, whatever the store does; and everyone who waits is answered."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from mintwarden.ledger.ports import Appended, PendingEntry, Rekey, Replayed
from mintwarden.ledger.tree import leaf_hash
from mintwarden.model.caller import OnceKey
from mintwarden.model.errors import ErrorKind, FatalLedgerError, MintwardenError
from mintwarden.model.token import Receipt
from mintwarden.model.values import EntityUid
from tests.unit.ledger import samples
from tests.unit.ledger.memory import MemoryStore


class Moody(MemoryStore):
    """Does to each append what the script says: nothing bad, or one of the ways to fail."""

    def __init__(self, script: Sequence[str]) -> None:
        super().__init__()
        self.script = list(script)

    async def append(self, batch: Sequence[PendingEntry]) -> Sequence[Appended | Replayed | Rekey]:
        mood = self.script.pop(0) if self.script else "good"
        await asyncio.sleep(0)
        if mood == "full":
            raise MintwardenError(ErrorKind.UNAVAILABLE, "the disk is full")
        if mood == "boom":
            raise RuntimeError("boom")
        if mood == "fatal":
            raise FatalLedgerError("the ledger has forked")
        outcomes = await super().append(batch)
        if mood == "lost":  # written, but the answer does not arrive
            raise MintwardenError(ErrorKind.UNAVAILABLE, "the connection is gone")
        return outcomes


MOODS = st.lists(st.sampled_from(["good", "good", "good", "full", "boom", "lost", "fatal"]), max_size=8)
REQUESTS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 3), st.booleans()), min_size=1, max_size=30
)


@given(MOODS, REQUESTS, st.integers(1, 8), st.integers(1, 30))
def test_invariant_2_no_receipt_without_a_durable_entry(moods, requests, max_batch, capacity):
    async def play() -> None:
        store = Moody(moods)
        recorder = samples.recorder(store, max_batch=max_batch, capacity=capacity)

        async def ask(raw_id: bytes, person: int, proof: int, turns: int, cancelled: bool) -> Receipt | None:
            for _ in range(turns):
                await asyncio.sleep(0)
            subject = EntityUid("User", f"p{person}")
            once = (OnceKey(bytes([proof]) * 16, samples.NOW),) if proof else ()
            task = asyncio.ensure_future(
                recorder.record(
                    decision_id=raw_id,
                    decision=samples.decision(subject),
                    asked=samples.asked(subject),
                    facts=samples.facts(subject),
                    prepared=samples.prepared(raw_id),
                    once=once,
                )
            )
            if cancelled:
                await asyncio.sleep(0)
                task.cancel()
            try:
                return await task
            except (MintwardenError, asyncio.CancelledError):
                return None

        async with asyncio.timeout(30):
            numbers = list(itertools.islice(samples.ids(), len(requests)))
            receipts = await asyncio.gather(
                *(ask(raw_id, *request) for raw_id, request in zip(numbers, requests, strict=True))
            )
            await recorder.close()
        proofs = []
        for raw_id, receipt, request in zip(numbers, receipts, requests, strict=True):
            if receipt is None:
                continue
            stored = await store.by_decision(raw_id)
            assert stored is not None
            assert receipt.position == stored.position
            assert receipt.leaf_hash == stored.leaf_hash == leaf_hash(stored.entry)
            assert receipt.prepared == samples.prepared(raw_id).digest
            proofs += [request[1]] if request[1] else []
        assert len(proofs) == len(set(proofs)), "a proof was used for two receipts"
        assert max(store.batches, default=0) <= max_batch
        assert recorder.waiting == 0

    asyncio.run(play())

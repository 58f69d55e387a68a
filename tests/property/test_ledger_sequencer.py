"""INVARIANT 2, in the tree: whatever crashes and however many believe themselves elected, there is one history."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from mintwarden.ledger.audit import Auditor
from mintwarden.ledger.checkpoint import verify_checkpoint
from mintwarden.ledger.ports import Head
from mintwarden.ledger.proof import verify_consistency
from mintwarden.ledger.published import PublishedLog
from mintwarden.ledger.tree import Edge, leaf_hash, root_hash
from mintwarden.model.errors import ErrorKind, MintwardenError
from tests.unit.ledger import samples
from tests.unit.ledger.memory import MemoryStore
from tests.unit.ledger.test_sequencer import sequencer


class Crashing(MemoryStore):
    """Everyone is elected, and every write may be the last one before a crash, done or not."""

    def __init__(self, crashes: Sequence[str]) -> None:
        super().__init__()
        self.crashes = list(crashes)

    def _step(self, name: str) -> bool:
        """Whether to crash after the write; crashing before it raises here."""
        crash = self.crashes.pop(0) if self.crashes else ""
        if crash == f"before {name}":
            raise MintwardenError(ErrorKind.UNAVAILABLE, "gone")
        return crash == f"after {name}"

    async def acquire(self, name, holder, seconds):
        return True

    async def put_tiles(self, tiles):
        await asyncio.sleep(0)
        crash = self._step("tiles")
        await super().put_tiles(tiles)
        if crash:
            raise MintwardenError(ErrorKind.UNAVAILABLE, "gone")

    async def swap_head(self, old_size: int, new: Head) -> bool:
        await asyncio.sleep(0)
        crash = self._step("head")
        done = await super().swap_head(old_size, new)
        if crash:
            raise MintwardenError(ErrorKind.UNAVAILABLE, "gone")
        return done

    async def drop_partial_tiles(self, older_than_size: int) -> None:
        crash = self._step("drop")
        await super().drop_partial_tiles(older_than_size)
        if crash:
            raise MintwardenError(ErrorKind.UNAVAILABLE, "gone")


CRASHES = st.lists(
    st.sampled_from(["", "", "before tiles", "after tiles", "before head", "after head", "before drop", "after drop"]),
    max_size=20,
)


@settings(max_examples=40)
@given(CRASHES, st.lists(st.tuples(st.integers(0, 90), st.integers(0, 2)), min_size=1, max_size=8))
def test_invariant_2_one_history_through_crashes_and_rivals(crashes, rounds):
    async def play() -> None:
        store = Crashing(crashes)
        workers = [sequencer(store, limit=64, holder=f"node-{n}") for n in range(2)]
        heads: list[Head] = []

        async def work(number: int) -> None:
            try:
                await workers[number].run_once()
            except MintwardenError as error:
                if error.kind is not ErrorKind.UNAVAILABLE:  # never fatal: nothing was tampered with
                    raise
                workers[number] = sequencer(store, limit=64, holder=f"node-{number}")

        for count, who in rounds:
            await samples.fill(store, count, start=len(store.rows) + len(store.pending) + 100 * len(heads))
            await asyncio.gather(*(work(number) for number in ((0, 1) if who == 2 else (who,))))
            heads.append(store.current)
        store.crashes.clear()
        while store.current.size < len(store.rows) or store.pending or not store.current.checkpoint:
            await sequencer(store).run_once()
        leaves = [row.leaf_hash for row in store.rows]
        assert [row.index for row in store.rows] == list(range(len(leaves)))
        log, last = PublishedLog(tree=store, entries=store), store.current
        assert (last.size, last.root) == (len(leaves), root_hash(leaves))
        for head in heads:
            assert head.root == root_hash(leaves[: head.size])
            if head.checkpoint:
                found = verify_checkpoint(head.checkpoint, keys=[samples.note_signer().key]).checkpoint
                assert (found.size, found.root) == (head.size, head.root)
            if head.size:
                proof = await log.consistency_proof(head.size, last.size)
                assert verify_consistency(
                    old=head.size, new=last.size, old_root=head.root, new_root=last.root, proof=proof
                )
        auditor = Auditor(tree=store, entries=store, keys=[samples.note_signer().key], origin=samples.ORIGIN)
        assert (await auditor.audit(against=[head.checkpoint for head in heads if head.checkpoint])).findings == ()

    asyncio.run(play())


@given(st.lists(st.integers(0, 400), max_size=12))
def test_an_edge_grows_the_same_in_any_portions(portions):
    leaves = [leaf_hash(number.to_bytes(4, "big")) for number in range(sum(portions))]
    grown, at, tiles = Edge(), 0, []
    for portion in portions:
        tiles += grown.grow(leaves[at : at + portion])
        at += portion
    at_once = Edge()
    assert at_once.grow(leaves) == tiles
    assert grown.partial() == at_once.partial()
    assert grown.root() == at_once.root() == root_hash(leaves)
    assert Edge(grown.size, [[*row] for row in _levels(grown)]).root() == grown.root()


def _levels(edge: Edge) -> list[list[bytes]]:
    rows = {level: row for level, _, row in edge.partial()}
    return [rows.get(level, []) for level in range(max(rows, default=-1) + 1)]

"""The one that gives the log its published shape: new leaves into the tree, tiles, a signed checkpoint.

One sequencer at a time, elected through the store; the head is compare-and-swap, so that two that believe
themselves elected still publish one history.

INVARIANT: a head is only ever replaced by one of a tree that continues it, computed from the very tiles and
leaves that are stored; when those disagree with the stored head, nothing is published any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import Struct

from mintwarden.ledger.checkpoint import Checkpoint, sign_checkpoint, verify_checkpoint, with_signatures
from mintwarden.ledger.note import NoteSigner, Signature, VerifierKey
from mintwarden.ledger.ports import EntryReader, Head, Leases, TreeStore
from mintwarden.ledger.tiles import split_hashes, tile_path, width_at
from mintwarden.ledger.tree import EMPTY_ROOT, TILE_WIDTH, Edge
from mintwarden.ledger.witness import Trouble, WitnessClient
from mintwarden.model.errors import FatalLedgerError, MintwardenError

LEASE = "sequencer"
_AUDIT_HINT = "stop issuing, keep the database as it is and run `mintwarden ledger audit`"
_ORIGIN_HINT = (
    "if the issuer or `ledger.origin` was changed, set `ledger.origin` to the log's name, since a store has one log; "
    f"if nobody changed it, {_AUDIT_HINT}"
)


class SequencerEvent(Struct, frozen=True):
    """Something to log or count. `trouble` is about a witness, `store` about a store that did not answer."""

    kind: Literal["published", "outrun", "trouble", "store"]
    size: int
    detail: str = ""
    trouble: Trouble | None = None


class Sequencer:
    """Publishes checkpoints while it is elected.

    Attributes of the constructor: `signer` signs; `trusted` are the other keys that may have signed the stored
    head (earlier ones of this log); `holder` names this process in the election; `limit` bounds the leaves of
    one round; `witness_timeout` bounds, in seconds, how long a round waits for witnesses.
    """

    def __init__(
        self,
        *,
        tree: TreeStore,
        entries: EntryReader,
        leases: Leases,
        signer: NoteSigner,
        origin: str,
        holder: str,
        trusted: Sequence[VerifierKey] = (),
        witnesses: Sequence[WitnessClient] = (),
        lease_seconds: float = 5.0,
        limit: int = 4096,
        witness_timeout: float = 0.5,
        on_event: Callable[[SequencerEvent], None] | None = None,
    ) -> None:
        self._tree = tree
        self._entries = entries
        self._leases = leases
        self._signer = signer
        self._origin = origin
        self._holder = holder
        self._keys = (signer.key, *(key for key in trusted if key != signer.key))
        self._witnesses = tuple(witnesses)
        self._lease_seconds = lease_seconds
        self._limit = limit
        self._witness_timeout = witness_timeout
        self._on_event = on_event
        self._edge: Edge | None = None
        self._head: Head | None = None
        self._rest: dict[str, int] = {}

    async def run(self, stop: asyncio.Event, *, interval: float = 0.5) -> None:
        """Publish until `stop` is set, looking for new entries every `interval` seconds; then leave the election.

        Raises `FatalLedgerError`, after which nobody may issue; waits and tries again while the store does not
        answer.
        """
        try:
            while not stop.is_set():
                busy = await self._round()
                if not busy:
                    try:
                        await asyncio.wait_for(stop.wait(), interval)
                    except TimeoutError:
                        continue
        finally:
            await self._leave()

    async def _round(self) -> bool:
        try:
            before = self._head.size if self._head else 0
            head = await self.run_once()
            return head is not None and head.size - before >= self._limit
        except FatalLedgerError:
            raise
        except MintwardenError as error:
            self._edge = self._head = None
            self._tell(SequencerEvent("store", 0, error.public))
            return False

    async def _leave(self) -> None:
        try:
            await self._leases.release(LEASE, self._holder)
        except MintwardenError as error:  # it runs out by itself
            self._tell(SequencerEvent("store", 0, error.public))

    async def run_once(self) -> Head | None:
        """One round: the head after it, or None when another sequencer is at work.

        Publishes at most `limit` new leaves.
        """
        if not await self._leases.acquire(LEASE, self._holder, self._lease_seconds):
            self._edge = self._head = None
            return None
        edge, head = await self._current()
        await self._tree.sequence(self._limit)
        leaves = await self._entries.leaf_hashes(edge.size, self._limit)
        if leaves or not head.checkpoint or not self._signed_by_us(head):
            return await self._publish(edge, head, leaves)
        return await self._cosign(head)

    async def _current(self) -> tuple[Edge, Head]:
        """The stored head and its edge, from memory where that is still true."""
        head = await self._tree.head()
        known = self._head
        if known is not None and self._edge is not None:
            if head.size < known.size or (head.size == known.size and head.root != known.root):
                raise FatalLedgerError("the stored head was set back or replaced", hint=_AUDIT_HINT)
            if head.size == known.size:
                if head.checkpoint != known.checkpoint:
                    self.require_ours(head)
                self._head = head
                return self._edge, head
        edge = await self._load(head)
        self._edge, self._head = edge, head
        return edge, head

    async def _load(self, head: Head) -> Edge:
        """The edge of the stored head, checked against its tiles, its leaves and its checkpoint."""
        levels: list[list[bytes]] = []
        level = 0
        while head.size >> (8 * level):
            index = head.size >> (8 * (level + 1))
            levels.append(await self._stored_tile(level, index, width_at(level, index, head.size)))
            level += 1
        edge = Edge(head.size, levels)
        # A log that was never published has no root yet.
        if edge.root() != (head.root or EMPTY_ROOT):
            raise FatalLedgerError("the stored tiles do not make the stored root", hint=_AUDIT_HINT)
        await self._check_leaves(head, levels)
        self.require_ours(head)
        return edge

    async def _stored_tile(self, level: int, index: int, width: int) -> list[bytes]:
        if not width:
            return []
        data = await self._tree.tile(tile_path(level, index, width))
        if data is None or len(data) != width * 32:
            raise FatalLedgerError(f"tile `{tile_path(level, index, width)}` is missing or cut", hint=_AUDIT_HINT)
        return split_hashes(data)

    async def _check_leaves(self, head: Head, levels: list[list[bytes]]) -> None:
        """The newest leaves, as entries have them, are the ones that were published: nothing was cut off."""
        if not head.size:
            return
        last = levels[0] or await self._stored_tile(0, head.size // TILE_WIDTH - 1, TILE_WIDTH)
        if list(await self._entries.leaf_hashes(head.size - len(last), len(last))) != last:
            raise FatalLedgerError("published entries are missing or changed", hint=_AUDIT_HINT)

    def require_ours(self, head: Head) -> None:
        """Raise `FatalLedgerError` unless the checkpoint of a stored head is this log's, and that head's."""
        if not head.checkpoint:
            if head.size:
                raise FatalLedgerError("the stored head has no checkpoint", hint=_AUDIT_HINT)
            return
        try:
            found = verify_checkpoint(head.checkpoint, keys=self._keys, origin=self._origin).checkpoint
        except MintwardenError as error:
            raise FatalLedgerError(f"the stored head is not ours: {error.public}", hint=_ORIGIN_HINT) from error
        if (found.size, found.root) != (head.size, head.root):
            raise FatalLedgerError("the stored checkpoint is not the stored head's", hint=_AUDIT_HINT)

    def _signed_by_us(self, head: Head) -> bool:
        found = verify_checkpoint(head.checkpoint, keys=self._keys, origin=self._origin)
        return self._signer.key in found.keys

    async def _publish(self, edge: Edge, head: Head, leaves: Sequence[bytes]) -> Head | None:
        grown = edge.copy()
        unchanged = {(level, index, len(row)) for level, index, row in edge.partial()}
        tiles = grown.grow(leaves)
        tiles += [tile for tile in grown.partial() if (tile[0], tile[1], len(tile[2])) not in unchanged]
        await self._tree.put_tiles([(tile_path(level, index, len(row)), b"".join(row)) for level, index, row in tiles])
        root = grown.root()
        checkpoint = Checkpoint(self._origin, grown.size, root)
        new = Head(grown.size, root, await sign_checkpoint(checkpoint, self._signer))
        # INVARIANT: tiles are stored before the head that needs them.
        if not await self._tree.swap_head(head.size, new):
            self._edge = self._head = None
            self._tell(SequencerEvent("outrun", grown.size))
            return None
        self._edge, self._head = grown, new
        self._tell(SequencerEvent("published", grown.size))
        if leaves:
            await self._tree.drop_partial_tiles(grown.size)
        return await self._cosign(new)

    async def _cosign(self, head: Head) -> Head:
        """Ask the witnesses that have not cosigned this head, and attach what they answer."""
        if not head.size:
            return head
        asked = [client for client in self._witnesses if self._wants(client, head)]
        if not asked:
            return head
        checkpoint = Checkpoint(self._origin, head.size, head.root)
        answers = await asyncio.gather(*(self._ask(client, checkpoint, head.checkpoint) for client in asked))
        lines = [line for answer in answers if not isinstance(answer, Trouble) for line in answer]
        if not lines:
            return head
        cosigned = Head(head.size, head.root, with_signatures(head.checkpoint, lines))
        if await self._tree.swap_head(head.size, cosigned):
            self._head = cosigned
            return cosigned
        self._edge = self._head = None
        return head

    def _wants(self, client: WitnessClient, head: Head) -> bool:
        name = client.witness.key.name
        if f"— {name} ".encode() in head.checkpoint:
            return False
        rest = self._rest.get(name, 0)
        if rest:
            self._rest[name] = rest - 1
        return not rest

    async def _ask(self, client: WitnessClient, checkpoint: Checkpoint, note: bytes) -> Sequence[Signature] | Trouble:
        name = client.witness.key.name
        try:
            async with asyncio.timeout(self._witness_timeout):
                answer = await client.cosign(checkpoint, note)
        except TimeoutError:
            answer = Trouble(name, "unavailable", "no answer in time")
        if isinstance(answer, Trouble):
            # A witness that does not help is asked again some rounds later, so that it does not slow the log.
            self._rest[name] = 10
            self._tell(SequencerEvent("trouble", checkpoint.size, answer.detail, answer))
        return answer

    def _tell(self, event: SequencerEvent) -> None:
        if self._on_event is not None:
            self._on_event(event)

"""What `ledger` needs from storage: durable entries, one head, tiles, and the per-subject keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from mintwarden.model.caller import OnceKey


class PendingEntry(Struct, frozen=True, kw_only=True):
    """An entry about to be made durable.

    Attributes:
        decision_id: 16 bytes; unique.
        leaf_hash: RFC 6962 leaf hash of `entry`.
        entry: canonical JSON bytes (RFC 8785).
        sealed: the facts beside it, encrypted; None for entries without.
        entity: entity key of the subject whose key seals it, or empty.
        key_id: id of that key; 0 when `new_salt` has to be stored with the entry.
        new_salt: salt of a key made for a subject that had none; of two nodes that race, the first stands and
            the other's append is answered `Rekey`.
        once: proofs to claim in the same commit.
    """

    decision_id: bytes
    leaf_hash: bytes
    entry: bytes
    sealed: bytes | None = None
    entity: str = ""
    key_id: int = 0
    new_salt: bytes = b""
    once: tuple[OnceKey, ...] = ()


class Appended(Struct, frozen=True):
    """Durable at `position` (SQLite: the leaf index; PostgreSQL: the row, sequenced later)."""

    position: int


class Replayed(Struct, frozen=True):
    """One of the entry's `once` proofs was claimed before: nothing was written for this entry."""

    digest: bytes


class Rekey(Struct, frozen=True):
    """The subject's key is not (or no longer) the one it was sealed under: nothing was written; seal again.

    `salt` and `key_id` are the key that stands, or `salt` is empty when the subject has none.
    """

    key_id: int
    salt: bytes


class StoredEntry(Struct, frozen=True, kw_only=True):
    """An entry as read back. `index` is its leaf index, or None while it waits for the sequencer."""

    position: int
    index: int | None
    decision_id: bytes
    leaf_hash: bytes
    entry: bytes
    sealed: bytes | None
    key_id: int


class Head(Struct, frozen=True):
    """The published tree head: size, root and the signed-note checkpoint, or size 0 and no checkpoint."""

    size: int
    root: bytes
    checkpoint: bytes


class EntryAppender(Protocol):
    """Makes entries durable."""

    async def append(self, batch: Sequence[PendingEntry]) -> Sequence[Appended | Replayed | Rekey]:
        """One outcome per entry, in order, in one transaction; returns only after it is on disk.

        Raises `MintwardenError(UNAVAILABLE)` when nothing was written (full disk, read-only, gone): the caller
        may retry later. A commit whose outcome is unknown also raises; the entries may then exist without a
        token, never a token without its entry.
        """
        ...


class EntryReader(Protocol):
    """Reads entries back."""

    async def by_decision(self, decision_id: bytes) -> StoredEntry | None: ...

    async def by_index(self, start: int, count: int) -> Sequence[StoredEntry]:
        """Sequenced entries in leaf order, from `start`, at most `count`; shorter at the end."""
        ...

    async def leaf_hashes(self, start: int, count: int) -> Sequence[bytes]:
        """Leaf hashes of sequenced entries, in leaf order."""
        ...

    async def count(self) -> int:
        """How many entries are durable, sequenced or not."""
        ...

    async def sequenced(self) -> int:
        """How many entries have their place in the log: one more than the last leaf index."""
        ...


class TreeStore(Protocol):
    """Head and tiles. The head is compare-and-swap and serializable; tiles are plain bytes by path."""

    async def sequence(self, limit: int) -> int:
        """Give durable, unsequenced entries the next leaf indices, in one order for ever; returns how many."""
        ...

    async def head(self) -> Head: ...

    async def swap_head(self, old_size: int, new: Head) -> bool:
        """Replace the head if its size is still `old_size`; False when another sequencer was first."""
        ...

    async def put_tiles(self, tiles: Sequence[tuple[str, bytes]]) -> None:
        """Store tiles by path (`tile/0/000`, `tile/0/000.p/7`); the same path twice must carry the same bytes."""
        ...

    async def tile(self, path: str) -> bytes | None: ...

    async def drop_partial_tiles(self, older_than_size: int) -> None:
        """Forget partial tiles that the head of `older_than_size` no longer needs."""
        ...


class Leases(Protocol):
    """Elections through the store."""

    async def acquire(self, name: str, holder: str, seconds: float) -> bool:
        """Take or renew the lease; False while another holder's has not run out (by the store's own clock)."""
        ...

    async def release(self, name: str, holder: str) -> None: ...


class SubjectKeys(Protocol):
    """Per-subject sealing keys."""

    async def get(self, entity: str) -> tuple[int, bytes] | None:
        """Key id and salt, or None."""
        ...

    async def by_id(self, key_id: int) -> tuple[str, bytes] | None:
        """Entity key and salt, or None when erased."""
        ...

    async def by_ids(self, key_ids: Iterable[int]) -> Mapping[int, tuple[str, bytes]]:
        """`by_id` of many at once, by key id; erased ones are left out. All are read at one moment."""
        ...

    async def erase(self, entity: str) -> bool:
        """Forget the subject's key for good, and its documents; True if there was one. Bumps the epoch."""
        ...

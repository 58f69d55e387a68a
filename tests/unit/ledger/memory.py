"""The ledger's ports in memory: honest fakes that hold what the ports promise."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from mintwarden.ledger.ports import Appended, Head, PendingEntry, Rekey, Replayed, StoredEntry
from mintwarden.ledger.tree import EMPTY_ROOT, leaf_hash
from mintwarden.model.errors import ErrorKind, MintwardenError


class MemoryStore:
    """All ledger ports over plain lists. `failure` is raised by the next appends while it is set."""

    def __init__(self) -> None:
        self.rows: list[StoredEntry] = []
        self.pending: list[StoredEntry] = []
        self.tiles: dict[str, bytes] = {}
        self.current = Head(0, EMPTY_ROOT, b"")
        self.salts: dict[int, tuple[str, bytes]] = {}
        self.claimed: set[bytes] = set()
        self.leases: dict[str, tuple[str, float]] = {}
        self.time = 0.0
        self.batches: list[int] = []
        self.failure: Exception | None = None
        self.gate: asyncio.Event | None = None
        self._positions = 0

    # EntryAppender

    async def append(self, batch: Sequence[PendingEntry]) -> Sequence[Appended | Replayed | Rekey]:
        if self.gate is not None:
            await self.gate.wait()
        else:
            await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.batches.append(len(batch))
        return [self._append_one(entry) for entry in batch]

    def _append_one(self, entry: PendingEntry) -> Appended | Replayed | Rekey:
        assert len(entry.decision_id) == 16
        assert entry.leaf_hash == leaf_hash(entry.entry)
        key_id = 0
        if entry.entity:
            standing = self._key_of(entry.entity)
            if standing is None and entry.key_id:
                return Rekey(0, b"")
            if standing is not None and (entry.key_id or entry.new_salt) not in standing:
                return Rekey(*standing)
            key_id = standing[0] if standing else len(self.salts) + 1
        for once in entry.once:
            if once.digest in self.claimed:
                return Replayed(once.digest)
        self.claimed |= {once.digest for once in entry.once}
        if entry.entity and key_id not in self.salts:
            self.salts[key_id] = (entry.entity, entry.new_salt)
        if any(row.decision_id == entry.decision_id for row in [*self.rows, *self.pending]):
            raise MintwardenError(ErrorKind.CONFLICT, "a decision id was used twice")
        self._positions += 1
        self.pending.append(
            StoredEntry(
                position=self._positions,
                index=None,
                decision_id=entry.decision_id,
                leaf_hash=entry.leaf_hash,
                entry=entry.entry,
                sealed=entry.sealed,
                key_id=key_id,
            )
        )
        return Appended(self._positions)

    def _key_of(self, entity: str) -> tuple[int, bytes] | None:
        for key_id, (owner, salt) in self.salts.items():
            if owner == entity and salt:
                return key_id, salt
        return None

    # EntryReader

    async def by_decision(self, decision_id: bytes) -> StoredEntry | None:
        return next((row for row in [*self.rows, *self.pending] if row.decision_id == decision_id), None)

    async def by_index(self, start: int, count: int) -> Sequence[StoredEntry]:
        return [row for row in self.rows if row.index is not None and start <= row.index < start + count]

    async def leaf_hashes(self, start: int, count: int) -> Sequence[bytes]:
        return [row.leaf_hash for row in self.rows[start : start + count]]

    async def count(self) -> int:
        return len(self.rows) + len(self.pending)

    async def sequenced(self) -> int:
        return len(self.rows)

    # TreeStore

    async def sequence(self, limit: int) -> int:
        taken, self.pending = self.pending[:limit], self.pending[limit:]
        for row in taken:
            self.rows.append(
                StoredEntry(
                    position=row.position,
                    index=len(self.rows),
                    decision_id=row.decision_id,
                    leaf_hash=row.leaf_hash,
                    entry=row.entry,
                    sealed=row.sealed,
                    key_id=row.key_id,
                )
            )
        return len(taken)

    async def head(self) -> Head:
        return self.current

    async def swap_head(self, old_size: int, new: Head) -> bool:
        if self.current.size != old_size:
            return False
        assert new.size >= old_size, "a head never shrinks"
        self.current = new
        return True

    async def put_tiles(self, tiles: Sequence[tuple[str, bytes]]) -> None:
        for path, data in tiles:
            assert self.tiles.get(path, data) == data, f"{path} was written with other bytes"
            self.tiles[path] = data

    async def tile(self, path: str) -> bytes | None:
        return self.tiles.get(path)

    async def drop_partial_tiles(self, older_than_size: int) -> None:
        for path in list(self.tiles):
            _, partial, width = path.partition(".p/")
            if partial:
                level, _, rest = path.removeprefix("tile/").partition("/")
                index = int(rest.partition(".p/")[0].replace("x", "").replace("/", ""))
                if index * 256 + int(width) < older_than_size >> (8 * int(level)):
                    del self.tiles[path]

    # Leases

    async def acquire(self, name: str, holder: str, seconds: float) -> bool:
        owner, until = self.leases.get(name, (holder, 0.0))
        if owner != holder and until > self.time:
            return False
        self.leases[name] = (holder, self.time + seconds)
        return True

    async def release(self, name: str, holder: str) -> None:
        if self.leases.get(name, ("", 0.0))[0] == holder:
            del self.leases[name]

    # SubjectKeys

    async def get(self, entity: str) -> tuple[int, bytes] | None:
        return self._key_of(entity)

    async def by_id(self, key_id: int) -> tuple[str, bytes] | None:
        found = self.salts.get(key_id)
        return found if found and found[1] else None

    async def by_ids(self, key_ids: Iterable[int]) -> Mapping[int, tuple[str, bytes]]:
        found = {key_id: await self.by_id(key_id) for key_id in key_ids}
        return {key_id: key for key_id, key in found.items() if key is not None}

    async def erase(self, entity: str) -> bool:
        for key_id, (owner, salt) in self.salts.items():
            if owner == entity and salt:
                self.salts[key_id] = ("", b"")
                return True
        return False

"""Ledger entries in PostgreSQL.

Life of an entry: the usual batch is one statement, which is its own transaction: it checks that the sealing keys stand,
claims the single-use proofs, writes the entries and puts their positions on the waiting list. It answers after the
commit. Later, the elected sequencer takes positions off the list and gives them leaves (`postgres/tree.py`). A batch
that holds anything unusual makes its statement fail as a whole and goes again in a transaction of several.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
from msgspec import Struct

from mintwarden.ledger.ports import Appended, PendingEntry, Rekey, Replayed, StoredEntry
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.store.postgres.facts import KEY_SOURCE
from mintwarden.store.postgres.links import Connection, Links

Outcome = Appended | Replayed | Rekey

_INSERT = """
    INSERT INTO entries (decision_id, leaf_hash, entry, sealed, key_id)
    SELECT d, h, e, s, k FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bigint[])
        WITH ORDINALITY AS new (d, h, e, s, k, number)
"""
_RETURN = " ORDER BY number RETURNING position, decision_id"
_WAIT = (
    "list AS (INSERT INTO waiting (position) SELECT position FROM written) SELECT position, decision_id FROM written"
)

# `1 / (...)::int` fails the statement, and with it the transaction, when the condition does not hold.
_USUAL = f"""
    WITH written AS ({_INSERT}
        WHERE 1 / ((SELECT count(*) FROM subject_keys WHERE key_id = ANY($6::bigint[])) = cardinality($6))::int = 1
        {_RETURN}), {_WAIT}
"""  # noqa: S608 - our own statements
_CLAIM = """
    INSERT INTO replay (expires_at, digest) SELECT * FROM unnest($%d::bigint[], $%d::bytea[]) ORDER BY 1, 2
    ON CONFLICT DO NOTHING RETURNING expires_at, digest
"""
_USUAL_WITH_CLAIMS = f"""
    WITH claimed AS ({_CLAIM % (7, 8)}), written AS ({_INSERT}
        WHERE 1 / ((SELECT count(*) FROM subject_keys WHERE key_id = ANY($6::bigint[])) = cardinality($6)
            AND (SELECT count(*) FROM claimed) = cardinality($8))::int = 1
        {_RETURN}), {_WAIT}
"""  # noqa: S608 - our own statements
_PLAIN = f"WITH written AS ({_INSERT} {_RETURN}), {_WAIT}"
_UNCLAIM = "DELETE FROM replay WHERE (expires_at, digest) IN (SELECT * FROM unnest($1::bigint[], $2::bytea[]))"
_NEW_KEY = """
    WITH made AS (INSERT INTO subject_keys (entity) VALUES ($1) RETURNING key_id),
    kept AS (INSERT INTO facts (entity, source, document, observed_at) SELECT $1, $3, $2, key_id FROM made)
    SELECT key_id FROM made
"""
KEYS_LOCK = 0x4D57_4B45
"""Advisory lock of whoever makes or erases sealing keys."""

_STORED = (
    "SELECT e.position, l.leaf, e.decision_id, e.leaf_hash, e.entry, e.sealed, e.key_id "
    "FROM entries e LEFT JOIN leaves l USING (position)"
)


class PostgresEntries:
    """Ledger entries; a position is where an entry is kept, its leaf index comes later."""

    def __init__(self, *, reads: Links, appends: Links) -> None:
        self._reads = reads
        self._appends = appends

    async def append(self, batch: Sequence[PendingEntry]) -> Sequence[Outcome]:
        """See `EntryAppender.append`."""
        if not batch:
            return ()
        async with self._appends.connection() as connection:
            if all(entry.key_id or not entry.entity for entry in batch):
                try:
                    return await _append_all(connection, batch)
                except (asyncpg.DivisionByZeroError, asyncpg.UniqueViolationError):
                    pass
            async with connection.transaction():
                return await _append_each(connection, batch)

    async def by_decision(self, decision_id: bytes) -> StoredEntry | None:
        """See `EntryReader.by_decision`."""
        found = await self._select(f"{_STORED} WHERE e.decision_id = $1", decision_id)
        return found[0] if found else None

    async def by_index(self, start: int, count: int) -> Sequence[StoredEntry]:
        """See `EntryReader.by_index`."""
        statement = f"{_STORED} WHERE l.leaf >= $1 AND l.leaf < $2 ORDER BY l.leaf"
        return await self._select(statement, start, start + count)

    async def leaf_hashes(self, start: int, count: int) -> Sequence[bytes]:
        """See `EntryReader.leaf_hashes`."""
        async with self._reads.connection() as connection:
            rows = await connection.fetch(
                "SELECT leaf_hash FROM leaves JOIN entries USING (position) "
                "WHERE leaf >= $1 AND leaf < $2 ORDER BY leaf",
                start,
                start + count,
            )
        return [row[0] for row in rows]

    async def count(self) -> int:
        """See `EntryReader.count`."""
        async with self._reads.connection() as connection:
            return int(
                await connection.fetchval(
                    "SELECT (SELECT coalesce(max(leaf) + 1, 0) FROM leaves) + (SELECT count(*) FROM waiting)"
                )
            )

    async def sequenced(self) -> int:
        """See `EntryReader.sequenced`."""
        async with self._reads.connection() as connection:
            return int(await connection.fetchval("SELECT coalesce(max(leaf) + 1, 0) FROM leaves"))

    async def _select(self, statement: str, *arguments: object) -> list[StoredEntry]:
        async with self._reads.connection() as connection:
            rows = await connection.fetch(statement, *arguments)
        return [
            StoredEntry(
                position=position, index=leaf, decision_id=decision_id, leaf_hash=leaf_hash, entry=entry, sealed=sealed,
                key_id=key_id,
            )
            for position, leaf, decision_id, leaf_hash, entry, sealed, key_id in rows
        ]  # fmt: skip


async def _append_all(connection: Connection, batch: Sequence[PendingEntry]) -> list[Outcome]:
    """The usual case: one statement."""
    used = list({entry.key_id for entry in batch if entry.key_id})
    claims = [once for entry in batch for once in entry.once]
    arguments = _columns(batch, [entry.key_id for entry in batch])
    if claims:
        rows = await connection.fetch(
            _USUAL_WITH_CLAIMS, *arguments, used, [c.expires_at for c in claims], [c.digest for c in claims]
        )
    else:
        rows = await connection.fetch(_USUAL, *arguments, used)
    positions = {decision_id: position for position, decision_id in rows}
    return [Appended(positions[entry.decision_id]) for entry in batch]


def _columns(batch: Sequence[PendingEntry], key_ids: Sequence[int]) -> tuple[Sequence[Any], ...]:
    return (
        [entry.decision_id for entry in batch],
        [entry.leaf_hash for entry in batch],
        [entry.entry for entry in batch],
        [entry.sealed for entry in batch],
        key_ids,
    )


class _Standing(Struct):
    """What a batch finds in the store, under the lock."""

    entries: dict[bytes, tuple[int, bytes]]
    keys: dict[str, tuple[int, bytes]]
    claimed: set[tuple[int, bytes]]
    taken: set[tuple[int, bytes]]


async def _append_each(connection: Connection, batch: Sequence[PendingEntry]) -> list[Outcome]:
    """Every entry on its own merits, in order: what is refused leaves nothing behind.

    One node at a time, under a lock; claims are made in sorted order, as the usual statement does, so that the two
    never wait for each other crosswise.
    """
    await connection.execute("SELECT pg_advisory_xact_lock($1)", KEYS_LOCK)
    standing = await _standing(connection, batch)
    outcomes: list[Outcome | None] = []
    accepted: dict[bytes, tuple[PendingEntry, int]] = {}
    for entry in batch:
        outcome = _judge(entry, standing)
        if outcome is None and entry.decision_id not in accepted:
            accepted[entry.decision_id] = entry, await _key_id(connection, entry, standing)
        outcomes.append(outcome)
    unused = standing.claimed - standing.taken
    if unused:
        await connection.execute(_UNCLAIM, [e for e, _ in unused], [d for _, d in unused])
    positions: dict[bytes, int] = {}
    if accepted:
        columns = _columns([entry for entry, _ in accepted.values()], [key_id for _, key_id in accepted.values()])
        rows = await connection.fetch(_PLAIN, *columns)
        positions = {decision_id: position for position, decision_id in rows}
    return [outcome or Appended(positions[entry.decision_id]) for entry, outcome in zip(batch, outcomes, strict=True)]


async def _standing(connection: Connection, batch: Sequence[PendingEntry]) -> _Standing:
    known = await connection.fetch(
        "SELECT decision_id, position, leaf_hash FROM entries WHERE decision_id = ANY($1::bytea[])",
        [entry.decision_id for entry in batch],
    )
    entries = {decision_id: (position, leaf_hash) for decision_id, position, leaf_hash in known}
    keys = await connection.fetch(
        "SELECT entity, observed_at, document FROM facts WHERE entity = ANY($1::text[]) AND source = $2",
        [entry.entity for entry in batch if entry.entity],
        KEY_SOURCE,
    )
    claims = [once for entry in batch if entry.decision_id not in entries for once in entry.once]
    claimed = await connection.fetch(_CLAIM % (1, 2), [c.expires_at for c in claims], [c.digest for c in claims])
    return _Standing(
        entries=entries,
        keys={entity: (key_id, salt) for entity, key_id, salt in keys},
        claimed={(expires_at, digest) for expires_at, digest in claimed},
        taken=set(),
    )


def _judge(entry: PendingEntry, standing: _Standing) -> Outcome | None:
    """What becomes of the entry; None when it is to be written, its claims then taken."""
    known = standing.entries.get(entry.decision_id)
    if known is not None:
        if known[1] != entry.leaf_hash:
            raise MintwardenError(ErrorKind.CONFLICT, "a decision id was used for two different entries")
        return Appended(known[0]) if known[0] else None
    if entry.entity:
        key = standing.keys.get(entry.entity)
        if not _fits(entry, key):
            return Rekey(*key) if key else Rekey(0, b"")
    claims = [(once.expires_at, once.digest) for once in entry.once]
    for claim in claims:
        if claim not in standing.claimed or claim in standing.taken:
            return Replayed(claim[1])
    standing.taken.update(claims)
    standing.entries[entry.decision_id] = 0, entry.leaf_hash
    return None


def _fits(entry: PendingEntry, key: tuple[int, bytes] | None) -> bool:
    """The entry is sealed under the key that stands, or brings the first one."""
    if key is None:
        return entry.key_id == 0 and bool(entry.new_salt)
    if entry.key_id:
        return entry.key_id == key[0]
    return entry.new_salt == key[1]


async def _key_id(connection: Connection, entry: PendingEntry, standing: _Standing) -> int:
    """Id of the key the entry is sealed under, stored now if the entry brings it."""
    if not entry.entity:
        return 0
    key = standing.keys.get(entry.entity)
    if key is not None:
        return key[0]
    key_id = int(await connection.fetchval(_NEW_KEY, entry.entity, entry.new_salt, KEY_SOURCE))
    standing.keys[entry.entity] = key_id, entry.new_salt
    return key_id

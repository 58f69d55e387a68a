"""The index of decisions in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from mintwarden.review.index import IndexedDecision, Scanned, Seen, Sought, Term
from mintwarden.store.postgres.entries import KEYS_LOCK
from mintwarden.store.postgres.links import Connection, Links

_NUMBERS = """
    WITH asked AS (SELECT DISTINCT * FROM unnest($1::text[], $2::text[]) AS a (kind, term)),
    made AS (
        INSERT INTO decision_words (kind, term)
        SELECT kind, term FROM asked WHERE NOT EXISTS (
            SELECT 1 FROM decision_words w WHERE w.kind = asked.kind AND w.term = asked.term) ORDER BY 1, 2
        RETURNING id, kind, term
    )
    SELECT id, kind, term FROM made UNION ALL SELECT w.id, w.kind, w.term FROM decision_words w JOIN asked
    USING (kind, term)
"""
_LISTS = """
    INSERT INTO decision_terms (word, leaf) SELECT * FROM unnest($1::bigint[], $2::bigint[]) ORDER BY 1, 2
    ON CONFLICT DO NOTHING
"""
_ROWS = """
    INSERT INTO decision_index (leaf, at, granted) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::boolean[])
    ON CONFLICT (leaf) DO UPDATE SET at = excluded.at, granted = excluded.granted
"""


class PostgresDecisionIndex:
    """Lists of leaves by word; see `DecisionIndex`. Words that were seen once are remembered."""

    def __init__(self, *, reads: Links, writes: Links) -> None:
        self._reads = reads
        self._writes = writes
        self._words: dict[Term, int] = {}

    async def next_leaf(self) -> int:
        """See `DecisionIndex.next_leaf`."""
        async with self._reads.connection() as connection:
            return int(await connection.fetchval("SELECT leaf FROM decision_progress"))

    async def add(self, decisions: Sequence[IndexedDecision], start: int, end: int) -> bool:
        """See `DecisionIndex.add`."""
        async with self._writes.transaction() as connection:
            # The row's lock makes whoever adds the same leaves wait, and then find them taken.
            moved = await connection.fetchval(
                "UPDATE decision_progress SET leaf = $2 WHERE leaf = $1 RETURNING leaf", start, end
            )
            if moved is None:
                return False
            words = await self._numbers(connection, decisions)
            keys = await _standing(connection, sorted({d.key_id for d in decisions if d.key_id}))
            await connection.execute(
                _ROWS, [d.leaf for d in decisions], [d.at for d in decisions], [d.granted for d in decisions]
            )
            lists = [(words[term], d.leaf) for d in decisions for term in d.terms]
            lists += [(-d.key_id, d.leaf) for d in decisions if d.key_id in keys]
            await connection.execute(_LISTS, [word for word, _ in lists], [leaf for _, leaf in lists])
        self._words |= words
        return True

    async def scan(self, sought: Sought, most: int, look: int) -> Scanned:
        """See `DecisionIndex.scan`."""
        async with self._reads.transaction() as connection:
            words = await _sought_words(connection, sought)
            if words is None:
                return Scanned((), 0)
            source = f"decision_terms WHERE word = {words[0]:d} AND" if words else "decision_index WHERE"
            seen = f"SELECT leaf FROM {source} leaf < $1 AND leaf >= $2 ORDER BY leaf DESC LIMIT $3"  # noqa: S608
            others = "".join(
                f" AND EXISTS (SELECT 1 FROM decision_terms o WHERE o.word = {word:d} AND o.leaf = d.leaf)"  # noqa: S608 - a number
                for word in words[1:]
            )
            rows = await connection.fetch(
                f"WITH s AS MATERIALIZED ({seen}) "  # noqa: S608 - numbers and placeholders only
                "SELECT d.leaf, d.at, d.granted FROM s JOIN decision_index d USING (leaf) "
                "WHERE d.at >= $4 AND d.at < $5 AND ($6::boolean IS NULL OR d.granted = $6)"
                f"{others} ORDER BY d.leaf DESC LIMIT $7",
                sought.below,
                sought.above,
                look,
                sought.since,
                sought.until,
                sought.granted,
                most,
            )
            found = tuple(Seen(*row) for row in rows)
            if len(found) == most:
                return Scanned(found, found[-1].leaf)
            counted, least = await connection.fetchrow(
                f"SELECT count(*), min(leaf) FROM ({seen}) AS s",  # noqa: S608
                sought.below,
                sought.above,
                look,
            )
        return Scanned(found, least if counted == look else 0)

    async def near(self, leaf: int) -> Seen | None:
        """See `DecisionIndex.near`."""
        async with self._reads.connection() as connection:
            row = await connection.fetchrow(
                "SELECT leaf, at, granted FROM decision_index WHERE leaf <= $1 ORDER BY leaf DESC LIMIT 1", leaf
            )
        return None if row is None else Seen(*row)

    async def clear(self) -> None:
        """See `DecisionIndex.clear`."""
        async with self._writes.transaction() as connection:
            await connection.execute("UPDATE decision_progress SET leaf = 0")
            await connection.execute("TRUNCATE decision_index, decision_terms")

    async def _numbers(self, connection: Connection, decisions: Sequence[IndexedDecision]) -> dict[Term, int]:
        terms = dict.fromkeys(term for decision in decisions for term in decision.terms)
        found = {term: self._words[term] for term in terms if term in self._words}
        unknown = [term for term in terms if term not in found]
        if unknown:
            rows = await connection.fetch(_NUMBERS, [t.kind for t in unknown], [t.value for t in unknown])
            found |= {Term(kind, term): number for number, kind, term in rows}
        return found


async def _sought_words(connection: Connection, sought: Sought) -> list[int] | None:
    """The words of what is sought, the rarest first as far as that is known; None when one was never seen."""
    words = [-sought.key_id] if sought.key_id else []
    for term in sought.terms:
        word = await connection.fetchval(
            "SELECT id FROM decision_words WHERE kind = $1 AND term = $2", term.kind, term.value
        )
        if word is None:
            return None
        words.append(word)
    return words


async def _standing(connection: Connection, keys: list[int]) -> set[int]:
    """Those of `keys` that were not erased; none of them is, until the transaction ends."""
    if not keys:
        return set()
    await connection.execute("SELECT pg_advisory_xact_lock_shared($1)", KEYS_LOCK)
    rows = await connection.fetch("SELECT key_id FROM subject_keys WHERE key_id = ANY($1::bigint[])", keys)
    return {row[0] for row in rows}

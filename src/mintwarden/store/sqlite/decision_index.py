"""The index of decisions in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from mintwarden.review.index import IndexedDecision, Scanned, Seen, Sought, Term
from mintwarden.store.sqlite.part import Access, Part

_BATCH = 5000


class SqliteDecisionIndex(Part):
    """Lists of leaves by word; see `DecisionIndex`. Words that were seen once are remembered."""

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        self._words: dict[Term, int] = {}

    async def next_leaf(self) -> int:
        """See `DecisionIndex.next_leaf`."""
        return await self._reader_thread.run(self._next_leaf)

    async def add(self, decisions: Sequence[IndexedDecision], start: int, end: int) -> bool:
        """See `DecisionIndex.add`."""
        return await self._writer_thread.run(lambda: self._add(decisions, start, end))

    async def scan(self, sought: Sought, most: int, look: int) -> Scanned:
        """See `DecisionIndex.scan`."""
        return await self._reader_thread.run(lambda: self._scan(sought, most, look))

    async def near(self, leaf: int) -> Seen | None:
        """See `DecisionIndex.near`."""
        return await self._reader_thread.run(lambda: self._near(leaf))

    async def clear(self) -> None:
        """See `DecisionIndex.clear`; some thousand rows at a time, so that the ledger does not wait for it."""
        while await self._writer_thread.run(self._clear_part):
            pass

    def _next_leaf(self) -> int:
        with self._reader.reading() as connection:
            return int(connection.execute("SELECT leaf FROM decision_progress").fetchone()[0])

    def _add(self, decisions: Sequence[IndexedDecision], start: int, end: int) -> bool:
        with self._writer.writing() as connection:
            moved = connection.execute("UPDATE decision_progress SET leaf = ? WHERE leaf = ?", (end, start)).rowcount
            if not moved:
                return False
            words = self._numbers(connection, decisions)
            keys = _standing(connection, {d.key_id for d in decisions if d.key_id})
            connection.executemany(
                "INSERT OR REPLACE INTO decision_index (leaf, at, granted) VALUES (?, ?, ?)",
                [(d.leaf, d.at, d.granted) for d in decisions],
            )
            lists = [(words[term], d.leaf) for d in decisions for term in d.terms]
            lists += [(-d.key_id, d.leaf) for d in decisions if d.key_id in keys]
            lists.sort()
            connection.executemany("INSERT OR IGNORE INTO decision_terms (word, leaf) VALUES (?, ?)", lists)
        self._words |= words
        return True

    def _numbers(self, connection: sqlite3.Connection, decisions: Sequence[IndexedDecision]) -> dict[Term, int]:
        found: dict[Term, int] = {}
        for decision in decisions:
            for term in decision.terms:
                if term not in found:
                    found[term] = self._words.get(term) or _number(connection, term)
        return found

    def _scan(self, sought: Sought, most: int, look: int) -> Scanned:
        with self._reader.reading() as connection:
            connection.execute("BEGIN")
            words = [-sought.key_id] if sought.key_id else []
            for term in sought.terms:
                word = connection.execute(
                    "SELECT id FROM decision_words WHERE kind = ? AND term = ?", (term.kind, term.value)
                ).fetchone()
                if word is None:
                    return Scanned((), 0)
                words.append(word[0])
            source = "decision_terms WHERE word = :word AND" if words else "decision_index WHERE"
            seen = f"SELECT leaf FROM {source} leaf < :below AND leaf >= :above ORDER BY leaf DESC LIMIT :look"  # noqa: S608
            others = "".join(
                f" AND EXISTS (SELECT 1 FROM decision_terms o WHERE o.word = {word:d} AND o.leaf = d.leaf)"  # noqa: S608 - a number
                for word in words[1:]
            )
            given = {
                "word": words[0] if words else 0,
                "below": sought.below,
                "above": sought.above,
                "look": look,
                "since": sought.since,
                "until": sought.until,
                "granted": sought.granted,
                "most": most,
            }
            rows = connection.execute(
                f"SELECT d.leaf, d.at, d.granted FROM ({seen}) s CROSS JOIN decision_index d ON d.leaf = s.leaf "  # noqa: S608
                "WHERE d.at >= :since AND d.at < :until AND (:granted IS NULL OR d.granted = :granted)"
                f"{others} ORDER BY d.leaf DESC LIMIT :most",
                given,
            ).fetchall()
            found = tuple(Seen(leaf, at, bool(granted)) for leaf, at, granted in rows)
            if len(found) == most:
                return Scanned(found, found[-1].leaf)
            counted, least = connection.execute(f"SELECT count(*), min(leaf) FROM ({seen})", given).fetchone()  # noqa: S608
        return Scanned(found, least if counted == look else 0)

    def _near(self, leaf: int) -> Seen | None:
        with self._reader.reading() as connection:
            row = connection.execute(
                "SELECT leaf, at, granted FROM decision_index WHERE leaf <= ? ORDER BY leaf DESC LIMIT 1", (leaf,)
            ).fetchone()
        return None if row is None else Seen(row[0], row[1], bool(row[2]))

    def _clear_part(self) -> bool:
        with self._writer.writing() as connection:
            # The progress goes last to 0: whoever indexes meanwhile adds to what is about to be gone.
            terms = connection.execute(
                "DELETE FROM decision_terms WHERE (word, leaf) IN (SELECT word, leaf FROM decision_terms LIMIT ?)",
                (_BATCH,),
            ).rowcount
            rows = connection.execute(
                "DELETE FROM decision_index WHERE leaf IN (SELECT leaf FROM decision_index LIMIT ?)", (_BATCH,)
            ).rowcount
            if terms + rows == 0:
                connection.execute("UPDATE decision_progress SET leaf = 0")
            return bool(terms + rows)


def _number(connection: sqlite3.Connection, term: Term) -> int:
    connection.execute("INSERT OR IGNORE INTO decision_words (kind, term) VALUES (?, ?)", (term.kind, term.value))
    row = connection.execute("SELECT id FROM decision_words WHERE kind = ? AND term = ?", (term.kind, term.value))
    return int(row.fetchone()[0])


def _standing(connection: sqlite3.Connection, keys: set[int]) -> set[int]:
    """Those of `keys` that were not erased."""
    rows = connection.execute(
        "SELECT key_id FROM json_each(?) AS used JOIN subject_keys ON key_id = used.value", (str(sorted(keys)),)
    )
    return {row[0] for row in rows}

"""How far a replay has come: which leaves are counted, under which question, over which ledger.

The state is one file, replaced as a whole after every range, so that a run that was killed loses at most the ranges
that were under way. It holds counts, names of clients and tenants and leaf indices; no subject and no fact.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct, field

from mintwarden.ledger.ports import EntryReader
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.review.impact.tally import Tally
from mintwarden.review.impact.walk import SLACK, Filters, first_leaf

VERSION = 1
RANGE = 4096
"""Leaves of one range: what one worker does at a time."""


class State(Struct, kw_only=True):
    """A replay under way or done.

    Attributes:
        question: what is asked, as a digest of the candidate, the other bundles and every option.
        since, until: the times asked for, `Millis`, fixed when the run began.
        first, end: the leaves of the run; a longer ledger moves `end`.
        ends: leaf hashes of the first and of the last leaf, in hexadecimal: what must still stand there.
        done: ranges that are counted, in order and without touching each other.
    """

    v: int = VERSION
    question: str
    since: int
    until: int
    first: int
    end: int
    ends: tuple[str, str]
    done: list[tuple[int, int]] = []
    tally: Tally = field(default_factory=Tally)

    def left(self, size: int = RANGE) -> Iterator[tuple[int, int]]:
        """The ranges that are still to be replayed, of at most `size` leaves."""
        at = self.first
        for start, end in [*self.done, (self.end, self.end)]:
            while at < min(start, self.end):
                upto = min(at + size, start, self.end)
                yield at, upto
                at = upto
            at = max(at, end)

    @property
    def leaves_done(self) -> int:
        """How many leaves are counted."""
        return sum(end - start for start, end in self.done)

    def add(self, start: int, end: int, tally: Tally) -> None:
        """A range is counted."""
        joined: list[tuple[int, int]] = []
        for one in sorted([*self.done, (start, end)]):
            if joined and joined[-1][1] >= one[0]:
                joined[-1] = (joined[-1][0], max(joined[-1][1], one[1]))
            else:
                joined.append(one)
        self.done = joined
        self.tally.merge(tally)


async def begin(entries: EntryReader, *, question: str, filters: Filters, limit: int = 0) -> State:
    """The state of a run that has not begun: its leaves found by the times of entries.

    `limit` leaves at most, the latest ones; 0 for all.
    """
    end = await _end(entries, filters.until)
    first = await first_leaf(entries, end, filters.since) if filters.since else 0
    if limit:
        first = max(first, end - limit)
    ends = await _ends(entries, first, end)
    return State(question=question, since=filters.since, until=filters.until, first=first, end=end, ends=ends)


async def resume(state: State, entries: EntryReader, *, question: str) -> State:
    """`state`, gone on with: over what the ledger holds by now, for the times that were asked for then.

    Raises `MintwardenError(CONFLICT)` when it is of another question, or of a ledger that is not the beginning of this.
    """
    if state.question != question:
        raise _refused("of another question", "give the bundles and options of then, or another file")
    if await _ends(entries, state.first, state.end) != state.ends:
        raise _refused("of another ledger", "the entries that it is about are not those of this store")
    state.end = max(state.end, await _end(entries, state.until))
    state.ends = await _ends(entries, state.first, state.end)
    return state


def read_state(path: Path) -> State | None:
    """The state in the file, None where there is no such file; raises `MintwardenError(CONFLICT)` for any other."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _file_error(path, "read", error) from error
    try:
        state = msgspec.json.decode(data, type=State)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _refused("not a state of a replay", "name another file") from None
    if state.v != VERSION:
        raise _refused("of another version of this program", "name another file")
    return state


def write_state(path: Path, state: State) -> None:
    """Replace the file, readable by its owner alone; raises `MintwardenError(CONFIG)` where that cannot be."""
    part = path.with_name(f".{path.name}.part")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as out:
            out.write(msgspec.json.encode(state))
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    except OSError as error:
        raise _file_error(path, "written", error) from error


async def _end(entries: EntryReader, until: int) -> int:
    end = await entries.sequenced()
    return await first_leaf(entries, end, until + 2 * SLACK) if until else end


async def _ends(entries: EntryReader, first: int, end: int) -> tuple[str, str]:
    if end <= first:
        return "", ""
    hashes = [await entries.leaf_hashes(leaf, 1) for leaf in (first, end - 1)]
    return hashes[0][0].hex() if hashes[0] else "", hashes[1][0].hex() if hashes[1] else ""


def _refused(what: str, hint: str) -> MintwardenError:
    return MintwardenError(ErrorKind.CONFLICT, f"the state to resume is {what}", hint=hint)


def _file_error(path: Path, verb: str, error: OSError) -> MintwardenError:
    why = (error.strerror or "unknown reason").lower()
    return MintwardenError(
        ErrorKind.CONFIG, f"`{path}` cannot be {verb}: {why}", hint="name a file in a folder of yours"
    )

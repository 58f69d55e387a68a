"""A proof of one entry, made of what is published."""

from __future__ import annotations

from mintwarden.ledger.ports import EntryReader, StoredEntry
from mintwarden.ledger.proof_file import EntryProof
from mintwarden.ledger.published import PublishedLog
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import decision_bytes


async def find_entry(name: str, *, entries: EntryReader) -> StoredEntry:
    """The entry named by a decision id or a leaf index. Raises `NOT_FOUND` or `INVALID_REQUEST`."""
    stored: StoredEntry | None = None
    if name.isascii() and name.isdigit() and len(name) < 19:
        found = await entries.by_index(int(name), 1)
        stored = found[0] if found else None
    else:
        try:
            raw = decision_bytes(name)
        except ValueError:
            raise MintwardenError(
                ErrorKind.INVALID_REQUEST,
                f"`{name[:64]}` is neither a decision id nor a leaf index",
                hint="a decision id is the `jti` of its token",
            ) from None
        stored = await entries.by_decision(raw)
    if stored is None:
        raise MintwardenError(
            ErrorKind.NOT_FOUND, f"the ledger has no entry `{name}`", hint="see how many there are: `ledger status`"
        )
    return stored


async def prove(name: str, *, log: PublishedLog, entries: EntryReader) -> EntryProof:
    """The proof of the entry named by a decision id or a leaf index, under the present checkpoint.

    Raises `NOT_FOUND`; `UNAVAILABLE` while the entry waits for its checkpoint.
    """
    stored = await find_entry(name, entries=entries)
    head = await log.head()
    if stored.index is None or stored.index >= head.size:
        raise MintwardenError(
            ErrorKind.UNAVAILABLE,
            "the entry is recorded and waits for its checkpoint",
            hint="a running server publishes one within a second",
        )
    path = await log.inclusion_proof(stored.index, head.size)
    return EntryProof(stored.entry, stored.index, tuple(path), head.checkpoint)

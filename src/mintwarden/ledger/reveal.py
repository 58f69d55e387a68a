"""An entry with its sealed part opened, for whoever may explain or replay it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from mintwarden.ledger.canonical import read_canonical
from mintwarden.ledger.document import SealedDecision, read_act, read_document
from mintwarden.ledger.ports import StoredEntry, SubjectKeys
from mintwarden.ledger.seal import Sealer
from mintwarden.model.errors import ErrorKind, MintwardenError


class Revealed(Struct, frozen=True, kw_only=True):
    """What an entry says.

    Attributes:
        entry: its public members.
        state: `open`; `erased` when the subject's key is gone, so that the decision is not replayable; `none`
            when nothing was sealed.
        subject: entity key of the subject, empty unless `open`.
        decision: what was asked and the facts, for a decision.
        private: what was sealed about an act that governs.
    """

    entry: Mapping[str, Any]
    state: Literal["open", "erased", "none"]
    subject: str = ""
    decision: SealedDecision | None = None
    private: Mapping[str, Any] = {}


def read_entry(data: bytes) -> Mapping[str, Any]:
    """The members of a canonical entry; raises `MintwardenError(LEDGER)` for anything else."""
    try:
        entry = read_canonical(data)
    except ValueError as error:
        raise MintwardenError(ErrorKind.LEDGER, f"the entry cannot be read: {error}") from error
    if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str) or entry.get("v") != 1:
        raise MintwardenError(ErrorKind.LEDGER, "the entry is of an unknown kind or version")
    return entry


async def reveal(stored: StoredEntry, *, keys: SubjectKeys, sealer: Sealer) -> Revealed:
    """Open what is sealed beside an entry and check it against the entry's commitment.

    Raises `MintwardenError(LEDGER)` when the entry or the sealed part was changed.
    """
    entry = read_entry(stored.entry)
    if "facts" not in entry:
        return Revealed(entry=entry, state="none")
    found = await keys.by_id(stored.key_id)
    if found is None:
        return Revealed(entry=entry, state="erased")
    subject, salt = found
    try:
        expected = bytes.fromhex(entry["facts"])
    except (TypeError, ValueError):
        raise MintwardenError(ErrorKind.LEDGER, "the entry's commitment is malformed") from None
    document = sealer.open(salt, stored.decision_id, stored.sealed or b"", expected)
    if entry["kind"] == "decision":
        return Revealed(entry=entry, state="open", subject=subject, decision=read_document(document))
    return Revealed(entry=entry, state="open", subject=subject, private=read_act(document))

"""Forgetting one subject: their key goes, the log stays whole."""

from __future__ import annotations

from mintwarden.ledger.ports import SubjectKeys
from mintwarden.ledger.record import Recorder
from mintwarden.ledger.seal import SealKey
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.model.token import Receipt
from mintwarden.model.values import EntityUid


async def erase(
    subject: EntityUid,
    *,
    keys: SubjectKeys,
    recorder: Recorder,
    entry_id: bytes,
    at: int,
    actor: EntityUid,
    ticket: str = "",
) -> Receipt:
    """Forget `subject`: record the erasure, then destroy the key. The receipt is the erasure's own.

    Afterwards earlier decisions about the subject are listed as not replayable, and nobody can tell from their
    entries whom they were about. The entry names the key by number only, so that the log does not say who asked
    to be forgotten. Safe to run again. Raises `NOT_FOUND` when there is nothing to forget.
    """
    entity = entity_key(subject)
    found = await keys.get(entity)
    if found is None:
        raise MintwardenError(ErrorKind.NOT_FOUND, "no decision is sealed for that subject")
    own = await keys.get(entity_key(actor))
    # INVARIANT: the entry is durable before the key goes. A crash between the two leaves an entry without its
    # deed, which running again completes, and never a deed without its entry.
    receipt = await recorder.record_act(
        entry_id=entry_id,
        kind="erasure",
        at=at,
        actor=actor,
        detail={"key": found[0]},
        private={"ticket": ticket} if ticket else {},
        key=SealKey(*own) if own else None,
    )
    await keys.erase(entity)
    return receipt

"""Forgetting one subject: their key in the ledger, and everything that flows remember of them."""

from __future__ import annotations

from mintwarden.app.foundation import Foundation
from mintwarden.app.signals_out import signals_of
from mintwarden.issue.approval_requests import approval_kinds
from mintwarden.issue.memory import Memory
from mintwarden.ledger.erase import erase
from mintwarden.model.ids import entity_key
from mintwarden.model.values import EntityUid
from mintwarden.review.jobs import PEOPLE


async def erase_subject(base: Foundation, subject: EntityUid, actor: EntityUid, ticket: str) -> str:
    """Id of the entry that says so. Sessions, passkeys, grants and consents go too, also of somebody without a key;
    and so do requests for approval that are about them, and whatever came of reviews that tell of people: it may tell
    of them.

    Raises `NOT_FOUND` when no decision is sealed for the subject. Safe to run again.
    """
    try:
        receipt = await erase(
            subject,
            keys=base.store.subject_keys,
            recorder=base.recorder,
            entry_id=base.new_id(),
            at=base.clock.now(),
            actor=actor,
            ticket=ticket,
        )
    finally:
        await base.store.states.forget(entity_key(subject))
        await base.store.states.forget(PEOPLE)
        memory = Memory(states=base.store.states, seal=base.master, revocations=base.store.revocations)
        await memory.approvals.forget(entity_key(subject), approval_kinds(base.bundle.catalogue))
    await signals_of(base).erased(subject)
    return receipt.decision_id

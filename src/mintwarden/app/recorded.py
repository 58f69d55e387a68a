"""What the ledger knows of a token that exists: the question that it answered, and what it was decided under."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from mintwarden.app.foundation import Foundation
from mintwarden.authn.presented import Presented
from mintwarden.authn.revoked import Origin, RevocationCheck
from mintwarden.ledger.document import SealedDecision
from mintwarden.ledger.ports import StoredEntry
from mintwarden.ledger.reveal import read_entry, reveal
from mintwarden.ledger.tree import leaf_hash
from mintwarden.mint.prepare import LEDGER_CLAIM
from mintwarden.mint.sign import b64
from mintwarden.model.ids import decision_bytes


async def recorded_question(base: Foundation, shown: Presented) -> SealedDecision | None:
    """What was asked, and true, when a token was issued; None when nobody knows (any more).

    INVARIANT: it is of the very entry that the token names by its leaf hash: who writes to the store can ask nothing
    else in its name. Raises `LEDGER` when what is sealed beside the entry was changed.
    """
    stored = await _entry(base, shown.evidence.token_id)
    if stored is None or b64(leaf_hash(stored.entry)).decode() != shown.claims.get(LEDGER_CLAIM):
        return None
    return (await reveal(stored, keys=base.store.subject_keys, sealer=base.sealer)).decision


async def decided_under(base: Foundation, token_id: str) -> str | None:
    """The digest of the bundle version that a token's decision was made under; None when nobody knows."""
    stored = await _entry(base, token_id)
    found = read_entry(stored.entry).get("bundle") if stored is not None else None
    return found if isinstance(found, str) else None


async def origins(base: Foundation, token_id: str, lineage: tuple[str, ...]) -> Sequence[Origin] | None:
    """A token and those that it came of, as their decisions were recorded; None when one is not known (any more).

    Costs a look at the record of each, of which there are at most `MAX_LINEAGE` and one.
    """
    found: list[Origin] = []
    for name in (token_id, *lineage):
        stored = await _entry(base, name)
        if stored is None:
            return None
        revealed = await reveal(stored, keys=base.store.subject_keys, sealer=base.sealer)
        if revealed.decision is None:
            return None
        asked, entry = revealed.decision.asked, revealed.entry
        issued_at = int(entry["at"]) // 1000 * 1000
        made = Origin(
            client_id=asked.client_id, bundle=str(entry["bundle"]), issued_at=issued_at, keys=asked.lineage_keys
        )
        found.append(made)
    return found


def revocation_check(base: Foundation) -> RevocationCheck:
    """Whether a token was revoked, by the store of this deployment."""
    return RevocationCheck(
        base.store.revocations,
        decided_under=functools.partial(decided_under, base),
        origins=functools.partial(origins, base),
    )


async def _entry(base: Foundation, token_id: str) -> StoredEntry | None:
    try:
        return await base.store.entries.by_decision(decision_bytes(token_id))
    except ValueError:
        return None

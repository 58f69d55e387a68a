"""Writes acts into the ledger in somebody's name, before they are done."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mintwarden.ledger.entry import GovernanceKind
from mintwarden.ledger.ports import SubjectKeys
from mintwarden.ledger.record import Recorder
from mintwarden.ledger.seal import SealKey
from mintwarden.model.caller import OnceKey
from mintwarden.model.clock import Clock
from mintwarden.model.ids import decision_text, entity_key
from mintwarden.model.values import EntityUid


class Scribe:
    """Writes acts down, durably. `new_id` makes entry ids."""

    def __init__(self, *, recorder: Recorder, keys: SubjectKeys, clock: Clock, new_id: Callable[[], bytes]) -> None:
        self._recorder = recorder
        self._keys = keys
        self._clock = clock
        self._new_id = new_id

    async def write(
        self,
        kind: GovernanceKind,
        actor: EntityUid,
        detail: Mapping[str, object],
        private: Mapping[str, object] | None = None,
        once: tuple[OnceKey, ...] = (),
    ) -> str:
        """The id of the entry, once it is durable; raises as `Recorder.record_act`.

        `detail` is public and holds nothing personal; `private` is sealed under the actor's key; `once` are proofs of
        the actor's, claimed with the entry.
        """
        entry_id = self._new_id()
        own = await self._keys.get(entity_key(actor))
        await self._recorder.record_act(
            entry_id=entry_id,
            kind=kind,
            at=self._clock.now(),
            actor=actor,
            detail=detail,
            private=private,
            once=once,
            key=SealKey(*own) if own else None,
        )
        return decision_text(entry_id)

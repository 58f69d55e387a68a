"""What follows when the compiled rules and Cedar disagree: the operator is told, and the ledger keeps it for good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mintwarden.app.foundation import SELF, Foundation
from mintwarden.issue.judge import Alarm
from mintwarden.model.decision import Decision
from mintwarden.model.errors import MintwardenError
from mintwarden.model.ids import decision_text


class RecordedAlarm:
    """Tells `watch` at once and writes the act `evaluator_disagreement` behind it; from any thread.

    What cannot be written goes to `stumbled`: the refusal and the fallback to Cedar stand without it.
    """

    def __init__(self, base: Foundation, *, watch: Alarm, stumbled: Callable[[str, Exception], None]) -> None:
        self._base = base
        self._watch = watch
        self._stumbled = stumbled
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def disagreement(self, bundle: str, decision_id: bytes, compiled: Decision, cedar: Decision) -> None:
        """See `Alarm`."""
        self._watch.disagreement(bundle, decision_id, compiled, cedar)
        detail: dict[str, object] = {
            "bundle": bundle,
            "decision": decision_text(decision_id),
            "compiled": list(compiled.granted_scopes),
            "cedar": list(cedar.granted_scopes),
        }
        self._loop.call_soon_threadsafe(self._begin, detail)

    async def close(self) -> None:
        """Finish writing what was heard so far."""
        await asyncio.sleep(0)  # what a thread has just handed over begins first
        await asyncio.gather(*self._tasks)

    def _begin(self, detail: dict[str, object]) -> None:
        task = self._loop.create_task(self._record(detail))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _record(self, detail: dict[str, object]) -> None:
        base = self._base
        try:
            await base.recorder.record_act(
                entry_id=base.new_id(), kind="evaluator_disagreement", at=base.clock.now(), actor=SELF, detail=detail
            )
        except MintwardenError as error:
            self._stumbled("alarm", error)

"""`/access/v1/evaluation` and `/access/v1/evaluations` (sections 6 and 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from mintwarden.issue.evaluate import Verdict
from mintwarden.issue.foreign import Issued, is_gate
from mintwarden.issue.question import Evaluation
from mintwarden.model.caller import Evidence
from mintwarden.web.admin.access import demand
from mintwarden.web.authzen.answers import told, told_item, told_malformed
from mintwarden.web.authzen.endpoint import Work
from mintwarden.web.authzen.reading import Batch, Malformed, invalid, read_evaluation, read_evaluations

EVALUATE = "authzen:evaluate"
ISSUE = "authzen:issue"


class Decider(Protocol):
    """Decides. `ends` says of a verdict whether those behind it still matter."""

    async def evaluate(
        self, evaluations: Sequence[Evaluation], ends: Callable[[Verdict], bool] | None
    ) -> Sequence[Verdict]: ...

    async def issue(self, evaluations: Sequence[Evaluation | None], signer: str) -> Issued: ...


class Evaluations:
    """Answers evaluations of both kinds."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider

    async def one(self, content: Mapping[str, Any], who: Evidence, work: Work) -> Mapping[str, Any]:
        """The decision on one evaluation."""
        demand(who, EVALUATE, ISSUE)
        return await self._answer(Batch(evaluations=(read_evaluation(content),), single=True), who, work)

    async def several(self, content: Mapping[str, Any], who: Evidence, work: Work) -> Mapping[str, Any]:
        """The decisions on each, in order."""
        demand(who, EVALUATE, ISSUE)
        return await self._answer(read_evaluations(content), who, work)

    async def _answer(self, batch: Batch, who: Evidence, work: Work) -> Mapping[str, Any]:
        gated = any(isinstance(one, Evaluation) and is_gate(one.action) for one in batch.evaluations)
        if gated:
            demand(who, ISSUE)
            found = await self._issued(batch, who, work)
        else:
            demand(who, EVALUATE)
            found = await self._evaluated(batch)
            work.outcome = "granted" if all(one["decision"] for one in found) else "refused"
        return found[0] if batch.single else {"evaluations": found}

    async def _issued(self, batch: Batch, who: Evidence, work: Work) -> Sequence[Mapping[str, Any]]:
        if batch.semantic != "execute_all":
            raise invalid("a request with a gate is executed as a whole (`execute_all`)")
        asked = [one if isinstance(one, Evaluation) else None for one in batch.evaluations]
        issued = await self._decider.issue(asked, who.client_id)
        work.decision, work.audience = issued.decision_id, issued.audience
        work.outcome = "granted" if issued.granted else "refused"
        return [
            told_malformed(one.why) if isinstance(one, Malformed) else told_item(item)
            for one, item in zip(batch.evaluations, issued.items, strict=True)
        ]

    async def _evaluated(self, batch: Batch) -> Sequence[Mapping[str, Any]]:
        stops = {"deny_on_first_deny": False, "permit_on_first_permit": True}.get(batch.semantic)
        well = [one for one in batch.evaluations if isinstance(one, Evaluation)]
        if stops is False:  # what cannot be read is a denial as well: nothing behind it is asked
            well = []
            for one in batch.evaluations:
                if not isinstance(one, Evaluation):
                    break
                well.append(one)
        ends = None if stops is None else lambda verdict: verdict.granted is stops
        verdicts = iter(await self._decider.evaluate(well, ends) if well else ())
        found: list[Mapping[str, Any]] = []
        for one in batch.evaluations:
            if isinstance(one, Malformed):
                found.append(told_malformed(one.why))
            else:
                found.append(told(next(verdicts)))
            if stops is not None and found[-1]["decision"] is stops:
                break
        return found

"""Step 5 as the line takes it: `policy.decide`, and Cedar itself asked again as the bundle's tiers demand.

`verify = "always"` asks before the signature, `"sampled"` behind it for a share of the decisions. A disagreement
refuses, raises the alarm and puts the bundle on Cedar alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec.structs import replace

from mintwarden.model.asked import Asked
from mintwarden.model.decision import Decision, ScopeDecision
from mintwarden.model.facts import Facts
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide

SHARE = 65536
"""A sampled share is a threshold over the last 16 random bits of the decision id."""


class Alarm(Protocol):
    """Hears that the compiled rules and Cedar disagreed. It must not raise, and must not block."""

    def disagreement(self, bundle: str, decision_id: bytes, compiled: Decision, cedar: Decision) -> None:
        """`compiled` is what the compiled rules said, `cedar` what Cedar says."""
        ...


class Judge:
    """Decides under one bundle, and keeps the bundle's two evaluators honest.

    `later` runs a function behind the answer, in bounded number; it may decline by returning False.
    """

    def __init__(self, bundle: Bundle, *, alarm: Alarm, later: Callable[[Callable[[], object]], bool]) -> None:
        self.bundle = bundle
        self._alarm = alarm
        self._later = later
        self._shares = {tier.id: _threshold(tier.verify, tier.verify_share) for tier in bundle.catalogue.tiers.values()}
        self._never = not any(self._shares.values())

    def decide(self, asked: Asked, facts: Facts, now: int, decision_id: bytes) -> Decision:
        """The decision; refused as `unverified` where Cedar had to agree and did not."""
        bundle = self.bundle
        decision = decide(bundle, asked, facts, now)
        if self._never or bundle.evaluator == "cedar":
            return decision
        share = max((self._share(bundle, scope) for scope in decision.scopes), default=0)
        if decision.details:
            share = max(share, *(self._share(bundle, detail) for detail in decision.details))
        if share >= SHARE:
            return self._verified(bundle, asked, facts, now, decision_id, decision)
        if share > int.from_bytes(decision_id[-2:], "big"):
            self._later(lambda: self._recheck(bundle, asked, facts, now, decision_id, decision))
        return decision

    def _share(self, bundle: Bundle, scope: ScopeDecision) -> int:
        known = bundle.catalogue.scopes.get(scope.scope) or bundle.catalogue.details.get(scope.scope)
        return self._shares[known.tier] if known is not None else 0

    def _recheck(
        self, bundle: Bundle, asked: Asked, facts: Facts, now: int, decision_id: bytes, decision: Decision
    ) -> Decision | None:
        """Cedar's decision where it differs."""
        again = decide(bundle.on_cedar(), asked, facts, now)
        if _as_by(again, decision) == decision:
            return None
        self._alarm.disagreement(bundle.digest, decision_id, decision, again)
        if self.bundle is bundle:
            self.bundle = bundle.on_cedar()
        return again

    def _verified(
        self, bundle: Bundle, asked: Asked, facts: Facts, now: int, decision_id: bytes, decision: Decision
    ) -> Decision:
        if self._recheck(bundle, asked, facts, now, decision_id, decision) is None:
            return decision
        scopes, details = (
            tuple(ScopeDecision(scope=s.scope, granted=False, reason="unverified") for s in answers)
            for answers in (decision.scopes, decision.details)
        )
        return replace(
            decision,
            scopes=scopes,
            details=details,
            granted=False,
            claims=(),
            lifetime=None,
            binding=None,
            identity=None,
        )


def _as_by(again: Decision, decision: Decision) -> Decision:
    """`again`, as if the evaluators of `decision` had made it."""
    identity, beside = again.identity, decision.identity
    if identity is not None and beside is not None:
        identity = replace(identity, evaluator=beside.evaluator)
    return replace(again, evaluator=decision.evaluator, identity=identity)


def _threshold(verify: str, share: float) -> int:
    if verify == "always":
        return SHARE
    return min(SHARE - 1, max(1, round(share * SHARE))) if verify == "sampled" and share > 0 else 0

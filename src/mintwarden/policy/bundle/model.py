"""A loaded bundle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct

from mintwarden.model.catalogue import Catalogue
from mintwarden.model.values import Entity, EntityUid, Record
from mintwarden.policy.bundle.assertions import Assertion
from mintwarden.policy.cedar.rules import Rule, RuleSet
from mintwarden.policy.cedar.slice import Slice
from mintwarden.policy.derive import Derivation
from mintwarden.policy.plan import Plans

Evaluator = Literal["compiled", "cedar"]

Verdict = tuple[tuple[Rule, ...], tuple[Rule, ...], tuple[Rule, ...]]
"""Permits that hold, forbids that hold, rules that failed."""


class Approver(Struct, frozen=True, kw_only=True):
    """A person who may approve changes.

    Attributes:
        keys: OpenSSH public keys.
        user: who they are as a principal (`User::"<user>"`); without it they approve no exceptions, because nobody
            could tell that they do not approve their own.
    """

    name: str
    contact: str
    keys: tuple[str, ...]
    user: str = ""


class HigherRisk(Struct, frozen=True, kw_only=True):
    """The quorum of changes of higher risk, and the tiers whose scopes make a change one."""

    required: int = 0
    tiers: tuple[str, ...] = ()


class BreakGlass(Struct, frozen=True, kw_only=True):
    """How many must agree to govern with another version in an emergency, and for how long at most, in seconds."""

    required: int
    max: int


class Rollback(Struct, frozen=True, kw_only=True):
    """How many must agree to go back to the version before, up to `within` seconds after it was replaced."""

    required: int = 1
    within: int = 86_400


class Approvals(Struct, frozen=True, kw_only=True):
    """How many approvals a change needs, and whose count.

    Attributes:
        authors: who may be an author beside the approvers.
        max_age: how long a signature counts, in seconds.
        break_glass: None where there is none.
    """

    required: int
    approvers: tuple[Approver, ...]
    authors: tuple[Approver, ...] = ()
    max_age: int = 30 * 86_400
    higher_risk: HigherRisk = HigherRisk()
    break_glass: BreakGlass | None = None
    rollback: Rollback = Rollback()


class ScenarioDocument(Struct, frozen=True, kw_only=True):
    """One scenario of `tests/*.toml`, its shape checked, its shared facts merged in.

    Attributes:
        id: unique in the bundle.
        file, line: where it is written.
        why: what it is there to show.
        given, expect: as in `docs/bundle.md`.
    """

    id: str
    file: str
    line: int
    why: str
    given: Mapping[str, Any]
    expect: Mapping[str, Any]


class Bundle:
    """A checked bundle, compiled and ready to decide with. Immutable; its plans and slices are memos.

    Attributes:
        digest: `sha256:<hex>` over its canonical content.
        catalogue: what it declares.
        rules: every rule, compiled when first needed.
        schema: the Cedar schema that the rules were validated against.
        derivations: compiled expressions by claim name.
        approvals: who may approve changes to it.
        scenarios: its own tests.
        assertions: what must never be granted.
        plans: what a decision needs, per scope.
        evaluator: who answers: the compiled rules, or Cedar alone.
        observed_scopes: those, and the types of details, that a rule which is only observed could say something about.
        returning: when guardrails that are observed for a while count again, `Millis`, in order.
    """

    __slots__ = (
        "_changed", "_other", "approvals", "assertions", "catalogue", "derivations", "digest", "evaluator",
        "observed_scopes", "plans", "returning", "rules", "scenarios", "schema",
    )  # fmt: skip

    def __init__(
        self,
        *,
        digest: str,
        catalogue: Catalogue,
        rules: RuleSet,
        schema: str,
        derivations: Mapping[str, Derivation],
        approvals: Approvals,
        scenarios: tuple[ScenarioDocument, ...],
        assertions: tuple[Assertion, ...] = (),
        evaluator: Evaluator = "compiled",
        plans: Plans | None = None,
    ) -> None:
        self.digest = digest
        self.catalogue = catalogue
        self.rules = rules
        self.schema = schema
        self.derivations = derivations
        self.approvals = approvals
        self.scenarios = scenarios
        self.assertions = assertions
        self.evaluator: Evaluator = evaluator
        self.plans = plans or Plans(catalogue, rules, derivations)
        self.observed_scopes, self.returning = _observed(catalogue, rules)
        self._other: Bundle | None = None
        self._changed: dict[frozenset[str], Bundle] = {}

    def evaluate(
        self, slice_: Slice, principal: Entity, action: EntityUid, resource: Entity, context: Record
    ) -> Verdict:
        """What the slice's rules say, by the bundle's evaluator. Never raises."""
        if self.evaluator == "compiled":
            return slice_.evaluate(principal, action, resource, context)
        try:
            return slice_.oracle.evaluate(principal, action, resource, context)
        except Exception:  # noqa: BLE001 - INVARIANT: a question that Cedar cannot be asked is answered by no rule
            return (), (), slice_.rules

    def on_cedar(self) -> Bundle:
        """The same bundle answered by Cedar alone: the oracle, and what remains after a disagreement."""
        return self._under("cedar")

    def on_compiled(self) -> Bundle:
        """The same bundle answered by the compiled rules."""
        return self._under("compiled")

    def with_rules(self, rules: RuleSet) -> Bundle:
        """The same bundle with other rules: for what-if, and for tests that plant a wrong operator."""
        return self._copy(rules, self.evaluator, None)

    def at(self, now: int) -> Bundle:
        """The bundle as it is at `now` (`Millis`): guardrails that are observed for a while count when it is over."""
        back = frozenset(r.id for r in self._aside() if r.effect == "forbid" and _until(r) <= now)
        return self._counting(back) if back else self

    def with_observed(self) -> Bundle:
        """The same bundle with every rule counting that is only observed."""
        return self._counting(self.rules.aside)

    def _aside(self) -> Iterator[Rule]:
        return (self.rules.rules[rule_id] for rule_id in self.rules.aside)

    def _counting(self, rules: frozenset[str]) -> Bundle:
        found = self._changed.get(rules)
        if found is None:
            found = self._changed[rules] = self._copy(self.rules.counting(rules), self.evaluator, None)
        return found

    def _under(self, evaluator: Evaluator) -> Bundle:
        if evaluator == self.evaluator:
            return self
        if self._other is None:
            self._other = self._copy(self.rules, evaluator, self.plans)
            self._other._other = self  # noqa: SLF001 - its own twin
        return self._other

    def _copy(self, rules: RuleSet, evaluator: Evaluator, plans: Plans | None) -> Bundle:
        return Bundle(
            digest=self.digest,
            catalogue=self.catalogue,
            rules=rules,
            schema=self.schema,
            derivations=self.derivations,
            approvals=self.approvals,
            scenarios=self.scenarios,
            assertions=self.assertions,
            evaluator=evaluator,
            plans=plans,
        )


_NEVER = 1 << 63


def _until(rule: Rule) -> int:
    return _NEVER if rule.observed_until is None else rule.observed_until


def _observed(catalogue: Catalogue, rules: RuleSet) -> tuple[frozenset[str], tuple[int, ...]]:
    """What a bundle's `observed_scopes` and `returning` are."""
    scopes: set[str] = set()
    returning: set[int] = set()
    for rule in (rules.rules[rule_id] for rule_id in rules.aside):
        named = rule.head.scope or rule.head.detail
        if named:
            scopes.add(named)
        else:
            within = catalogue.audiences[rule.head.audience] if rule.head.audience else catalogue
            scopes.update(within.scopes, within.details)
        if rule.effect == "forbid" and rule.observed_until is not None:
            returning.add(rule.observed_until)
    return frozenset(scopes), tuple(sorted(returning))

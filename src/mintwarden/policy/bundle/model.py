"""A loaded bundle."""

from __future__ import annotations

from collections.abc import Mapping
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


class Approvals(Struct, frozen=True, kw_only=True):
    """How many approvals a change needs, and whose count."""

    required: int
    approvers: tuple[Approver, ...]


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
    """

    __slots__ = (
        "_other", "approvals", "assertions", "catalogue", "derivations", "digest", "evaluator", "plans", "rules",
        "scenarios", "schema",
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
        self._other: Bundle | None = None

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

"""The rules that can decide one action on one scope, ready to be asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from mintwarden.model.values import Entity, EntityUid, Record
from mintwarden.policy.cedar.compile import Test, compile_test
from mintwarden.policy.cedar.faults import Uncovered
from mintwarden.policy.cedar.operators import Operators, World
from mintwarden.policy.cedar.oracle import Oracle, Verdict, ask
from mintwarden.policy.cedar.rule import Rule

_new: Any = tuple.__new__
"""Makes a named tuple from a tuple, without the function that its own constructor is."""


class Compiler:
    """Compiles rules once each, when they are first needed; a memo over immutable rules."""

    def __init__(self, environment: Mapping[str, Any], operators: Operators) -> None:
        self._environment = environment
        self._operators = operators
        self._tests: dict[str, Test] = {}

    def test(self, rule: Rule) -> Test:
        """The rule as a function; one that asks Cedar where the rule is not covered."""
        found = self._tests.get(rule.id)
        if found is None:
            found = self._tests[rule.id] = self._compile(rule)
        return found

    def _compile(self, rule: Rule) -> Test:
        try:
            return compile_test(rule.template, self._environment, self._operators)
        except (Uncovered, RecursionError):
            return _asking_cedar(rule)


def _asking_cedar(rule: Rule) -> Test:
    def test(_p: EntityUid, _pa: object, _pg: object, _c: Record, world: World) -> bool:
        return ask(rule, world)

    return test


class _Entry(NamedTuple):
    test: Test
    rule: Rule
    is_permit: bool


class Slice:
    """The rules that can decide one action on one scope.

    INVARIANT: `evaluate` is asked about the slice's own action and a resource that is the slice's scope inside its
    audience: heads are compared with these once, when the slice is made.
    """

    def __init__(self, action: str, scope: str, rules: tuple[Rule, ...], compiler: Compiler) -> None:
        self.action = action
        self.scope = scope
        self.rules = rules
        self.oracle = Oracle(rules)
        self._compiler = compiler
        self._entries: dict[str, tuple[_Entry, ...]] = {}
        self._reads: dict[str, frozenset[str]] = {}

    def evaluate(self, principal: Entity, action: EntityUid, resource: Entity, context: Record) -> Verdict:
        """Which permits and forbids hold, and which rules could not be evaluated. Never raises."""
        uid, attrs, ancestors = principal
        world: World = _new(World, (principal, action, resource, context))
        permits: tuple[Rule, ...] = ()
        forbids: tuple[Rule, ...] = ()
        faulted: tuple[Rule, ...] = ()
        entries = self._entries.get(uid.type)
        if entries is None:
            entries = self._entries_for(uid.type)
        for test, rule, is_permit in entries:
            try:
                held = test(uid, attrs, ancestors, context, world)
            except Uncovered:
                held, failed = _ask(rule, world)
                if failed:
                    faulted += (rule,)
            # INVARIANT: whatever goes wrong inside a rule is that rule's fault and nobody else's. Compiled rules
            # let Python raise `KeyError` and `TypeError` where Cedar has an evaluation error.
            except Exception:  # noqa: BLE001
                faulted += (rule,)
                continue
            if held:
                if is_permit:
                    permits += (rule,)
                else:
                    forbids += (rule,)
        return permits, forbids, faulted

    def reads(self, principal_type: str) -> frozenset[str]:
        """The paths that its rules can read of a principal of that type and of the context."""
        found = self._reads.get(principal_type)
        if found is None:
            paths = (rule.reads for rule in self.rules_for(principal_type))
            found = self._reads[principal_type] = frozenset().union(*paths)
        return found

    def guard_reads(self, principal_type: str) -> frozenset[str]:
        """The same of its forbids alone."""
        paths = (rule.reads for rule in self.rules_for(principal_type) if rule.effect == "forbid")
        return frozenset[str]().union(*paths)

    def rules_for(self, principal_type: str) -> tuple[Rule, ...]:
        """The rules whose heads do not exclude principals of that type."""
        return tuple(r for r in self.rules if r.head.principal_type in (None, principal_type))

    def compile(self, principal_types: tuple[str, ...] = ("User", "Workload", "Agent")) -> None:
        """Compile now what `evaluate` would compile when first asked."""
        for principal_type in principal_types:
            self._entries_for(principal_type)

    def _entries_for(self, principal_type: str) -> tuple[_Entry, ...]:
        entries = tuple(
            _Entry(self._compiler.test(rule), rule, rule.effect == "permit") for rule in self.rules_for(principal_type)
        )
        self._entries[principal_type] = entries
        return entries


def _ask(rule: Rule, world: World) -> tuple[bool, bool]:
    try:
        return ask(rule, world), False
    except Exception:  # noqa: BLE001 - see `Slice.evaluate`
        return False, True

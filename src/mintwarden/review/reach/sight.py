"""What the rules behind some scopes can tell apart: the paths that they read and the obligations that they make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from cedarpy import pst

from mintwarden.policy.cedar.rules import Rule
from mintwarden.policy.cedar.tree import children
from mintwarden.policy.plan import ACT, IMPERSONATE, ISSUE

if TYPE_CHECKING:
    from mintwarden.policy.bundle.model import Bundle

ACTIONS = (ISSUE, ACT, IMPERSONATE)
ACTING = (ACT, IMPERSONATE)


class Sight:
    """What can be seen of a request by the rules of `scopes`, and by the claims that their audiences insist on.

    Attributes:
        issuing: what the rules about the subject of the first of `scopes`, and its claims, may read.
        reads: every path that a condition, or a claim whose absence refuses, may read.
        acting: of these, what the rules about actors may read.
        demands: obligation to the values that some permit, or an audience, demands.
    """

    def __init__(self, bundle: Bundle, scopes: Iterable[str]) -> None:
        self._sees: dict[str, bool] = {}
        self.rules: dict[str, Rule] = {}
        self.demands: dict[str, set[str]] = {}
        reads: set[str] = set()
        acting: set[str] = set()
        issuing: list[frozenset[str]] = []
        for name in dict.fromkeys(scopes):
            plan = bundle.plans.scope(name)
            own: set[str] = set()
            for action in ACTIONS:
                for rule in plan.slice(action).rules:
                    self.rules[rule.id] = rule
                    reads |= rule.reads
                    if action in ACTING:
                        acting |= rule.reads
                    else:
                        own |= rule.reads
            if plan.audience.binding:
                self.demands.setdefault("require_binding", set()).add(plan.audience.binding)
            for claim in bundle.plans.claims(plan.audience):
                if claim.claim.absent == "refuse" and claim.wanted_by((name,)):
                    own |= claim.derivation.reads if claim.derivation is not None else {claim.claim.origin}
            reads |= own
            issuing.append(frozenset(own))
        for rule in self.rules.values():
            if rule.effect == "permit":
                for demand in bundle.plans.terms(rule).demands:
                    self.demands.setdefault(demand.name, set()).add(demand.value)
        self.issuing, self.reads, self.acting = issuing[0], frozenset(reads), frozenset(acting)

    def sees(self, path: str) -> bool:
        """Whether a condition may depend on what stands at `path`."""
        found = self._sees.get(path)
        if found is None:
            found = self._sees[path] = touches(self.reads, path)
        return found

    def words(self, path: str) -> list[str]:
        """Every text that stands in a rule that may read `path`: among them all that it can be compared with."""
        found = {word for rule in self._seeing(path) for word in _texts(rule)}
        return sorted(found)

    def networks(self, path: str) -> list[str]:
        """Every address and network that stands in a rule that may read `path`."""
        found = {word for rule in self._seeing(path) for clause in rule.template.clauses for word in _ips(clause.expr)}
        return sorted(found)

    def demanded(self, name: str) -> list[str]:
        """The words that obligations of that name demand, one by one."""
        return sorted({word for value in self.demands.get(name, ()) for word in value.split()})

    def _seeing(self, path: str) -> Iterator[Rule]:
        return (rule for rule in self.rules.values() if touches(rule.reads, path))


def touches(reads: Iterable[str], path: str) -> bool:
    """Whether any of `reads` is `path`, above it or below it."""
    return any(path == r or path.startswith(f"{r}.") or r.startswith(f"{path}.") for r in reads)


def _texts(rule: Rule) -> Iterator[str]:
    for clause in rule.template.clauses:
        yield from _strings(clause.expr)


def _strings(expr: pst.Expr) -> Iterator[str]:
    if isinstance(expr, pst.StringLit):
        yield expr.value
    for child in children(expr):
        yield from _strings(child)


def _ips(expr: pst.Expr) -> Iterator[str]:
    if isinstance(expr, pst.UnaryOp) and expr.op == "ip" and isinstance(expr.arg, pst.StringLit):
        yield expr.arg.value
    for child in children(expr):
        yield from _ips(child)

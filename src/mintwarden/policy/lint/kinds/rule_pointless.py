"""Rules that another rule makes pointless: it covers all that they cover, and demands no more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from cedarpy import pst

from mintwarden.policy.cedar.rules import Rule
from mintwarden.policy.cedar.tree import children
from mintwarden.policy.lint.constant import always, demands_of
from mintwarden.policy.lint.finding import Hit, Kind
from mintwarden.policy.lint.subject import Subject
from mintwarden.policy.obligations import terms_of

Demands = Mapping[int, pst.Expr]
"""A rule's demands by number; the same demand has the same number in every rule."""

_NO_DEMAND = -1
_MAY_FAIL = frozenset(
    {"add", "sub", "mul", "neg", "offset", "duration_since", "decimal", "ip", "datetime", "duration", "get_tag"}
)


def look(subject: Subject) -> Iterator[Hit]:
    """Each rule that some other rule of the same effect makes pointless; of two equal ones, the later by id."""
    demands = _demands(subject)
    rivals = _Rivals(subject, demands)
    for rule in subject.rules:
        for other in rivals.of(rule):
            if not _covers(subject, other, rule) or not _asks_no_more(other, rule, demands):
                continue
            is_same = _covers(subject, rule, other) and demands[rule.id].keys() == demands[other.id].keys()
            if is_same and _asks_no_more(rule, other, demands) and rule.id < other.id:
                continue
            message = f"rule `{rule.id}` changes nothing: `{other.id}` covers it"
            yield Hit(rule, message, "remove it, or narrow the other")
            break


def _demands(subject: Subject) -> Mapping[str, Demands]:
    numbers: dict[pst.Expr, int] = {}
    return {
        rule.id: {numbers.setdefault(d, len(numbers)): d for d in demands_of(rule.template) if not always(d)}
        for rule in subject.rules
    }


class _Rivals:
    """Finds the rules of one effect whose demands are all among those of a rule, without looking at most others.

    A rule stands under its head and under the one of its demands that fewest rules share: only rules that have that
    demand can be covered by it.
    """

    def __init__(self, subject: Subject, demands: Mapping[str, Demands]) -> None:
        self._subject = subject
        self._demands = demands
        shared = Counter(number for own in demands.values() for number in own)
        self._found: dict[tuple[str, str, str, str, int], list[Rule]] = {}
        for rule in subject.rules:
            rarest = min(demands[rule.id], key=lambda number: (shared[number], number), default=_NO_DEMAND)
            key = (rule.effect, rule.head.scope, rule.head.detail, rule.head.audience, rarest)
            self._found.setdefault(key, []).append(rule)

    def of(self, rule: Rule) -> Iterator[Rule]:
        """The others that hold wherever the rule does and may have a head as wide: its own, its audience, or all."""
        scope, detail, audience = rule.head.scope, rule.head.detail, rule.head.audience
        whole = _audience_of(self._subject, rule)
        own = self._demands[rule.id]
        for head in dict.fromkeys(((scope, detail, audience), ("", "", whole), ("", "", ""))):
            for number in (_NO_DEMAND, *own):
                for other in self._found.get((rule.effect, *head, number), ()):
                    # A rule that is only observed stands in for none that counts.
                    counts = rule.is_observed or not other.is_observed
                    if counts and other is not rule and self._demands[other.id].keys() <= own.keys():
                        yield other


def _covers(subject: Subject, wide: Rule, narrow: Rule) -> bool:
    """Whether the head of `wide` covers all that the head of `narrow` does, the principal aside."""
    if wide.head.actions is not None and (narrow.head.actions is None or not narrow.head.actions <= wide.head.actions):
        return False
    if wide.head.kind not in ("", narrow.head.kind):
        return False
    if wide.head.scope or wide.head.detail:
        return (wide.head.scope, wide.head.detail) == (narrow.head.scope, narrow.head.detail)
    if narrow.head.detail and wide.effect == "permit":
        return False  # a permit for an audience grants no detail
    return wide.head.is_global or wide.head.audience == _audience_of(subject, narrow)


def _audience_of(subject: Subject, rule: Rule) -> str:
    head, catalogue = rule.head, subject.catalogue
    if head.detail:
        return catalogue.details[head.detail].audience
    return head.audience or (catalogue.scopes[head.scope].audience if head.scope else "")


def _asks_no_more(wide: Rule, narrow: Rule, demands: Mapping[str, Demands]) -> bool:
    """Permits: no obligation and no shorter life of its own. Forbids: `narrow` refuses by no error of its own."""
    if wide.effect == "forbid":
        shared = demands[wide.id]
        return not any(_may_fail(demand) for number, demand in demands[narrow.id].items() if number not in shared)
    ours, theirs = terms_of(wide.annotations), terms_of(narrow.annotations)
    if ours.max_ttl is not None and (theirs.max_ttl is None or theirs.max_ttl > ours.max_ttl):
        return False
    return frozenset(ours.demands) <= frozenset(theirs.demands)


def _may_fail(expr: pst.Expr) -> bool:
    if isinstance(expr, pst.UnaryOp | pst.BinaryOp) and expr.op in _MAY_FAIL:
        return True
    return any(_may_fail(child) for child in children(expr))


KIND = Kind(id="rule-pointless", severity="warning", summary="A rule that another rule makes pointless", look=look)

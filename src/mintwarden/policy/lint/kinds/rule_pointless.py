"""Rules that another rule makes pointless: it covers all that they cover, and demands no more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cedarpy import pst

from mintwarden.policy.cedar.rules import Rule
from mintwarden.policy.cedar.tree import children
from mintwarden.policy.lint.constant import always, demands_of
from mintwarden.policy.lint.finding import Hit, Kind
from mintwarden.policy.lint.subject import Subject
from mintwarden.policy.obligations import terms_of

_MAY_FAIL = frozenset(
    {"add", "sub", "mul", "neg", "offset", "duration_since", "decimal", "ip", "datetime", "duration", "get_tag"}
)


def look(subject: Subject) -> Iterator[Hit]:
    """Each rule that some other rule of the same effect makes pointless; of two equal ones, the later by id."""
    demands = {rule.id: frozenset(d for d in demands_of(rule.template) if not always(d)) for rule in subject.rules}
    by_head = _by_head(subject)
    for rule in subject.rules:
        for other in _rivals(subject, by_head, rule):
            is_covered = _covers(subject, other, rule) and demands[other.id] <= demands[rule.id]
            if not is_covered or not _asks_no_more(other, rule, demands[rule.id] - demands[other.id]):
                continue
            is_same = _covers(subject, rule, other) and demands[rule.id] == demands[other.id]
            if is_same and _asks_no_more(rule, other, frozenset()) and rule.id < other.id:
                continue
            yield Hit(
                rule, f"rule `{rule.id}` changes nothing: `{other.id}` covers it", "remove it, or narrow the other"
            )
            break


def _by_head(subject: Subject) -> Mapping[tuple[str, str], list[Rule]]:
    found: dict[tuple[str, str], list[Rule]] = {}
    for rule in subject.rules:
        found.setdefault((rule.head.scope, rule.head.audience), []).append(rule)
    return found


def _rivals(subject: Subject, by_head: Mapping[tuple[str, str], list[Rule]], rule: Rule) -> Iterator[Rule]:
    """The rules whose heads could cover this one's: of its scope, of its audience, of everything."""
    scope, audience = rule.head.scope, rule.head.audience
    own = audience or (subject.catalogue.scopes[scope].audience if scope else "")
    for head in dict.fromkeys(((scope, audience), ("", own), ("", ""))):
        for other in by_head.get(head, ()):
            if other.effect == rule.effect and other.id != rule.id:
                yield other


def _covers(subject: Subject, wide: Rule, narrow: Rule) -> bool:
    """Whether the head of `wide` covers all that the head of `narrow` does, the principal aside."""
    if wide.head.actions is not None and (narrow.head.actions is None or not narrow.head.actions <= wide.head.actions):
        return False
    if wide.head.is_global:
        return True
    if wide.head.scope:
        return wide.head.scope == narrow.head.scope
    own = narrow.head.audience or (subject.catalogue.scopes[narrow.head.scope].audience if narrow.head.scope else "")
    return wide.head.audience == own


def _asks_no_more(wide: Rule, narrow: Rule, extra: frozenset[pst.Expr]) -> bool:
    """Permits: no obligation and no shorter life of its own. Forbids: `narrow` refuses by no error of its own."""
    if wide.effect == "forbid":
        return not any(_may_fail(demand) for demand in extra)
    ours, theirs = terms_of(wide.annotations), terms_of(narrow.annotations)
    if ours.max_ttl is not None and (theirs.max_ttl is None or theirs.max_ttl > ours.max_ttl):
        return False
    return frozenset(ours.demands) <= frozenset(theirs.demands)


def _may_fail(expr: pst.Expr) -> bool:
    if isinstance(expr, pst.UnaryOp | pst.BinaryOp) and expr.op in _MAY_FAIL:
        return True
    return any(_may_fail(child) for child in children(expr))


KIND = Kind(id="rule-pointless", severity="warning", summary="A rule that another rule makes pointless", look=look)

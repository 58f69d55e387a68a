"""Examples of what a replay found: single decisions with why they came out so, before and after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.ledger.ports import EntryReader, StoredEntry, SubjectKeys
from mintwarden.model.ids import decision_text
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from mintwarden.policy.explain import explain
from mintwarden.policy.explained import (
    ChangeShown,
    ConditionShown,
    Explanation,
    FactShown,
    RuleShown,
    ScopeExplained,
)
from mintwarden.review.cause import Cause
from mintwarden.review.impact.kinds import Change, changes_of, public_bound
from mintwarden.review.passage import Question
from mintwarden.review.replay import Recorded, Replayed, Replayer, read_decision


class Show(Struct, frozen=True):
    """What may be shown of people: who they are, and what is true about them."""

    subjects: bool = False
    values: bool = False


class ClaimChange(Struct, frozen=True):
    """A claim of which the value is another one; the values are None unless they may be shown."""

    name: str
    change: str
    before: Any = None
    after: Any = None


class Example(Struct, frozen=True, kw_only=True):
    """One decision, before and after.

    Attributes:
        subject: whom it is about; empty unless that may be shown.
        before, after: why; None where it cannot be told (any more).
        claims: what changed about the claims.
        note: why it was not replayed, where it was not.
    """

    leaf: int
    decision: str
    at: int = 0
    client: str = ""
    audience: str = ""
    subject: str = ""
    kinds: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    claims: tuple[ClaimChange, ...] = ()
    before: Explanation | None = None
    after: Explanation | None = None
    note: str = ""


async def examples(
    leaves: Iterable[int], *, entries: EntryReader, keys: SubjectKeys, replayer: Replayer, show: Show
) -> Mapping[int, Example]:
    """The decisions at these leaves, replayed once more and explained, by leaf."""
    found: dict[int, Example] = {}
    for leaf in sorted(set(leaves)):
        for stored in await entries.by_index(leaf, 1):
            known = await keys.by_ids([stored.key_id] if stored.key_id else [])
            found[leaf] = _example(leaf, stored, known.get(stored.key_id), replayer, show)
    return found


def _example(leaf: int, stored: StoredEntry, key: tuple[str, bytes] | None, replayer: Replayer, show: Show) -> Example:
    name = decision_text(stored.decision_id)
    was = read_decision(stored)
    if was is None or isinstance(was, Cause):
        return Example(leaf=leaf, decision=name, note=str(was or ""))
    replayed = replayer.replay([Recorded(was, stored, key)])[0]
    about: dict[str, Any] = {
        "leaf": leaf, "decision": name, "at": was.at, "client": was.client, "audience": was.audience,
        "subject": key[0] if key is not None and show.subjects else "",
    }  # fmt: skip
    if isinstance(replayed, Cause):
        return Example(**about, note=str(replayed))
    changes = changes_of(was, replayed.claims, replayed.now)
    passage = replayer.passage(was.bundle)
    before = None if passage is None else _why(passage.old, replayed.recorded, was.at)
    return Example(
        **about,
        kinds=tuple(change.kind for change in changes),
        scopes=tuple(dict.fromkeys(scope for change in changes for scope in change.scopes)),
        claims=tuple(_claims(changes, replayed, show)),
        before=None if before is None else redacted(before, show),
        after=redacted(_why(replayer.candidate, replayed.question, was.at), show),
    )


def _why(bundle: Bundle, question: Question, at: int) -> Explanation:
    asked, facts = question
    return explain(bundle, asked, facts, at, decide(bundle, asked, facts, at))


def _claims(changes: Iterable[Change], replayed: Replayed, show: Show) -> Iterable[ClaimChange]:
    after = {claim.name: claim.value for claim in replayed.now.claims}
    for name in (name for change in changes for name in change.claims):
        what = "added" if name not in replayed.claims else "another value" if name in after else "left out"
        if show.values:
            yield ClaimChange(name, what, replayed.claims.get(name), after.get(name))
        else:
            yield ClaimChange(name, what)


# -- what is not shown -----------------------------------------------------------------------------------------------


def redacted(whole: Explanation, show: Show) -> Explanation:
    """The explanation without what may not be shown: names of people, values of facts and claims."""
    if not show.subjects:
        actors = tuple("" if actor.startswith("User:") else actor for actor in whole.actors)
        subject = "" if whole.subject.startswith("User:") else whole.subject
        whole = replace(whole, subject=subject, actors=actors)
    if show.values:
        return whole
    return replace(
        whole,
        scopes=tuple(_scope(scope) for scope in whole.scopes),
        details=tuple(_scope(detail) for detail in whole.details),
        claims=tuple(replace(claim, value=None) for claim in whole.claims),
        bounds=tuple(replace(bound, name=public_bound(bound.name)) for bound in whole.bounds),
    )


def _scope(scope: ScopeExplained) -> ScopeExplained:
    route = scope.route
    if route is not None:
        route = replace(route, rule=_rule(route.rule), conditions=tuple(_condition(c) for c in route.conditions))
    return replace(
        scope,
        carried=_rules(scope.carried),
        deciding=_rules(scope.deciding),
        faults=_rules(scope.faults),
        route=route,
        lacking=tuple(_fact(fact) for fact in scope.lacking),
        # A change is told with the values that it would take.
        change=None if scope.change is None else tuple(ChangeShown(change.about, "") for change in scope.change),
        mapped=(),
        exceptions=(),
        would=None if scope.would is None else _scope(scope.would),
    )


def _rules(rules: Sequence[RuleShown]) -> tuple[RuleShown, ...]:
    return tuple(_rule(rule) for rule in rules)


def _rule(rule: RuleShown) -> RuleShown:
    return replace(rule, facts=tuple(_fact(fact) for fact in rule.facts))


def _condition(condition: ConditionShown) -> ConditionShown:
    return replace(
        condition,
        parts=tuple(_condition(part) for part in condition.parts),
        facts=tuple(_fact(fact) for fact in condition.facts),
        fault="",
    )


def _fact(fact: FactShown) -> FactShown:
    return replace(fact, value=None)

"""Which rules, and which conditions inside them, a bundle's scenarios have seen both true and false."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cedarpy import pst
from msgspec import Struct

from mintwarden.policy.cedar.render import render
from mintwarden.policy.cedar.rules import Rule
from mintwarden.policy.cedar.walk import Condition, goals_of, walk
from mintwarden.review.watch import Watched

Step = tuple[int, ...]


class Covered(Struct, frozen=True, kw_only=True):
    """One thing that can be true or false, and whether it was seen so: a rule, or a condition in it (its `text`).

    Only what decided counts: a condition is seen when everything before it let Cedar look at it.
    """

    text: str
    true: bool
    false: bool

    @property
    def is_whole(self) -> bool:
        """Both were seen."""
        return self.true and self.false


class RuleCoverage(Struct, frozen=True, kw_only=True):
    """What the scenarios have seen of one rule. `rule` is the rule as a whole: did it ever hold, did it ever not."""

    id: str
    file: str
    line: int
    rule: Covered
    conditions: tuple[Covered, ...]


def coverage(rules: Iterable[Rule], watched: Iterable[Watched]) -> tuple[RuleCoverage, ...]:
    """Of every rule, in order of file and line."""
    counters = {rule.id: _Counter(rule) for rule in rules}
    for one in watched:
        for question in one.questions:
            for rule in question.rules:
                counter = counters[rule.id]
                if not counter.is_whole:
                    counter.take(walk(rule, question.world).conditions)
    return tuple(sorted((counter.result() for counter in counters.values()), key=lambda r: (r.file, r.line)))


class _Counter:
    """What was seen of one rule. Its principal's type is left out: others are not even asked."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        goals = goals_of(rule.template)
        self._skipped = int(bool(goals) and rule.head.principal_type is not None and isinstance(goals[0], pst.Is))
        self._texts: dict[Step, str] = {
            (index,): render(goal) for index, goal in enumerate(goals) if index >= self._skipped
        }
        self._seen: dict[Step, set[bool]] = {step: set() for step in self._texts}
        self._held: set[bool] = set()

    @property
    def is_whole(self) -> bool:
        """There is nothing left to see, as far as is known by now."""
        return len(self._held) == 2 and all(len(truths) == 2 for truths in self._seen.values())

    def take(self, conditions: tuple[Condition, ...]) -> None:
        self._held.add(all(condition.truth == "true" for condition in conditions))
        for index, condition in enumerate(conditions):
            if condition.reached and index >= self._skipped:
                self._look(condition, (index,))

    def _look(self, condition: Condition, step: Step) -> None:
        """The condition itself if it is a plain test, else those of its parts that Cedar would look at."""
        parts = list(_looked_at(condition))
        if parts:
            # What is made of others says nothing that they do not.
            self._texts.pop(step, None)
            self._seen.pop(step, None)
            for index, part in enumerate(condition.parts):
                self._texts.setdefault((*step, index), part.text)
                self._seen.setdefault((*step, index), set())
            for index in parts:
                self._look(condition.parts[index], (*step, index))
        elif condition.truth != "fault":
            self._seen.setdefault(step, set()).add(condition.truth == "true")

    def result(self) -> RuleCoverage:
        rule = self._rule
        return RuleCoverage(
            id=rule.id,
            file=rule.file,
            line=rule.line,
            rule=Covered(text=rule.id, true=True in self._held, false=False in self._held),
            conditions=tuple(
                Covered(text=self._texts[step], true=True in truths, false=False in truths)
                for step, truths in sorted(self._seen.items())
            ),
        )


def _looked_at(condition: Condition) -> Iterator[int]:
    """The indices of the parts that Cedar evaluates, given what they come to."""
    if condition.kind == "if":
        yield 0
        truth = condition.parts[0].truth
        if truth != "fault":
            yield 1 if truth == "true" else 2
        return
    goes_on = {"all": "true", "any": "false"}.get(condition.kind)
    for index, part in enumerate(condition.parts):
        yield index
        if part.truth != goes_on:
            return

"""Do a bundle's scenarios notice when a rule is wrong: mutants, and which of them no scenario kills."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.cedar.compile import Test, compile_test, environment_of
from mintwarden.policy.cedar.faults import Uncovered
from mintwarden.policy.cedar.operators import STANDARD, World
from mintwarden.policy.cedar.rules import Rule
from mintwarden.policy.cedar.walk import truth_of
from mintwarden.review.mutate import Mutant, mutants_of
from mintwarden.review.watch import Watched

Answer = Literal["true", "false", "fault"]


class Mutation(Struct, frozen=True):
    """One mutant and the first scenario that notices it; empty when it survives."""

    mutant: Mutant
    killed_by: str


def run_mutants(bundle: Bundle, watched: Sequence[Watched]) -> Iterator[Mutation]:
    """Every mutant of every rule, in order of rule id; all scenarios must pass under `bundle` itself.

    A scenario is decided again only if the mutant answers one of its questions otherwise, or reads less where facts
    were wanting, or holds and leans on something else: elsewhere the decision is the same.
    """
    trial = Trial(bundle, watched)
    for mutant in mutants_in(bundle):
        yield Mutation(mutant, trial.killer(mutant))


def mutants_in(bundle: Bundle) -> tuple[Mutant, ...]:
    """Every mutant of every rule, in order of rule id, the same in every process."""
    return tuple(mutant for rule in bundle.rules.rules.values() for mutant in mutants_of(rule))


class Trial:
    """Tries mutants of one bundle."""

    def __init__(self, bundle: Bundle, watched: Sequence[Watched]) -> None:
        self._bundle = bundle
        self._lacking = tuple(one for one in watched if one.lacks_facts)
        self._asked: dict[str, list[tuple[Watched, World]]] = {}
        self._answers: dict[str, list[Answer]] = {}
        self._environment = environment_of(STANDARD)
        for one in watched:
            for question in one.questions:
                for rule in question.rules:
                    self._asked.setdefault(rule.id, []).append((one, question.world))

    def killer(self, mutant: Mutant) -> str:
        """The id of the first scenario that comes out otherwise, or empty."""
        chosen = list(self._touched(mutant))
        if not chosen:
            return ""
        others = [rule for rule in self._bundle.rules.rules.values() if rule is not mutant.original]
        rules = [*others, *([mutant.changed] if mutant.changed is not None else [])]
        mutated = self._bundle.with_rules(self._bundle.rules.having(rules)).on_compiled()
        return next((one.scenario.id for one in chosen if one.under(mutated)), "")

    def _touched(self, mutant: Mutant) -> Iterator[Watched]:
        rule, changed = mutant.original, mutant.changed
        asked = self._asked.get(rule.id, [])
        before = self._answers_of(rule, asked)
        if changed is None:
            after: list[Answer] = ["false"] * len(asked)
        elif changed.template is rule.template:
            # Other obligations: they matter wherever the rule holds.
            after = ["false" if answer == "true" else answer for answer in before]
        else:
            after = self._answer(changed, asked)
            if changed.leans_on != rule.leans_on:
                # Where it holds, what its route leans on may end earlier or later.
                after = ["false" if old == new == "true" else new for old, new in zip(before, after, strict=True)]
        seen: set[str] = set()
        for (one, _), old, new in zip(asked, before, after, strict=True):
            if old != new and one.scenario.id not in seen:
                seen.add(one.scenario.id)
                yield one
        if changed is None or changed.reads != rule.reads:
            yield from (one for one in self._lacking if one.scenario.id not in seen)

    def _answers_of(self, rule: Rule, asked: list[tuple[Watched, World]]) -> list[Answer]:
        found = self._answers.get(rule.id)
        if found is None:
            found = self._answers[rule.id] = self._answer(rule, asked)
        return found

    def _answer(self, rule: Rule, asked: list[tuple[Watched, World]]) -> list[Answer]:
        try:
            test = compile_test(rule.template, self._environment, STANDARD)
        except (Uncovered, RecursionError):
            return [truth_of(rule, world) for _, world in asked]
        return [_answer(test, rule, world) for _, world in asked]


def _answer(test: Test, rule: Rule, world: World) -> Answer:
    uid, attrs, ancestors = world.principal
    try:
        return "true" if test(uid, attrs, ancestors, world.context, world) else "false"
    except Uncovered:
        return truth_of(rule, world)
    except Exception:  # noqa: BLE001 - compiled rules let Python raise where Cedar has an evaluation error
        return "fault"

"""What a bundle's scenarios say, see and would notice, for `policy test` and for the administration API."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from mintwarden.app.reviews.spread import Spread, spread
from mintwarden.policy.bundle.model import Bundle
from mintwarden.review.coverage import RuleCoverage, coverage
from mintwarden.review.mutants import Mutation, mutants_in, run_mutants
from mintwarden.review.scenarios import ScenarioResult, run_scenarios
from mintwarden.review.watch import Watched, watch_scenarios


class Outcome(Struct, frozen=True, kw_only=True):
    """Everything that the run found; `mutations` is None when none were made."""

    results: tuple[ScenarioResult, ...]
    rules: tuple[RuleCoverage, ...]
    mutations: tuple[Mutation, ...] | None
    wants_mutants: bool
    at_least: int

    @property
    def score(self) -> float:
        """Per cent of the mutants that some scenario noticed."""
        made = self.mutations or ()
        return 100 * sum(1 for one in made if one.killed_by) / len(made) if made else 100.0

    @property
    def ok(self) -> bool:
        """Every scenario passed, and enough mutants were noticed."""
        return all(result.passed for result in self.results) and self.score >= self.at_least


def tried(
    bundle: Bundle,
    texts: Mapping[str, str],
    *,
    mutants: bool,
    at_least: int,
    workers: int = 1,
    progress: Callable[[int], None] = lambda _made: None,
) -> Outcome:
    """Run the scenarios; with `mutants`, change each rule in one place too. `progress` hears how many were tried.

    None are made while a scenario fails. `texts` are the bundle's own, from which `workers` processes make it; with one
    it is done here. What comes out is the same.
    """
    with contextlib.ExitStack() as stack:
        apart = stack.enter_context(spread(texts, workers)) if workers > 1 else None
        results = run_scenarios(bundle) if apart is None else apart.scenarios(len(bundle.scenarios))
        watched = tuple(watch_scenarios(bundle))
        made: tuple[Mutation, ...] | None = None
        if mutants and all(result.passed for result in results):
            made = _mutated(bundle, watched, apart, progress)
    return Outcome(
        results=results,
        rules=coverage(bundle.rules.rules.values(), watched),
        mutations=made,
        wants_mutants=mutants,
        at_least=at_least,
    )


def _mutated(
    bundle: Bundle, watched: Sequence[Watched], apart: Spread | None, progress: Callable[[int], None]
) -> tuple[Mutation, ...]:
    if apart is not None:
        made = mutants_in(bundle)
        return tuple(map(Mutation, made, apart.killers(len(made), progress)))
    found: list[Mutation] = []
    for one in run_mutants(bundle, watched):
        found.append(one)
        progress(len(found))
    return tuple(found)


def results_json(results: Sequence[ScenarioResult]) -> list[dict[str, Any]]:
    """What came of each scenario, for a machine."""
    return [
        {
            "id": result.id,
            "file": result.file,
            "line": result.line,
            "passed": result.passed,
            "differences": [msgspec.structs.asdict(difference) for difference in result.differences],
        }
        for result in results
    ]


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The outcome for a machine; names are fixed and documented in `docs/policy-test.md`."""
    told: dict[str, Any] = {
        "ok": outcome.ok,
        "scenarios": results_json(outcome.results),
        "coverage": [
            {
                "rule": rule.id,
                "file": rule.file,
                "line": rule.line,
                "held": rule.rule.true,
                "did_not": rule.rule.false,
                "conditions": [msgspec.structs.asdict(condition) for condition in rule.conditions],
            }
            for rule in outcome.rules
        ],
    }
    if outcome.mutations is not None:
        told["score"] = round(outcome.score, 1)
        told["mutants"] = [
            {
                "rule": one.mutant.original.id,
                "way": one.mutant.way,
                "what": one.mutant.what,
                "killed_by": one.killed_by,
                "write": "" if one.killed_by else one.mutant.write,
            }
            for one in outcome.mutations
        ]
    return told

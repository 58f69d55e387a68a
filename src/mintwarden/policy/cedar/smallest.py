"""Finds the smallest change of facts that makes rules answer as wanted, and tries it before saying so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from cedarpy import pst

from mintwarden.policy.cedar.change import Change, apply_changes
from mintwarden.policy.cedar.operators import World
from mintwarden.policy.cedar.rule import Rule
from mintwarden.policy.cedar.solve import NOTHING, Changes, Solver, order
from mintwarden.policy.cedar.walk import Walker, goals_of, truth_of

Goal = tuple[Rule, bool]
"""A rule, and whether it should hold."""
Check = Callable[[World, tuple[Change, ...]], bool]
"""Whether the changes do it: given the changed world and what was changed."""

ROUNDS = 3
TRIES = 300


def smallest_change(rule: Rule, world: World, *, check: Check | None = None) -> tuple[Change, ...] | None:
    """The least that makes `rule` hold in `world`; empty if it does, None if no way was found.

    Never a guess: what is returned was applied, and the rule (and `check`, if given) held.
    """
    return smallest_change_for([(rule, True)], world, check=check)


def smallest_change_for(
    goals: Sequence[Goal], world: World, *, check: Check | None = None
) -> tuple[Change, ...] | None:
    """The least that gives every rule its wanted answer at once, faults counting as neither."""
    found = _Search(goals, world, check).run()
    return None if found is None else tuple(sorted(found, key=lambda change: (change.cost, change.text)))


class _Search:
    """Tries ways in the order of their cost; a way that only helps is the start of another round."""

    def __init__(self, goals: Sequence[Goal], world: World, check: Check | None) -> None:
        self._goals = goals
        self._world = world
        self._check = check
        self._tries = TRIES

    def run(self) -> Changes | None:
        starts: list[Changes] = [NOTHING]
        seen: set[Changes] = {NOTHING}
        if self._does_it(NOTHING):
            return NOTHING
        for _ in range(ROUNDS):
            partial: list[Changes] = []
            for changes in sorted(self._next(starts), key=order):
                if changes in seen or self._tries <= 0:
                    continue
                seen.add(changes)
                if self._does_it(changes):
                    return self._pruned(changes)
                partial.append(changes)
            starts = partial
        return None

    def _next(self, starts: Sequence[Changes]) -> Iterator[Changes]:
        for start in starts:
            world = apply_changes(self._world, _in_order(start))
            if world is None:
                continue
            solver = Solver(Walker(world))
            for more in solver.all_of(self._wanted()):
                yield _merged(start, more)
            for way in self._one_by_one(solver):
                yield _merged(start, way)

    def _wanted(self) -> Iterator[tuple[pst.Expr, bool]]:
        for rule, want in self._goals:
            goals = goals_of(rule.template)
            if want:
                yield from ((goal, True) for goal in goals)
            elif goals:
                yield _conjunction(goals), False

    def _one_by_one(self, solver: Solver) -> Iterator[Changes]:
        """Ways for the first condition alone that is not as wanted: a later one may only become clear then."""
        for expr, want in self._wanted():
            ways = [way for way in solver.best(expr, want) if way]
            if ways:
                yield from ways[:4]
                return

    def _does_it(self, changes: Changes) -> bool:
        self._tries -= 1
        ordered = _in_order(changes)
        world = apply_changes(self._world, ordered)
        if world is None:
            return False
        if any(truth_of(rule, world) != ("true" if want else "false") for rule, want in self._goals):
            return False
        return self._check is None or self._check(world, ordered)

    def _pruned(self, changes: Changes) -> Changes:
        """Without the changes that are not needed, the dearest tried first."""
        for change in sorted(changes, key=lambda change: (-change.cost, change.text)):
            fewer = changes - {change}
            if self._does_it(fewer):
                changes = fewer
        return changes


def _conjunction(goals: Sequence[pst.Expr]) -> pst.Expr:
    whole = goals[0]
    for goal in goals[1:]:
        whole = pst.BinaryOp("and", whole, goal)
    return whole


def _in_order(changes: Changes) -> tuple[Change, ...]:
    """Whole values before their parts, so that a part is not overwritten."""
    return tuple(sorted(changes, key=lambda change: (len(change.path), change.kind != "set", change.text)))


def _merged(start: Changes, more: Changes) -> Changes:
    """Both; where both set the same fact, the later one."""
    again = {change.path for change in more if change.kind in ("set", "other", "present", "unset")}
    return frozenset(change for change in start if change.path not in again) | more

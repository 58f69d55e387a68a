"""One question for the solver: a model, a proof that there is none, or neither."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import z3

from mintwarden.policy.prove.request import Request
from mintwarden.policy.prove.terms import Formula

EFFORT = 20_000_000
"""What the solver may spend on one question, in its own units: the same on any machine."""
_EARLY, _LATE = 1_700_000_000_000, 4_000_000_000_000


class GaveUp(Exception):
    """The solver has neither a proof nor an example."""


def model_of(parts: Iterable[Formula], requests: Iterable[Request]) -> z3.ModelRef | None:
    """A model, an everyday one if there is one; None when there is none. Raises `GaveUp`."""
    asserted = [part for part in parts if not isinstance(part, bool)]
    if _solver(asserted).check() == z3.unsat:
        return None
    # INVARIANT: an example does not depend on what was asked before: it is looked for in a context of its own.
    alone = z3.Context()
    solver = _solver([part.translate(alone) for part in asserted], alone)
    if solver.check() != z3.sat:
        raise GaveUp
    model = solver.model()
    solver.add([part.translate(alone) for request in requests for part in _everyday(request)])
    found = solver.model() if solver.check() == z3.sat else model
    return found.translate(z3.main_ctx())


def _solver(parts: list[Formula], context: z3.Context | None = None) -> z3.Solver:
    solver = z3.Solver(ctx=context)
    solver.set("rlimit", EFFORT)
    solver.add(parts)
    return solver


def _everyday(request: Request) -> Iterator[Formula]:
    yield from (request.time >= _EARLY, request.time <= _LATE, request.time % 1000 == 0)
    yield from (request.age >= 0, request.age % 1000 == 0, request.age <= 10**9)

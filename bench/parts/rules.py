"""The cost of a request over the size of the bundle."""

from __future__ import annotations

from contextlib import ExitStack

from bench.company import Size
from bench.compare import compare, enter_ours
from bench.part import Found, no_dearer
from bench.plan import Plan, prepared, write_requests

SIZES = (10, 1_000, 10_000)
KIND = "client_secret_basic"


def rules(plan: Plan) -> Found:
    """Ten rules are those of the five scopes that are asked for; the others are about other scopes and audiences."""
    with ExitStack() as stack:
        contenders = []
        for count in (SIZES[0], SIZES[-1]) if plan.quick else SIZES:
            size = Size(rules=count, subjects=1_000, actors=False)
            site, config = stack.enter_context(prepared(plan, size))
            file = write_requests(plan, site, KIND)
            contenders.append(enter_ours(stack, f"{count:,} rules", site=site, config=config, requests=file))
        found = compare(contenders, plan, connections=plan.levels[0])
    small, large = found[f"{SIZES[0]:,} rules"], found[f"{SIZES[-1]:,} rules"]
    return Found(figures=found, verdicts=(no_dearer("10 -> 10,000 rules", small, large, percent=15),))

"""The cost of asking Cedar again, for every decision and before the signature."""

from __future__ import annotations

from contextlib import ExitStack

from bench.company import Size
from bench.compare import compare, enter_ours, ratio
from bench.part import Found
from bench.plan import Plan, prepared, write_requests

KIND = "client_secret_basic"


def verify(plan: Plan) -> Found:
    """The same company, whose tier of risk demands it or does not."""
    with ExitStack() as stack:
        contenders = []
        for mode in ("off", "always"):
            site, config = stack.enter_context(prepared(plan, Size(), verify=mode))
            file = write_requests(plan, site, KIND)
            contenders.append(enter_ours(stack, f"verify {mode}", site=site, config=config, requests=file))
        found = compare(contenders, plan, connections=plan.levels[0])
    return Found(figures={**found, "ratio": ratio(found["verify always"], found["verify off"])})

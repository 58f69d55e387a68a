"""What tokens per second become while a review of the policy runs on the server's own core."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from bench.commands import MERIDIAN
from bench.company import Size
from bench.compare import compare, enter_ours, ratio
from bench.part import Found, at_least
from bench.plan import Plan, prepared, write_requests
from bench.process import Turns
from bench.servers import reviewing

KIND = "client_secret_basic"
ALONE, BESIDE = "no review", "a review at work"
WANTED = 0.9
"""How much of its rate it keeps."""


def reviews(plan: Plan) -> Found:
    """The same company twice, one with a process beside the server that never stops reviewing."""
    with ExitStack() as stack:
        contenders = []
        for name in (ALONE, BESIDE):
            site, config = stack.enter_context(prepared(plan, Size()))
            ours = enter_ours(stack, name, site=site, config=config, requests=write_requests(plan, site, KIND))
            if name == BESIDE:
                reviewer = Turns(stack.enter_context(reviewing(site, MERIDIAN)))
                reviewer.pause()
                ours.turns = Turns(*ours.turns.processes, *reviewer.processes)
            contenders.append(ours)
        found: dict[str, Any] = compare(contenders, plan, connections=plan.levels[0])
    kept = ratio(found[BESIDE], found[ALONE])
    return Found(figures=found, verdicts=(at_least("tokens while a review runs", kept["rate"], WANTED),))

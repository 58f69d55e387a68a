"""The cost of a request over the length of the ledger."""

from __future__ import annotations

from contextlib import ExitStack

from bench.company import Size
from bench.compare import compare, enter_ours
from bench.fill import fill_ledger, sequence
from bench.part import Found, no_dearer
from bench.plan import Plan, prepared, write_requests
from bench.servers import run_async

ENTRIES, QUICK_ENTRIES = 1_000_000, 50_000
KIND = "client_secret_basic"


def ledger(plan: Plan) -> Found:
    """Two of the same company, one with a long past."""
    entries = QUICK_ENTRIES if plan.quick else ENTRIES
    with ExitStack() as stack:
        contenders = []
        for past in (0, entries):
            site, config = stack.enter_context(prepared(plan, Size()))
            if past:
                run_async(fill_ledger(config, site, past, plan))
                sequence(config, site, past, plan)
            file = write_requests(plan, site, KIND)
            contenders.append(enter_ours(stack, f"{past:,} entries", site=site, config=config, requests=file))
        found = compare(contenders, plan, connections=plan.levels[0])
    small, large = found["0 entries"], found[f"{entries:,} entries"]
    return Found(figures=found, verdicts=(no_dearer(f"0 -> {entries:,} ledger entries", small, large, percent=10),))

"""Seconds from the command to readiness with a large bundle."""

from __future__ import annotations

import statistics
import time
from typing import Any

from bench.company import Size
from bench.part import Found, Verdict
from bench.plan import Plan, prepared
from bench.process import cpu_seconds
from bench.servers import ours

RULES = 10_000
WANTED = 5.0


def start(plan: Plan) -> Found:
    """Several starts on a store that is there, on one core as when serving, and on all."""
    figures: dict[str, Any] = {}
    with prepared(plan, Size(rules=RULES, subjects=1_000)) as (site, config):
        with ours(config, site):
            pass  # makes the keys, once
        for name, core in (("one core", 0), ("all cores", None)):
            seconds: list[float] = []
            used: list[float] = []
            for _ in range(plan.runs):
                begun = time.monotonic()
                with ours(config, site, core=core) as process:
                    seconds.append(round(time.monotonic() - begun, 2))
                    used.append(round(cpu_seconds(process.pid), 2))
                plan.tell(f"start, {name}: ready after {seconds[-1]:.1f} s")
            figures[name] = {"seconds": round(statistics.median(seconds), 2), "all": seconds, "cpu_seconds": used}
    taken: float = figures["one core"]["seconds"]
    verdict = Verdict(
        what=f"start with {RULES:,} rules", wanted=f"below {WANTED:g} s", found=f"{taken:.1f} s", met=taken < WANTED
    )
    return Found(figures=figures, verdicts=(verdict,))

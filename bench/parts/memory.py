"""Memory of the server's process over many tokens."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import ExitStack

from bench.company import Size
from bench.compare import enter_ours
from bench.part import Found, Verdict
from bench.plan import Plan, prepared, write_requests
from bench.process import memory_kib

TOKENS, QUICK_TOKENS = 300_000, 60_000
KIND = "client_secret_basic"
WANTED = 3.0
SECONDS = 3


def memory(plan: Plan) -> Found:
    """Samples every few seconds until so many tokens are issued."""
    tokens = QUICK_TOKENS if plan.quick else TOKENS
    samples: list[tuple[int, float]] = []
    with prepared(plan, Size()) as (site, config), ExitStack() as stack:
        file = write_requests(plan, site, KIND, extra=tokens)
        server = enter_ours(stack, "mintwarden", site=site, config=config, requests=file)
        issued = 0
        while issued < tokens:
            issued += server.run(seconds=SECONDS, connections=plan.levels[0]).run.requests
            samples.append((issued, round(memory_kib(server.process.pid) / 1024, 1)))
            plan.tell(f"memory: {samples[-1][1]:.1f} MiB after {issued:,} tokens")
    grown = growth(samples)
    verdict = Verdict(
        what=f"memory over {tokens:,} tokens",
        wanted=f"at most {WANTED:+g} % in the last half",
        found=f"{grown:+.1f} % ({samples[-1][1]:.0f} MiB)",
        met=grown <= WANTED,
    )
    return Found(figures={"samples (tokens, MiB)": samples, "growth_percent": grown}, verdicts=(verdict,))


def growth(samples: Sequence[tuple[int, float]]) -> float:
    """By how many per cent memory grew from the third quarter of the tokens to the last one, each by its median."""
    last = samples[-1][0]
    third = [mib for issued, mib in samples if last * 0.5 <= issued < last * 0.75]
    fourth = [mib for issued, mib in samples if issued >= last * 0.75]
    if not third:
        return 0.0
    return round((statistics.median(fourth) / statistics.median(third) - 1) * 100, 1)

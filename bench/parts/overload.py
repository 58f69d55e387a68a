"""Four times the clients that the server admits: how many tokens, and how long the admitted wait."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.company import Size
from bench.compare import Contender, enter_ours
from bench.part import Found, Verdict
from bench.plan import Plan, prepared, write_requests
from bench.process import LOAD_CORE, cpu_seconds, pinned
from mintwarden.app.config import ServerConfig

KIND = "client_secret_basic"
ADMITTED = ServerConfig().max_in_flight + ServerConfig().max_queued
LOADS = {"peak": (256, False), "overload": (4 * ADMITTED, False), "overload, impatient": (4 * ADMITTED, True)}
"""Connections, and whether those that are refused come back at once instead of after `Retry-After`."""

WANTED = 0.9
BOUND = 2.0


def overload(plan: Plan) -> Found:
    """The loads take turns. "impatient" has no target: clients that never wait cost whatever refusing them costs."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in LOADS}
    with prepared(plan, Size()) as (site, config), ExitStack() as stack:
        file = write_requests(plan, site, KIND)
        server = enter_ours(stack, "mintwarden", site=site, config=config, requests=file)
        position = 0
        for number in range(plan.runs):
            for name, (connections, impatient) in LOADS.items():
                seen = _flood(server, site.token_url, file, connections, plan.seconds, position, impatient=impatient)
                position += seen["sent"]
                runs[name].append(seen)
                plan.tell(
                    f"{name}, run {number + 1}/{plan.runs}: {seen['rate']:,}/s, {seen['refusals']:,} refusals/s, "
                    f"p99 {seen['p99_ms']:.0f} ms"
                )
    figures = {name: _median(seen) for name, seen in runs.items()}
    kept = figures["overload"]["rate"] / figures["peak"]["rate"]
    # A full house is worked off in this time at the peak's rate; whoever is admitted waits no longer than that.
    bound = BOUND * ADMITTED / figures["peak"]["rate"] * 1000
    verdicts = (
        Verdict(
            what=f"{4 * ADMITTED:,} clients where {ADMITTED} are admitted: tokens per second",
            wanted=f"at least {WANTED:.0%} of the peak",
            found=f"{kept:.0%}",
            met=kept >= WANTED,
        ),
        Verdict(
            what="the same: p99 of the admitted",
            wanted=f"below {bound:.0f} ms, {BOUND:g} x the time for all that are admitted",
            found=f"{figures['overload']['p99_ms']:.0f} ms",
            met=figures["overload"]["p99_ms"] < bound,
        ),
    )
    return Found(figures=figures, verdicts=verdicts)


def _flood(
    server: Contender, url: str, file: Path, connections: int, seconds: int, first: int, *, impatient: bool
) -> dict[str, Any]:
    arguments = [url, str(file), "--connections", str(connections), "--seconds", str(seconds), "--first", str(first)]
    command = pinned([sys.executable, "-m", "bench.flood", *arguments, *["--impatient"] * impatient], LOAD_CORE)
    used = cpu_seconds(server.process.pid)
    with server.turns.running():
        done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench: the flood failed: {done.stderr}")
    seen: dict[str, Any] = json.loads(done.stdout)
    seen["cpu_us_each_answer"] = round((cpu_seconds(server.process.pid) - used) / max(1, seen["sent"]) * 1e6, 1)
    return seen


def _median(runs: list[dict[str, Any]]) -> dict[str, Any]:
    keys = ("rate", "refusals", "p50_ms", "p99_ms", "worst_ms", "refused_p99_ms", "cpu_us_each_answer", "busy")
    middle = {key: round(statistics.median(run[key] for run in runs), 2) for key in keys}
    faults = {"broken": sum(run["broken"] for run in runs), "others": [run["others"] for run in runs if run["others"]]}
    return {**middle, "rates": [run["rate"] for run in runs], **faults}

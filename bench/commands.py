"""Our own command line under the clock: what somebody waits for who asks about a policy."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.part import Verdict
from bench.plan import Plan

MERIDIAN = Path(__file__).parent.parent / "examples" / "meridian"


def timed(plan: Plan, *words: str, accepted: Sequence[int] = (0,)) -> tuple[dict[str, Any], dict[str, Any]]:
    """`mintwarden <words> --json`, as often as the plan runs things: its times, and what it said the last time.

    Start and load of the bundle are in it. Exits for another exit code than those that are `accepted`.
    """
    seconds: list[float] = []
    used: list[float] = []
    told = ""
    for _ in range(plan.runs):
        begun, cpu = time.monotonic(), _children()
        command = [sys.executable, "-m", "mintwarden", *words, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds.append(round(time.monotonic() - begun, 2))
        used.append(round(_children() - cpu, 2))
        if done.returncode not in accepted:
            raise SystemExit(
                f"bench: `mintwarden {' '.join(words)}` ended with {done.returncode}: {done.stderr[-300:]}"
            )
        told = done.stdout
        plan.tell(f"{' '.join(words[:2])}: {seconds[-1]:.1f} s")
    return {"seconds": round(statistics.median(seconds), 2), "all": seconds, "cpu_seconds": used}, json.loads(told)


def sooner(what: str, times: Mapping[str, Any], wanted: float) -> Verdict:
    """It takes less than `wanted` seconds."""
    return Verdict(
        what=what, wanted=f"below {wanted:g} s", found=f"{times['seconds']:.1f} s", met=times["seconds"] < wanted
    )


def _children() -> float:
    """Processor time of children that have ended, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime

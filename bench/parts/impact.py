"""How fast recorded decisions are replayed, and in how much memory."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.company import Size
from bench.history import fill_history
from bench.part import Found, Verdict
from bench.plan import Plan, prepared
from bench.process import memory_kib
from bench.servers import run_async

DECISIONS, QUICK_DECISIONS = 1_000_000, 20_000
PEOPLE, QUICK_PEOPLE = 50_000, 5_000
WORKERS = 2
WANTED = 20_000
MEMORY_MIB = 1024
EDITS = (("principal.level >= 2", "principal.level >= 5"), ("principal.risk > 80", "principal.risk > 50"))


def impact(plan: Plan) -> Found:
    """`mintwarden policy impact` with two workers over a long ledger: under its own bundle, and under another one."""
    decisions, people = (QUICK_DECISIONS, QUICK_PEOPLE) if plan.quick else (DECISIONS, PEOPLE)
    figures: dict[str, Any] = {}
    with prepared(plan, Size(clients=200, subjects=10)) as (site, config):
        run_async(fill_history(config, entries=decisions, people=people, plan=plan))
        other = site.root / "other"
        shutil.copytree(site.root / "bundle", other)
        rules = other / "rules" / "bench.cedar"
        text = rules.read_text()
        for old, new in EDITS:
            text = text.replace(old, new)
        rules.write_text(text)
        for name, candidate in (("its own bundle, byte for byte", "active"), ("another bundle", str(other))):
            figures[name] = found = _run(config, candidate)
            plan.tell(f"impact, {name}: {json.dumps(found)}")
    own, changed = figures.values()
    slowest, most = min(own["per_second"], changed["per_second"]), max(own["memory_mib"], changed["memory_mib"])
    return Found(
        figures=figures,
        verdicts=(
            Verdict(
                what=f"decisions replayed a second, {WORKERS} workers",
                wanted=f"at least {WANTED:,}",
                found=f"{slowest:,}",
                met=slowest >= WANTED,
            ),
            Verdict(
                what=f"memory of a replay of {decisions:,} decisions, all processes",
                wanted=f"at most {MEMORY_MIB:,} MiB",
                found=f"{most:,} MiB",
                met=most <= MEMORY_MIB,
            ),
            Verdict(
                what="decisions reproduced byte for byte",
                wanted="all",
                found=f"{own['same']:,} of {own['decisions']:,}",
                met=own["same"] == own["decisions"],
            ),
        ),
    )


def _run(config: Path, candidate: str) -> dict[str, Any]:
    """One run of the command: what it found, how long it took from start to end, and the memory of its processes."""
    command = [sys.executable, "-m", "mintwarden", "policy", "impact", candidate, "--config", str(config)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = config.parent / "impact.json"
    begun, most = time.monotonic(), 0
    with (
        report.open("w") as out,
        subprocess.Popen([*command, "--workers", str(WORKERS), "--json"], cwd=config.parent, stdout=out) as process,
    ):
        while process.poll() is None:
            most = max(most, sum(_memory(pid) for pid in _family(process.pid)))
            time.sleep(0.25)
    seconds = time.monotonic() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise SystemExit(f"bench: the replay failed with {process.returncode}")
    told = json.loads(report.read_text())
    decisions = told["decisions"]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "decisions": decisions,
        "seconds": round(seconds, 1),
        "per_second": round(decisions / seconds),
        "cpu_us_each": round(cpu / decisions * 1e6, 1),
        "memory_mib": round(most / 1024),
        "changed": told["changed"],
        "same": told["reproduced"]["same"],
    }


def _family(pid: int) -> list[int]:
    """The process and its children, as Linux tells."""
    found = [pid]
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [child for word in (task / "children").read_text().split() for child in _family(int(word))]
    except OSError:  # it has just ended
        pass
    return found


def _memory(pid: int) -> int:
    try:
        return memory_kib(pid)
    except OSError:
        return 0

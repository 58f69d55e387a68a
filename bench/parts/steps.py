"""What each step of the straight line costs, and what the server adds around them."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.company import Size
from bench.compare import compare, enter_ours
from bench.part import Found
from bench.plan import Plan, prepared, write_requests
from bench.process import SERVER_CORE, pinned

KINDS = ("client_secret_basic", "private_key_jwt", "token_exchange")
COUNT, QUICK_COUNT = 24_000, 6_000


def steps(plan: Plan) -> Found:
    """Steps 1 to 8 in process; the rest of a request is the difference to the server's processor time for one."""
    figures: dict[str, Any] = {}
    for kind in KINDS:
        with prepared(plan, Size()) as (site, config):
            count = QUICK_COUNT if plan.quick else COUNT
            file = write_requests(plan, site, kind, extra=count)
            plan.tell(f"{kind}: steps over {count:,} requests")
            figures[kind] = found = _in_process(config, file, count)
            total = round(sum(found.values()), 1)
            with ExitStack() as stack:
                server = enter_ours(stack, "mintwarden", site=site, config=config, requests=file)
                server.position = count  # no proof is used twice
                whole = compare([server], plan, connections=plan.levels[0])["mintwarden"]["cpu_us"]
            found |= {
                "HTTP, event loop, 9 respond": round(whole - total, 1),
                "all of a request, in the server": whole,
            }
    return Found(figures=figures)


def _in_process(config: Path, file: Path, count: int) -> dict[str, float]:
    command = pinned([sys.executable, "-m", "bench.steps", str(config), str(file), str(count)], SERVER_CORE)
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench: the steps failed: {done.stderr}")
    found: dict[str, float] = json.loads(done.stdout)
    return found

"""The load: `wrk` with one thread on its own core, sending each line of a request file once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


class LoadError(RuntimeError):
    """A run that must not count: refusals, socket errors, or requests sent twice."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: answers per second, latencies in milliseconds, and where in the request file it ended."""

    rate: float
    p50: float
    p90: float
    p99: float
    worst: float
    requests: int
    position: int
    failures: int

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def find_wrk() -> str:
    """The path of `wrk`; installs Debian's package when this user may."""
    path = shutil.which("wrk")
    if path is None and shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "wrk"], check=True)
        path = shutil.which("wrk")
    if path is None:
        raise SystemExit("bench: `wrk` is missing; install it (Debian: apt-get install wrk)")
    return path


def drive(
    url: str,
    requests: Path,
    *,
    seconds: float,
    connections: int,
    first: int = 0,
    core: int = 1,
    allow_failures: bool = False,
) -> Run:
    """Send requests from line `first` for `seconds` over `connections`; raises `LoadError` for a tainted run."""
    command = [find_wrk(), "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "20s", "-s", str(HERE / "load.lua"), url]
    if (os.cpu_count() or 1) > 1:
        command = ["taskset", "-c", str(core), *command]
    environment = {**os.environ, "BENCH_REQUESTS": str(requests), "BENCH_FIRST": str(first)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("BENCH ")]
    if done.returncode or not lines:
        raise LoadError(f"wrk failed: {done.stderr or done.stdout}")
    told = json.loads(lines[-1][6:])
    if told["wraps"] and not allow_failures:
        raise LoadError("the request file was too short: requests were sent twice")
    if (told["failures"] or told["socket_errors"]) and not allow_failures:
        raise LoadError(f"{told['failures']} refusals, {told['socket_errors']} socket errors")
    took = told["duration_us"] / 1e6
    return Run(
        rate=(told["requests"] - told["failures"]) / took,
        p50=told["p50_us"] / 1000,
        p90=told["p90_us"] / 1000,
        p99=told["p99_us"] / 1000,
        worst=told["max_us"] / 1000,
        requests=told["requests"],
        position=first + told["position"] + connections,  # those in flight at the end were sent too
        failures=told["failures"],
    )

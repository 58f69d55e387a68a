"""The load: `wrk` with one thread on its own core, sending each line of a request file once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.process import LOAD_CORE, pinned

HERE = Path(__file__).parent
FASTEST = 25_000
"""Requests a second that no server here reaches: how many lines a run may need."""


class LoadError(RuntimeError):
    """A run that must not count: refusals, socket errors, or requests sent twice."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: tokens per second, latencies in milliseconds, and where in the request file it ended."""

    rate: float
    p50: float
    p90: float
    p99: float
    worst: float
    requests: int
    position: int
    failures: int


def find_wrk() -> str:
    """The path of `wrk`; installs Debian's package when this user may."""
    path = shutil.which("wrk")
    if path is None and shutil.which("apt-get") and os.geteuid() == 0:
        print("bench: installing `wrk` (apt-get install wrk)", file=sys.stderr, flush=True)
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "wrk"], check=True, stdout=sys.stderr)
        path = shutil.which("wrk")
    if path is None:
        raise SystemExit("bench: `wrk` is missing; install it (Debian: apt-get install wrk)")
    return path


def drive(
    url: str,
    requests: Path,
    *,
    seconds: int,
    connections: int,
    first: int = 0,
    core: int = LOAD_CORE,
    close: bool = False,
) -> Run:
    """Send requests from line `first` for `seconds` over `connections`; raises `LoadError` for a tainted run.

    With `close`, each request comes over a connection of its own.
    """
    lua = str(HERE / "load.lua")
    wrk = [find_wrk(), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "-s", lua, url]
    most = FASTEST * seconds + connections
    told_to = {
        "BENCH_REQUESTS": str(requests),
        "BENCH_FIRST": str(first),
        "BENCH_MOST": str(most),
        "BENCH_CLOSE": "1" if close else "0",
    }
    done = subprocess.run(pinned(wrk, core), env={**os.environ, **told_to}, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("BENCH ")]
    if done.returncode or not lines:
        raise LoadError(f"wrk failed: {done.stderr or done.stdout}")
    return read_run(json.loads(lines[-1][6:]), first=first, connections=connections)


def read_run(told: dict[str, Any], *, first: int, connections: int) -> Run:
    """The run that the script told of; raises `LoadError` when it must not count."""
    if told["wraps"]:
        raise LoadError("the request file was too short: requests were sent twice")
    if told["failures"] or told["socket_errors"]:
        raise LoadError(f"{told['failures']} refusals, {told['socket_errors']} socket errors")
    return Run(
        rate=told["requests"] / (told["duration_us"] / 1e6),
        p50=told["p50_us"] / 1000,
        p90=told["p90_us"] / 1000,
        p99=told["p99_us"] / 1000,
        worst=told["max_us"] / 1000,
        requests=told["requests"],
        position=first + told["position"] + connections,  # those in flight at the end were sent too
        failures=told["failures"],
    )

"""`make bench`: one command, both servers, the same requests, one core each for server and load.

    python -m bench.run [--quick] [--only rates,rules,ledger,directory,start,memory,overload,steps,verify]

Writes `bench/results/<name>.json` and charts, and prints a table. Every figure of a comparison comes of the same run
on the same machine; absolute rates mean little elsewhere, ratios more.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import requests as make
from bench.chart import bars
from bench.company import Size
from bench.load import Run, drive
from bench.servers import Site, ours, peer, populate, resident_kib, run_async, write_ours

RESULTS = Path(__file__).parent / "results"
CONNECTIONS = 64


class Bench:
    """What the parts share: how long to measure, and what was found."""

    def __init__(self, *, quick: bool) -> None:
        self.seconds = 2.0 if quick else 5.0
        self.warm = 1.0 if quick else 2.0
        self.runs = 2 if quick else 3
        self.quick = quick
        self.results: dict[str, Any] = {"machine": machine(), "quick": quick}

    def measure(self, url: str, requests: Path, *, connections: int = CONNECTIONS) -> dict[str, Any]:
        """The median run of several after a warm-up."""
        position = drive(url, requests, seconds=self.warm, connections=connections).position
        runs: list[Run] = []
        for _ in range(self.runs):
            runs.append(drive(url, requests, seconds=self.seconds, connections=connections, first=position))
            position = runs[-1].position
        runs.sort(key=lambda run: run.rate)
        middle = runs[len(runs) // 2]
        return {**middle.as_dict(), "rates": [round(run.rate) for run in runs]}

    @property
    def lines(self) -> int:
        """How many requests a measurement may need at the highest rate we expect."""
        return int(25_000 * (self.warm + self.runs * self.seconds))


def machine() -> dict[str, str]:
    """What the figures were taken on."""
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    cpu = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    return {"python": platform.python_version(), "node": node, "cpu": cpu, "system": platform.platform()}


def rates(bench: Bench) -> None:
    """Ours against the peer: client_secret_basic, private_key_jwt; token exchange, ours alone."""
    table: dict[str, Any] = {}
    for method in ("client_secret_basic", "private_key_jwt"):
        with _site(Size()) as site:
            site.method = method
            config = write_ours(site)
            run_async(populate(site, config))
            file = _requests(bench, site, method)
            with ours(config, site) as process:
                table[f"mintwarden {method}"] = bench.measure(site.token_url, file)
                table[f"mintwarden {method}"]["memory_mib"] = resident_kib(process) // 1024
                table[f"mintwarden {method}"]["batch"] = _mean_batch(site)
            with peer(site):
                table[f"oidc-provider {method}"] = bench.measure(site.token_url, file)
            ratio = table[f"mintwarden {method}"]["rate"] / table[f"oidc-provider {method}"]["rate"]
            table[f"ratio {method}"] = round(ratio, 3)
    with _site(Size()) as site:
        config = write_ours(site)
        run_async(populate(site, config))
        file = _requests(bench, site, "exchange")
        with ours(config, site):
            table["mintwarden token_exchange"] = bench.measure(site.token_url, file)
    bench.results["rates"] = table


def rules(bench: Bench) -> None:
    """The cost of a decision over the size of the bundle: 10 to 10,000 rules."""
    bench.results["rules"] = _sweep(bench, [Size(rules=10), Size(rules=1_000), Size(rules=10_000)], lambda s: s.rules)


def directory(bench: Bench) -> None:
    """The cost of a decision over the size of the directory: 1,000 to 1,000,000 subjects."""
    sizes = [Size(subjects=1_000), Size(subjects=1_000_000 if not bench.quick else 100_000)]
    bench.results["directory"] = _sweep(bench, sizes, lambda s: s.subjects)


def ledger(bench: Bench) -> None:
    """The cost of a decision over the length of the ledger: 0 to 1,000,000 entries."""
    wanted = 50_000 if bench.quick else 1_000_000
    with _site(Size()) as site:
        config = write_ours(site)
        run_async(populate(site, config))
        file = _requests(bench, site, "client_secret_basic")
        with ours(config, site):
            first = bench.measure(site.token_url, file)
        from bench.fill import fill_ledger

        run_async(fill_ledger(config, wanted))
        with ours(config, site):
            last = bench.measure(site.token_url, file)
        bench.results["ledger"] = {"0": first, str(wanted): last, "ratio": round(last["rate"] / first["rate"], 3)}


def start(bench: Bench) -> None:
    """Seconds from the command to readiness with 10,000 rules."""
    with _site(Size(rules=10_000, clients=100, subjects=100)) as site:
        config = write_ours(site)
        run_async(populate(site, config))
        times = []
        for _ in range(bench.runs):
            begun = time.monotonic()
            with ours(config, site, core=None):
                times.append(time.monotonic() - begun)
        bench.results["start"] = {"seconds": round(statistics.median(times), 2), "all": [round(t, 2) for t in times]}


def memory(bench: Bench) -> None:
    """Resident memory over many tokens."""
    tokens = 30_000 if bench.quick else 300_000
    with _site(Size()) as site:
        config = write_ours(site)
        run_async(populate(site, config))
        file = _requests(bench, site, "client_secret_basic")
        samples: list[tuple[int, int]] = []
        with ours(config, site) as process:
            issued = drive(site.token_url, file, seconds=2, connections=CONNECTIONS).requests
            samples.append((issued, resident_kib(process) // 1024))
            while issued < tokens:
                issued += drive(site.token_url, file, seconds=3, connections=CONNECTIONS, allow_failures=True).requests
                samples.append((issued, resident_kib(process) // 1024))
        bench.results["memory"] = {"samples_mib": samples, "growth_mib": samples[-1][1] - samples[len(samples) // 4][1]}


def overload(bench: Bench) -> None:
    """Four times the admitted connections: the rate of tokens, and the tail of those admitted."""
    with _site(Size()) as site:
        config = write_ours(site)
        run_async(populate(site, config))
        file = _requests(bench, site, "client_secret_basic")
        with ours(config, site):
            peak = bench.measure(site.token_url, file)
            position = int(peak["position"])
            run = drive(
                site.token_url, file, seconds=bench.seconds, connections=3_200, first=position, allow_failures=True
            )
        bench.results["overload"] = {
            "peak": peak,
            "overload": run.as_dict(),
            "ratio": round(run.rate / peak["rate"], 3),
        }


def verify(bench: Bench) -> None:
    """What `verify = "always"` costs: every decision made again by Cedar before the signature."""
    found: dict[str, Any] = {}
    for mode in ("off", "always"):
        with _site(Size()) as site:
            config = write_ours(site, verify=mode)
            run_async(populate(site, config))
            file = _requests(bench, site, "client_secret_basic")
            with ours(config, site):
                found[mode] = bench.measure(site.token_url, file)
    found["ratio"] = round(found["always"]["rate"] / found["off"]["rate"], 3)
    bench.results["verify"] = found


def steps(bench: Bench) -> None:
    """The cost of each step, in process, over different facts and callers."""
    from bench.steps import measure_steps

    with _site(Size()) as site:
        config = write_ours(site)
        run_async(populate(site, config))
        bench.results["steps"] = run_async(measure_steps(site, config, 2_000 if bench.quick else 20_000))


PARTS: dict[str, Callable[[Bench], None]] = {
    "rates": rates,
    "steps": steps,
    "verify": verify,
    "rules": rules,
    "ledger": ledger,
    "directory": directory,
    "start": start,
    "memory": memory,
    "overload": overload,
}


def _sweep(bench: Bench, sizes: list[Size], axis: Callable[[Size], int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    measured: list[float] = []
    for size in sizes:
        with _site(size) as site:
            config = write_ours(site)
            run_async(populate(site, config))
            file = _requests(bench, site, "client_secret_basic")
            with ours(config, site):
                found[str(axis(size))] = bench.measure(site.token_url, file)
            measured.append(found[str(axis(size))]["rate"])
    found["ratio"] = round(measured[-1] / measured[0], 3)
    return found


class _site:  # noqa: N801 - reads as a function
    """A site in a temporary folder that goes away."""

    def __init__(self, size: Size) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mintwarden-bench-")
        self._size = size

    def __enter__(self) -> Site:
        return Site(Path(self._folder.name), self._size)

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


def _requests(bench: Bench, site: Site, kind: str) -> Path:
    size, path, count = site.size, site.root / f"{kind}.txt", bench.lines
    if kind == "client_secret_basic":
        return make.write(path, make.with_secret(size.clients, site.secrets, count))
    if kind == "private_key_jwt":
        lines = make.with_assertion(size.clients, site.client_keys, site.issuer, count // 2, f"{time.time_ns()}")
        return make.write(path, lines)
    return make.write(
        path, make.exchange(size.clients, site.secrets, size.subjects, site.subject_key, count // 2)
    )


def _mean_batch(site: Site) -> float | None:
    """The mean commit batch, from the server's own metrics."""
    import urllib.request

    with urllib.request.urlopen(f"{site.issuer}/metrics") as answer:
        text = answer.read().decode()
    values: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith(("mintwarden_ledger_batch_entries_sum", "mintwarden_ledger_batch_entries_count")):
            name, value = line.rsplit(" ", 1)
            values[name.split("{")[0].rsplit("_", 1)[1]] = float(value)
    return round(values["sum"] / values["count"], 1) if values.get("count") else None


def _print(results: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for part, found in results.items():
        if not isinstance(found, dict) or part == "machine":
            continue
        table = Table(title=part, title_justify="left")
        for column in ("", "per second", "p50 ms", "p99 ms", "runs"):
            table.add_column(column)
        for name, value in found.items():
            if isinstance(value, dict) and "rate" in value:
                row = (f"{value['rate']:,.0f}", f"{value['p50']:.1f}", f"{value['p99']:.1f}", str(value.get("rates", "")))
                table.add_row(name, *row)
            else:
                table.add_row(name, str(value), "", "", "")
        console.print(table)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short runs: to see that it works, not to quote")
    parser.add_argument("--only", default=",".join(PARTS), help="parts to run, separated by commas")
    parser.add_argument("--name", default="", help="name of the result file")
    chosen = parser.parse_args()
    bench = Bench(quick=chosen.quick)
    for part in chosen.only.split(","):
        print(f"bench: {part} ...", file=sys.stderr, flush=True)
        PARTS[part](bench)
    RESULTS.mkdir(exist_ok=True)
    name = chosen.name or ("quick" if chosen.quick else "latest")
    (RESULTS / f"{name}.json").write_text(json.dumps(bench.results, indent=1) + "\n")
    if "rates" in bench.results:
        shown = {k: v["rate"] for k, v in bench.results["rates"].items() if isinstance(v, dict)}
        (RESULTS / f"{name}-rates.svg").write_text(bars("tokens per second, one server core", shown))
    _print(bench.results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

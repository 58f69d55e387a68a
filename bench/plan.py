"""How long and how often to measure, and where a run of the benchmark keeps its things."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import requests as make
from bench.company import Size
from bench.servers import Site, populate, run_async, write_ours

FASTEST = {
    "client_secret_basic": 16_000,
    "private_key_jwt": 9_000,
    "token_exchange": 9_000,
    "dpop": 7_000,
    "authorization_code": 6_000,
    "refresh_token": 12_000,
    "introspection": 20_000,
    "first_look": 12_000,
}
"""Requests per second that no server here answers on one core: how many a file must hold."""

RETURNING = 10_000
"""People whose tokens take turns in a token exchange."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much to measure.

    Attributes:
        seconds, runs, warm: length and number of the runs that count, and of the one before them.
        levels: numbers of connections.
        quick: everything is made smaller, to see that it works; nothing to quote.
    """

    seconds: int
    runs: int
    warm: int
    levels: tuple[int, ...] = (64, 256)
    quick: bool = False

    @classmethod
    def usual(cls) -> Plan:
        """Three runs of five seconds."""
        return cls(seconds=5, runs=3, warm=3)

    @classmethod
    def short(cls) -> Plan:
        """Two runs of two seconds."""
        return cls(seconds=2, runs=2, warm=2, quick=True)

    def tell(self, what: str) -> None:
        """Progress, on standard error."""
        print(f"bench: {time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)

    def lines(self, kind: str, levels: int) -> int:
        """How many requests of `kind` the runs at so many levels of connections may need."""
        return FASTEST[kind] * (self.warm + self.runs * (self.seconds + 1)) * levels + 10_000


@contextmanager
def prepared(plan: Plan, size: Size, *, verify: str = "off") -> Iterator[tuple[Site, Path]]:
    """A populated site of our server in a temporary folder, and its configuration."""
    with tempfile.TemporaryDirectory(prefix="mintwarden-bench-") as folder:
        plan.tell(f"{size.clients:,} clients, {size.subjects:,} subjects, {size.rules:,} rules: writing")
        site = Site(Path(folder), size)
        config = write_ours(site, verify=verify)
        run_async(populate(site, config))
        yield site, config


def write_requests(
    plan: Plan, site: Site, kind: str, *, levels: int = 1, turns: int = RETURNING, extra: int = 0
) -> Path:
    """A file of requests of `kind` for `site`: enough for the plan's runs at so many levels, and `extra` beside."""
    size, path, count = site.size, site.root / f"{kind}-{turns}.txt", plan.lines(kind, levels) + extra
    plan.tell(f"{kind}: writing {count:,} requests")
    if kind == "client_secret_basic":
        return make.write(path, make.with_secret(size.clients, site.secrets, count))
    if kind == "private_key_jwt":
        salt = f"{time.time_ns()}"
        return make.write(path, make.with_assertion(size.clients, site.client_keys, site.issuer, count, salt))
    lines = make.exchange(size.clients, site.secrets, size.subjects, site.subject_key, count, turns=turns)
    return make.write(path, lines)

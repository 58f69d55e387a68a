"""What a million tokens with a place in a status list cost: at issue, in the list, when many are revoked, to fetch."""

from __future__ import annotations

import http.client
import random
import time
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

from bench.company import Size
from bench.compare import Contender, compare, enter_ours
from bench.part import Found, Verdict, no_dearer
from bench.plan import Plan, prepared, write_requests
from bench.process import cpu_seconds
from mintwarden.mint.status_list import SIZE, Permutation, empty, encoded, with_invalid

KIND = "client_secret_basic"
REVOKED = SIZE // 100
"""Every hundredth token."""

KIBIBYTES = 32
SECONDS = 1.0
FETCHES, QUICK_FETCHES = 20_000, 2_000


def status(plan: Plan) -> Found:
    """The same company without and with places, and a list whose every token was given out."""
    with ExitStack() as stack:
        plain, _ = _served(plan, stack, "without a status list", listed=False)
        listed, issuer = _served(plan, stack, "with a status list", listed=True)
        found: dict[str, Any] = compare((plain, listed), plan, connections=plan.levels[0])
        issued = no_dearer("a place in a status list", *found.values(), percent=5)
        found["CPU of a fetch, µs"] = _fetched(listed, issuer, QUICK_FETCHES if plan.quick else FETCHES)
    figures, verdicts = full_list()
    return Found(figures=found | figures, verdicts=(issued, *verdicts))


def full_list() -> tuple[dict[str, Any], tuple[Verdict, ...]]:
    """A list of which every place is taken and every hundredth token revoked: how long it takes, how large it is."""
    began = time.process_time()
    permutation = Permutation(b"bench" * 8, 0)
    places = [permutation.index(position) for position in range(SIZE)]
    given, began = time.process_time() - began, time.process_time()
    kept = with_invalid(empty(), random.Random(7).sample(places, REVOKED))
    marked = time.process_time() - began
    size = len(encoded(kept)) / 1024
    figures = {
        "tokens of a list": SIZE,
        "all of their places, s of CPU": round(given, 2),
        f"{REVOKED:,} of them revoked at once, s of CPU": round(marked, 3),
        "the list with these, KiB": round(size, 1),
        "the list with none, KiB": round(len(encoded(empty())) / 1024, 1),
    }
    verdicts = (
        Verdict(
            what=f"a list of {SIZE:,} tokens, every hundredth revoked",
            wanted=f"below {KIBIBYTES} KiB",
            found=f"{size:.1f} KiB",
            met=size < KIBIBYTES,
        ),
        Verdict(
            what=f"{REVOKED:,} tokens of a list revoked at once",
            wanted=f"below {SECONDS:g} s of CPU",
            found=f"{marked:.2f} s",
            met=marked < SECONDS,
        ),
    )
    return figures, verdicts


def _served(plan: Plan, stack: ExitStack, name: str, *, listed: bool) -> tuple[Contender, str]:
    """Our server, whose tokens are `listed` or not, and its address."""
    site, config = stack.enter_context(prepared(plan, Size()))
    if listed:
        audience = site.root / "bundle" / "audiences" / "bench.toml"
        audience.write_text(audience.read_text().replace("[claims]", "status_list = true\n[claims]", 1))
    file = write_requests(plan, site, KIND)
    return enter_ours(stack, name, site=site, config=config, requests=file), site.issuer


def _fetched(server: Contender, issuer: str, count: int) -> float:
    """Processor time of the server for each of so many fetches of the first list, over one connection."""
    at = urlsplit(issuer)
    with server.turns.running():
        connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=30)
        used = cpu_seconds(server.process.pid)
        for _ in range(count):
            connection.request("GET", "/status/0")
            answer = connection.getresponse()
            if answer.status != 200 or not answer.read():
                raise SystemExit(f"bench: the status list answered {answer.status}")
        used = cpu_seconds(server.process.pid) - used
        connection.close()
    return round(used / count * 1e6, 1)

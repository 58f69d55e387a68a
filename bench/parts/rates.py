"""Ours against the peer, and token exchange, which the peer does not do, alone."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from bench.company import Size
from bench.compare import compare, enter_ours, enter_peer, ratio
from bench.part import Found, Verdict, at_least
from bench.plan import Plan, prepared, write_requests

WANTED = {"client_secret_basic": 1.3, "private_key_jwt": 1.2}
"""How many times the peer's rate."""


KEPT, CLOSED = "", ", a connection each"
"""Whether clients keep their connections; those that do not have no target."""


def rates(plan: Plan) -> Found:
    """Each way of authentication at each number of connections."""
    figures: dict[str, Any] = {}
    verdicts: list[Verdict] = []
    for kind in (*WANTED, "token_exchange"):
        for (connections, how), figure in _measure(plan, kind).items():
            title = f"{kind} {connections}{how}"
            figures |= {f"{name} {title}": figure[name] for name in figure}
            if kind in WANTED:
                times = figures[f"ratio {title}"] = ratio(figure["mintwarden"], figure["oidc-provider"])
                if how == KEPT:
                    what = f"{kind}, {connections} connections, against oidc-provider"
                    verdicts.append(at_least(what, times["rate"], WANTED[kind]))
    return Found(figures=figures, verdicts=tuple(verdicts))


def _measure(plan: Plan, kind: str) -> dict[tuple[int, str], dict[str, dict[str, Any]]]:
    cases = [(connections, KEPT) for connections in plan.levels]
    if kind == "client_secret_basic":
        cases.append((plan.levels[0], CLOSED))
    with prepared(plan, Size()) as (site, config), ExitStack() as stack:
        file = write_requests(plan, site, kind, levels=len(cases))
        contenders = [enter_ours(stack, "mintwarden", site=site, config=config, requests=file)]
        if kind in WANTED:
            site.method = kind
            contenders.append(enter_peer(stack, site=site, requests=file))
        return {
            (connections, how): compare(contenders, plan, connections=connections, close=how == CLOSED)
            for connections, how in cases
        }

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


def rates(plan: Plan) -> Found:
    """Each way of authentication at each number of connections."""
    figures: dict[str, Any] = {}
    verdicts: list[Verdict] = []
    for kind in (*WANTED, "token_exchange"):
        found = _measure(plan, kind)
        for connections, figure in found.items():
            figures |= {f"{name} {kind} {connections}": figure[name] for name in figure}
            if kind in WANTED:
                times = figures[f"ratio {kind} {connections}"] = ratio(figure["mintwarden"], figure["oidc-provider"])
                what = f"{kind}, {connections} connections, against oidc-provider"
                verdicts.append(at_least(what, times["rate"], WANTED[kind]))
    return Found(figures=figures, verdicts=tuple(verdicts))


def _measure(plan: Plan, kind: str) -> dict[int, dict[str, dict[str, Any]]]:
    with prepared(plan, Size()) as (site, config), ExitStack() as stack:
        file = write_requests(plan, site, kind, levels=len(plan.levels))
        contenders = [enter_ours(stack, "mintwarden", site=site, config=config, requests=file)]
        if kind in WANTED:
            site.method = kind
            contenders.append(enter_peer(stack, site=site, requests=file))
        return {connections: compare(contenders, plan, connections=connections) for connections in plan.levels}

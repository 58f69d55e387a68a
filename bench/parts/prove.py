"""Seconds to prove the example company's assertions over all inputs."""

from __future__ import annotations

from collections import Counter

from bench.commands import MERIDIAN, sooner, timed
from bench.part import Found, Verdict
from bench.plan import Plan

WANTED = 10.0


def prove(plan: Plan) -> Found:
    """`mintwarden policy prove examples/meridian`."""
    times, told = timed(plan, "policy", "prove", str(MERIDIAN), accepted=(0, 1))
    outcomes = Counter(one["outcome"] for one in told["assertions"])
    held, all_of_them = outcomes["holds"], len(told["assertions"])
    times["note"] = f"{sum(one['questions'] for one in told['assertions'])} questions to the solver"
    return Found(
        figures={f"{all_of_them} assertions of Meridian": times},
        verdicts=(
            sooner(f"prove {all_of_them} assertions", times, WANTED),
            Verdict(what="assertions proved", wanted="all", found=f"{held} of {all_of_them}", met=held == all_of_them),
        ),
    )

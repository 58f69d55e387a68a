"""Seconds to change each rule of the example company in one place and see which scenario notices."""

from __future__ import annotations

from bench.commands import MERIDIAN, timed
from bench.part import Found, Verdict
from bench.plan import Plan

WANTED = 90.0
"""Per cent of the mutants."""


def mutants(plan: Plan) -> Found:
    """`mintwarden policy test examples/meridian`, without and with `--mutants`."""
    plain, _ = timed(plan, "policy", "test", str(MERIDIAN))
    times, told = timed(plan, "policy", "test", str(MERIDIAN), "--mutants")
    made, scenarios = len(told["mutants"]), len(told["scenarios"])
    plain["note"] = f"{scenarios} scenarios"
    times["note"] = f"{made} mutants, {made / times['seconds']:.0f} a second"
    score = told["score"]
    return Found(
        figures={"scenarios and coverage": plain, "with --mutants": times},
        verdicts=(
            Verdict(what="mutants noticed", wanted=f"at least {WANTED:g} %", found=f"{score} %", met=score >= WANTED),
        ),
    )

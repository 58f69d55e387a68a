"""Seconds to say what a change of the example company's policy changes, and to prove that one changes nothing."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from bench.commands import MERIDIAN, sooner, timed
from bench.part import Found, Verdict
from bench.plan import Plan

WANTED = 30.0
CONDITION = 'principal.trainings.contains("chargeback-rules")'
CHANGES = {
    "a condition dropped": ("rules/payments.cedar", f"\n  {CONDITION}", "\n  true"),
    "a guardrail lowered": (
        "rules/guardrails.cedar",
        "resource.rank >= 2 && principal.on_leave",
        "resource.rank >= 3 && principal.on_leave",
    ),
}
"""What is changed: the file, what stands there, and what stands there then."""


def diff(plan: Plan) -> Found:
    """`mintwarden policy diff` of the bundle with itself written otherwise, and with real changes."""
    figures = {}
    with tempfile.TemporaryDirectory(prefix="mintwarden-bench-") as folder:
        same = _copy(Path(folder) / "same")
        for file in (same / "rules").glob("*.cedar"):
            file.write_text(file.read_text().replace("\n  ", "\n      ") + "\n// written otherwise\n")
        times, told = timed(plan, "policy", "diff", str(MERIDIAN), str(same))
        figures["written otherwise"] = {**times, "note": told["verdict"]}
        for number, (name, (file_name, old, new)) in enumerate(CHANGES.items()):
            changed = _copy(Path(folder) / f"changed{number}")
            file = changed / file_name
            text = file.read_text()
            if old not in text:
                raise SystemExit(f"bench: {file_name} does not say `{old}` any more")
            file.write_text(text.replace(old, new, 1))
            times, told = timed(plan, "policy", "diff", str(MERIDIAN), str(changed), accepted=(1,))
            figures[name] = {**times, "note": told["verdict"]}
    slowest = max(figures.values(), key=lambda one: float(one["seconds"]))
    proved = figures["written otherwise"]["note"]
    return Found(
        figures=figures,
        verdicts=(
            sooner("diff of two editions of Meridian, the slowest", slowest, WANTED),
            Verdict(what="written otherwise", wanted="proved equal", found=proved, met=proved == "equal"),
        ),
    )


def _copy(folder: Path) -> Path:
    shutil.copytree(MERIDIAN, folder)
    return folder

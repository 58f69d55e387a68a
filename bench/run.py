"""Measures Mintwarden against npm oidc-provider on one core, and against its own targets of scale.

Every figure of a comparison comes of the same run on the same machine, the servers taking turns. Absolute rates
mean little elsewhere, ratios more. docs/performance.md says what is measured and how.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from bench.document import PAGE, document
from bench.machine import machine, taken
from bench.part import Part
from bench.parts import PARTS
from bench.plan import Plan
from bench.report import console, load, save, show

RESULTS = Path(__file__).parent / "results"


def main(arguments: list[str] | None = None) -> int:
    """The command; 1 when `--check` is given and a target is missed."""
    told = _parser().parse_args(arguments)
    plan = Plan.short() if told.quick else Plan.usual()
    name = told.name or ("quick" if told.quick else "latest")
    if told.document:
        PAGE.write_text(document(PAGE.read_text(), load(RESULTS, name)))
        return 0
    _allow_many_connections()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: told to stop"))  # so that servers are ended too
    results: dict[str, Any] = {"machine": machine(), "parts": {}}
    earlier = load(RESULTS, name)
    if earlier.get("machine") == results["machine"]:
        results["parts"] = earlier["parts"]  # parts that are not measured now keep their figures, and their date
    measured = {}
    for part in told.only:
        plan.tell(f"--- {part.name}: {part.about}")
        when = taken()
        found = {"about": part.about, "taken": when, **part.measure(plan).as_dict()}
        results["parts"][part.name] = measured[part.name] = found
        results["parts"] = {one.name: results["parts"][one.name] for one in PARTS if one.name in results["parts"]}
        save(RESULTS, name, results)
    show(measured, console())
    missed = [one for part in measured.values() for one in part["verdicts"] if not one["met"]]
    return 1 if missed and told.check else 0


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {part.name:<10} {part.about}" for part in PARTS)
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=f"{__doc__}\nparts, in this order:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick", action="store_true", help="short runs and small sizes: to see that it works, not to quote"
    )
    parser.add_argument("--only", type=_parts, default=PARTS, metavar="PART,...", help="measure these parts alone")
    parser.add_argument("--name", default="", help="name of the result files (default: latest, or quick)")
    parser.add_argument("--document", action="store_true", help="measure nothing: write kept results into docs/")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a target is missed")
    return parser


def _parts(text: str) -> tuple[Part, ...]:
    known = {part.name: part for part in PARTS}
    unknown = [name for name in text.split(",") if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(unknown)}; there are {', '.join(known)}")
    return tuple(known[name] for name in text.split(","))


def _allow_many_connections() -> None:
    """As many open files as this user may have, for the servers and the load alike."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

"""Milliseconds from an activation to the first decision under it on each of three nodes, all of them under load."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

from bench.part import Found, Verdict
from bench.plan import Plan
from mintwarden.app.demo.load import Seen, run_load
from mintwarden.app.demo.premises import make_premises
from mintwarden.app.demo.process import command
from mintwarden.store.postgres.embedded import EmbeddedPostgres

NODES = 3
WANTED = 1_000
"""Milliseconds, on the slowest node."""
RULE = """
@id("guard-bench-{number}")
@owner("Token Governance")
@reason("something that changes nothing for those who ask here")
forbid (principal, action, resource == Scope::"customers:notes")
when {{ context.client.id == "nobody-{number}" }};
"""


def activation(plan: Plan) -> Found:
    """Version after version of the example company, signed, approved and activated under load, on PostgreSQL."""
    runs: list[Seen] = []
    with tempfile.TemporaryDirectory(prefix="mintwarden-bench-") as name, EmbeddedPostgres() as server:
        folder = Path(name)
        make_premises(folder)
        config = folder / "mintwarden.toml"
        config.write_text(config.read_text().replace("sqlite:///mintwarden.db", server.url()))
        _command(folder, "store", "migrate")
        _sign(folder)
        _command(folder, "policy", "activate", "meridian")
        for number in range(plan.runs):
            with (folder / "meridian" / "rules" / "guardrails.cedar").open("a") as file:
                file.write(RULE.format(number=number))
            _sign(folder)
            runs.append(run_load(config, ("policy", "activate", "meridian"), nodes=NODES))
            plan.tell(f"activation: in effect after {', '.join(map(str, runs[-1].effect))} ms")
            if runs[-1].code:
                raise SystemExit(f"bench: the activation ended with {runs[-1].code}: {runs[-1].told[-300:]}")
    return found(runs)


def found(runs: list[Seen]) -> Found:
    """Figures and verdicts of several activations."""
    slowest = [max(seen.effect, default=WANTED * 10) for seen in runs]
    faults = [fault for seen in runs for fault in seen.faults]
    refused, answered = sum(seen.refused for seen in runs), sum(seen.answered for seen in runs)
    figures: dict[str, Any] = {
        f"in effect on all of {NODES} nodes": {
            "seconds": round(statistics.median(slowest) / 1000, 3),
            "all": [round(one / 1000, 3) for one in slowest],
            "note": f"{answered:,} requests answered meanwhile",
        }
    }
    at_worst = f"{max(slowest):,} ms at worst"
    return Found(
        figures=figures,
        verdicts=(
            Verdict(
                what=f"activation, in effect on {NODES} nodes",
                wanted=f"below {WANTED:,} ms",
                found=at_worst,
                met=max(slowest) < WANTED,
            ),
            Verdict(
                what="activation: requests refused, or decided under none or two versions",
                wanted="none",
                found="none" if not faults else f"{refused} refused; {faults[0]}",
                met=not faults,
            ),
        ),
    )


def _sign(folder: Path) -> None:
    """By its author and everybody else, which is enough for any quorum."""
    for act, name in (("sign", "policy"), ("approve", "ines"), ("approve", "bruno"), ("approve", "yuki")):
        _command(folder, "policy", act, "meridian", "--key", f"keys/{name}", accepted=(0, 1))


def _command(folder: Path, *words: str, accepted: tuple[int, ...] = (0,)) -> None:
    done = command(*words, folder=folder)
    if done.code not in accepted:
        raise SystemExit(f"bench: `mintwarden {' '.join(words)}` ended with {done.code}: {done.complaint[-300:]}")

"""`mintwarden policy prove PATH`: do the bundle's assertions hold, whatever the facts are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec

from mintwarden.app.cli.command import Command
from mintwarden.app.cli.plain import tell
from mintwarden.app.reviews.proofs import as_json
from mintwarden.policy.bundle.load import load_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.prove.prove import Verdict, prove
from mintwarden.policy.prove.scenario import scenario_text

app = Command(name="prove")

Folder = Annotated[Path, cyclopts.Parameter(help="The bundle: a folder with a `bundle.toml`.")]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")]


@app.default
def run(path: Folder, /, *, json: AsJson = False) -> int:
    """Prove a bundle's assertions over all inputs, or show inputs that violate them.

    Exit code 0 when every assertion holds, 1 when one is violated or not proved, 2 when the bundle cannot be used.
    """
    bundle = load_bundle(path)
    verdicts = prove(bundle)
    if json:
        print(msgspec.json.format(msgspec.json.encode(as_json(bundle, verdicts))).decode())
    else:
        _print(bundle, verdicts)
    return 0 if all(verdict.outcome == "holds" for verdict in verdicts) else 1


def _print(bundle: Bundle, verdicts: Sequence[Verdict]) -> None:
    for verdict in verdicts:
        assertion = verdict.assertion
        tell(f"{verdict.outcome}: {assertion.id}: {assertion.says}")
        if verdict.outcome == "not proved":
            tell(f"  {verdict.reason}")
        if verdict.outcome == "violated":
            print(f"  {assertion.file}:{assertion.line}; `decide` grants this, as a scenario for `tests/`:\n")
            text = scenario_text(bundle.catalogue, assertion.id, f"violates: {assertion.says}", verdict.examples)
            print("\n".join(f"    {line}".rstrip() for line in text.splitlines()) + "\n")
    if not verdicts:
        print("the bundle has no assertions: write some in assertions/")
        return
    counts = {name: sum(v.outcome == name for v in verdicts) for name in ("holds", "violated", "not proved")}
    print(", ".join(f"{count} {name}" for name, count in counts.items() if count))
    if any(tier.exception_max for tier in bundle.catalogue.tiers.values()):
        print("by the rules: each exception is held against the assertions when it is requested")

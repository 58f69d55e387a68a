"""`mintwarden demo load -- COMMAND`: does anybody notice when a command changes what governs?"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

from mintwarden.app.cli.command import Command

app = Command(name="load")

if TYPE_CHECKING:
    from mintwarden.app.demo.load import Seen

ConfigFile = Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")]
Words = Annotated[
    str,
    cyclopts.Parameter(allow_leading_hyphen=True, help="After `--`: what `mintwarden` is to do under load."),
]


@app.default
def run(*words: Words, config: ConfigFile = Path("mintwarden.toml"), json: AsJson = False) -> int:
    """Ask two servers on the example company's store for tokens, all the while that a command runs, and check.

    The command is one that changes which version governs, such as `-- policy activate meridian`. Checked are every
    answer and every ledger entry: no request refused or failed; each decision there once, under one version; none
    under the new one before its activation; none under the old one of a request that began after the command.

    Exit code 0 when all of that holds, 1 when something does not or the command fails.
    """
    import msgspec

    from mintwarden.app.demo.load import run_load

    seen = run_load(config, words)
    if json:
        print(msgspec.json.format(msgspec.json.encode(seen)).decode())
    else:
        _print(seen)
    return 0 if seen.code == 0 and not seen.faults else 1


def _print(seen: Seen) -> None:
    print(f"`mintwarden {shlex.join(seen.words)}` ended with {seen.code}")
    if seen.code:
        print(seen.told.rstrip())
    print(f"{seen.answered} requests answered by two servers, {seen.refused} of them refused or failed")
    for digest, count in seen.versions.items():
        print(f"  {count:>7} decided under {digest}")
    for node, millis in enumerate(seen.effect, 1):
        print(f"server {node}: the first decision under the new version after {millis} ms")
    for fault in seen.faults:
        print(f"fault: {fault}")
    if not seen.faults:
        print("each decision stands in the ledger once, under one version, in order with the activation")

"""`mintwarden policy lint PATH`: what is well formed and probably not meant."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec

from mintwarden.app.cli.command import Command
from mintwarden.app.cli.plain import plain
from mintwarden.app.cli.report_file import is_streamed, report_option, write_report
from mintwarden.app.reviews.lint import as_json, as_sarif, linted
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.problem import Problems
from mintwarden.policy.bundle.read import read_bundle
from mintwarden.policy.lint.finding import Finding
from mintwarden.policy.lint.subject import Outstanding

app = Command(name="lint")

Folder = Annotated[Path, cyclopts.Parameter(help="The bundle: a folder with a `bundle.toml`.")]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")]
Sarif = Annotated[Path | None, report_option("--sarif", help="Also write the findings there as SARIF 2.1.0.")]


Deployment = Annotated[
    Path | None,
    cyclopts.Parameter(name=["--config", "-c"], help="A configuration file: also look at the exceptions in its store."),
]


@app.default
def run(path: Folder, /, *, config: Deployment = None, json: AsJson = False, sarif: Sarif = None) -> int:
    """Find what is well formed in a bundle and probably not meant.

    Exit code 0 when nothing is found that is not suppressed, 1 when something is, 2 when the bundle cannot be used.
    """
    streamed = is_streamed("--sarif", sarif, json=json)
    problems = Problems()
    texts = read_bundle(path, problems)
    bundle, now = build_bundle(texts, problems), datetime.now(UTC)
    outstanding = None if config is None else asyncio.run(_outstanding(config))
    findings = linted(bundle, texts, now, outstanding)
    open_ones = [finding for finding in findings if not finding.suppressed]
    if sarif is not None:
        _write_sarif(sarif, findings, path)
    if json:
        print(msgspec.json.format(msgspec.json.encode(as_json(findings))).decode())
    elif not streamed:
        _print(path, open_ones, len(findings) - len(open_ones))
    return 1 if open_ones else 0


async def _outstanding(config: Path) -> tuple[Outstanding, ...]:
    """The exceptions in force where the bundle governs."""
    from mintwarden.app.config import load_config
    from mintwarden.app.excepting import outstanding_of
    from mintwarden.app.foundation import foundation

    async with foundation(load_config(config), read_only=True) as base:
        return await outstanding_of(base)


def _write_sarif(file: Path, findings: Sequence[Finding], bundle: Path) -> None:
    folder = "" if bundle.is_absolute() else bundle.as_posix()
    write_report(file, msgspec.json.format(msgspec.json.encode(as_sarif(findings, folder))) + b"\n")


def _print(path: Path, findings: Sequence[Finding], suppressed: int) -> None:
    from rich.console import Console
    from rich.text import Text

    terminal = Console()
    out = Console(width=None if terminal.is_terminal else 10_000, highlight=False, markup=False, soft_wrap=True)
    for finding in findings:
        where = f"{str(path).rstrip('/')}/{finding.file}:{finding.line}"
        style = "red" if finding.severity == "error" else "yellow"
        out.print(Text.assemble((where, "bold"), ": ", (plain(f"{finding.severity}: {finding.message}"), style)))
        out.print(Text(plain(f"  {finding.remedy} ({finding.documentation})"), "dim"))
    count = f"{len(findings)} finding{'' if len(findings) == 1 else 's'}, {suppressed} suppressed"
    out.print(Text(count, "red" if findings else "green"))

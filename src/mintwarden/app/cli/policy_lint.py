"""`mintwarden policy lint PATH`: what is well formed and probably not meant."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import msgspec

from mintwarden import __version__
from mintwarden.app.cli.plain import plain
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.problem import Problems
from mintwarden.policy.bundle.read import read_bundle
from mintwarden.policy.lint.finding import Finding
from mintwarden.policy.lint.lint import lint
from mintwarden.policy.lint.sarif import sarif as sarif_document
from mintwarden.policy.lint.subject import Outstanding

Folder = Annotated[Path, cyclopts.Parameter(help="The bundle: a folder with a `bundle.toml`.")]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")]
Sarif = Annotated[Path | None, cyclopts.Parameter(name="--sarif", help="Also write the findings there as SARIF 2.1.0.")]


Deployment = Annotated[
    Path | None,
    cyclopts.Parameter(name=["--config", "-c"], help="A configuration file: also look at the exceptions in its store."),
]


def run(path: Folder, /, *, config: Deployment = None, json: AsJson = False, sarif: Sarif = None) -> int:
    """Find what is well formed in a bundle and probably not meant.

    Exit code 0 when nothing is found that is not suppressed, 1 when something is, 2 when the bundle cannot be used.
    """
    problems = Problems()
    texts = read_bundle(path, problems)
    bundle, now = build_bundle(texts, problems), datetime.now(UTC)
    outstanding = None if config is None else asyncio.run(_outstanding(config))
    findings = lint(bundle, texts, now.date(), exceptions=outstanding, now=round(now.timestamp() * 1000))
    open_ones = [finding for finding in findings if not finding.suppressed]
    if sarif is not None:
        _write_sarif(sarif, findings, path)
    if json:
        print(msgspec.json.format(msgspec.json.encode(as_json(findings))).decode())
    else:
        _print(path, open_ones, len(findings) - len(open_ones))
    return 1 if open_ones else 0


async def _outstanding(config: Path) -> tuple[Outstanding, ...]:
    """The exceptions in force where the bundle governs."""
    from mintwarden.app.config import load_config
    from mintwarden.app.excepting import exceptions_of
    from mintwarden.app.foundation import foundation

    async with foundation(load_config(config), read_only=True) as base:
        return tuple(
            Outstanding(one.request.id, one.request.scope, one.request.ticket, one.request.starts_at, one.ends_at)
            for one in await exceptions_of(base).all()
            if one.counts
        )


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings for a machine; names are fixed and documented in `docs/policy-lint.md`."""
    return {
        "ok": all(finding.suppressed for finding in findings),
        "findings": [msgspec.structs.asdict(finding) for finding in findings],
    }


def _write_sarif(file: Path, findings: Sequence[Finding], bundle: Path) -> None:
    folder = "" if bundle.is_absolute() else bundle.as_posix()
    document = sarif_document(findings, folder=folder, version=__version__)
    try:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(document)) + b"\n")
    except OSError as error:
        what = f"`{file}` cannot be written: {(error.strerror or 'unknown reason').lower()}"
        raise MintwardenError(ErrorKind.CONFIG, what, hint="name a file in a folder that exists") from error


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

"""`mintwarden check PATH`: is the bundle well formed, and do its scenarios come out as they say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import cyclopts
import msgspec

from mintwarden.app.cli.command import Command
from mintwarden.app.cli.plain import plain
from mintwarden.app.reviews.scenarios import results_json
from mintwarden.review.check import Report, check

app = Command(name="check")

Folder = Annotated[Path, cyclopts.Parameter(help="The bundle: a folder with a `bundle.toml`.")]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")]
Verbose = Annotated[bool, cyclopts.Parameter(name=["--verbose", "-v"], negative="", help="Name what passed, too.")]


@app.default
def run(path: Folder, /, *, json: AsJson = False, verbose: Verbose = False) -> int:
    """Check a bundle and run its scenarios through the compiled rules and through Cedar.

    Exit code 0 when all is well, 1 when a scenario comes out otherwise, 2 when the bundle cannot be used.
    """
    report = check(path)
    if json:
        print(msgspec.json.format(msgspec.json.encode(as_json(report))).decode())
    else:
        _print(path, report, verbose=verbose)
    return report.exit_code


def as_json(report: Report) -> dict[str, Any]:
    """The report for a machine; names are fixed and documented in `docs/bundle.md`."""
    return {
        "ok": report.exit_code == 0,
        "digest": report.digest,
        "counts": report.counts,
        "problems": [msgspec.structs.asdict(problem) for problem in report.problems],
        "scenarios": results_json(report.results),
    }


def _print(path: Path, report: Report, *, verbose: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    terminal = Console()
    out = Console(width=None if terminal.is_terminal else 10_000, highlight=False, markup=False, soft_wrap=True)
    for problem in report.problems:
        where = "/".join(part for part in (str(path).rstrip("/"), problem.file) if part)
        if problem.line:
            where = f"{where}:{problem.line}:{problem.column}"
        out.print(Text.assemble((where, "bold"), ": ", (plain(problem.message), "red")))
        if problem.remedy:
            out.print(Text(plain(f"  {problem.remedy}"), "dim"))
    for result in report.results:
        if not result.passed:
            out.print(
                Text.assemble(
                    (f"{path}/{result.file}:{result.line}", "bold"), ": ", (plain(f"scenario {result.id}"), "red")
                )
            )
            out.print(Text(plain(f"  {result.why}"), "dim"))
            for difference in result.differences:
                out.print(Text(plain(f"  {difference}")))
        elif verbose:
            out.print(Text.assemble(("ok ", "green"), plain(f"{result.id}: {result.why}")))
    out.print(Text(_summary(report), "red" if report.exit_code else "green"))


def _summary(report: Report) -> str:
    if report.problems:
        count = len(report.problems)
        return f"{count} problem{'s' if count != 1 else ''}: the bundle is refused"
    counted = ", ".join(f"{number} {name}" for name, number in report.counts.items() if number)
    if report.failed:
        return f"{len(report.failed)} of {len(report.results)} scenarios came out otherwise; {counted}"
    return f"good: {counted}; {report.digest}"

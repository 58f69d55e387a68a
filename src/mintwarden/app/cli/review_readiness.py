"""`mintwarden review readiness AUDIENCE`: whether an audience that observes may be enforced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec

from mintwarden.app.cli.command import Command
from mintwarden.app.config import Config, load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.logs import when
from mintwarden.app.reviews.readiness import as_markdown, readiness_of
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.explain import BECAUSE
from mintwarden.review.readiness.report import Breaking, Report

app = Command(name="readiness")

SHOWN = 50
"""Kinds of losses that are told where people read."""
CALLERS = 5
"""Callers named for each."""


@app.default
def run(
    audience: Annotated[str, cyclopts.Parameter(help="An audience of the bundle, by its id.")],
    /,
    *,
    since: Annotated[
        str,
        cyclopts.Parameter(help="From when on: `14d`, or a time. As many days as the criteria ask for if left out."),
    ] = "",
    show_subjects: Annotated[
        bool, cyclopts.Parameter(name="--show-subjects", negative="", help="Name people; else they are references.")
    ] = False,
    json: Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")] = False,
    markdown: Annotated[
        bool, cyclopts.Parameter(name="--markdown", negative="", help="For a ticket or a merge request.")
    ] = False,
    config: Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")] = Path(
        "mintwarden.toml"
    ),
) -> int:
    """Tell who would lose what if an audience that observes enforced, what would mend it, and whether it is ready.

    The criteria stand in the audience's own file, under `[readiness]`. Exit code 0 when it is ready, 1 when it is not.
    """
    if json and markdown:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "`--json` and `--markdown` at once", hint="choose one of them")
    found = asyncio.run(look(load_config(config), audience, since, show_subjects=show_subjects))
    if json:
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
    elif markdown:
        print("\n".join(as_markdown(found)))
    else:
        _print(found)
    return 0 if found.ready else 1


async def look(config: Config, audience: str, since: str = "", *, show_subjects: bool = False) -> Report:
    """The report over the configured deployment's ledger as it is now. Raises `NOT_FOUND`, `INVALID_REQUEST`."""
    async with foundation(config, read_only=True) as base:
        with _progress() as told:
            return await readiness_of(base, base.bundle, audience, since, show_subjects=show_subjects, told=told)


class _progress:  # noqa: N801 - a context manager, used like a function
    """A bar on a terminal's error output; nothing anywhere else."""

    def __enter__(self) -> Callable[[int, int], None]:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        self._bar = Progress(console=console, transient=True, disable=not console.is_terminal)
        self._bar.start()
        task = self._bar.add_task("reading the ledger", total=None)
        return lambda done, total: self._bar.update(task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _print(report: Report) -> None:
    from rich.console import Console
    from rich.text import Text

    terminal = Console()
    out = Console(width=None if terminal.is_terminal else 10_000, highlight=False, markup=False, soft_wrap=True)
    for line, style in _lines(report):
        out.print(Text("".join(char for char in line if char.isprintable()), style))


def _lines(report: Report) -> Iterator[tuple[str, str]]:
    verdict = "ready to enforce" if report.ready else "not ready to enforce"
    yield f"{report.audience} ({report.mode}): {verdict}", "bold green" if report.ready else "bold red"
    yield f"  decisions  {report.decisions} observed, {when(report.since)} to {when(report.until)}", ""
    if report.enforced:
        yield f"  canary     {report.enforced} enforced, {report.refused} of them refused something", ""
    for one in report.criteria:
        yield f"  {'yes' if one.met else 'NO '}  {one.wanted}: {one.found}", "" if one.met else "red"
    alike = _alike(report.breaking)
    for losses in alike[:SHOWN]:
        yield "", ""
        yield from _losses(losses)
    if len(alike) > SHOWN:
        yield "", ""
        yield f"and {len(alike) - SHOWN} more kinds of losses; `--json` has them all", "bold"
    if report.gaining:
        yield "", ""
        yield "the rules would also give", "bold"
        for gain in report.gaining[:SHOWN]:
            yield f"  {gain.scope} to callers of {gain.client}, {gain.count} times", ""
    if report.trend:
        yield "", ""
        yield "by day             decisions  would lose  would gain", "bold"
        for day in report.trend:
            yield f"  {day.day:<16} {day.decisions:>9} {day.would_lose:>11} {day.would_gain:>11}", ""


_STATES = {"breaks": ("would lose", "bold red"), "mended": ("lost", "green"), "explained": ("will lose", "yellow")}


def _alike(breaking: Iterable[Breaking]) -> list[list[Breaking]]:
    """Losses that the same thing would mend, together; those with the most callers first."""
    found: dict[object, list[Breaking]] = {}
    for loss in breaking:
        key = (loss.state, loss.client, loss.scope, loss.reason, loss.change, loss.note)
        found.setdefault(key, []).append(loss)
    return sorted(found.values(), key=lambda losses: (losses[0].state != "breaks", -len(losses), losses[0].client))


def _losses(losses: list[Breaking]) -> Iterator[tuple[str, str]]:
    loss, count = losses[0], sum(one.count for one in losses)
    verb, style = _STATES[loss.state]
    who = f"for {loss.subject}" if len(losses) == 1 else f"for {len(losses)} callers"
    yield f"{loss.client} {who} {verb} {loss.scope}", style
    first, last = min(one.first for one in losses), max(losses, key=lambda one: one.last)
    yield f"  {count} times, first {when(first)}, last {when(last.last)} ({last.decision})", ""
    yield f"  {BECAUSE.get(loss.reason, loss.reason)}", ""  # type: ignore[call-overload]
    if loss.state != "mended" and loss.change is not None:
        yield "  it would be granted if", ""
        yield from ((f"    {text}", "") for text in loss.change)
    elif loss.state != "mended" and (not loss.note or loss.state == "explained"):
        yield "  no change of facts or of the request was found that would turn it", ""
    if loss.note:
        yield f"  {'accepted: ' if loss.state == 'explained' else ''}{loss.note}", "dim"
    if len(losses) > 1:
        yield from ((f"  - {one.subject}, {one.count} times ({one.decision})", "dim") for one in losses[:CALLERS])
    if len(losses) > CALLERS:
        yield f"  - and {len(losses) - CALLERS} more", "dim"

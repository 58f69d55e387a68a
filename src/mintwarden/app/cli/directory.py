"""`mintwarden directory import`: people, groups, programs and entitlements from files into the store."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec

from mintwarden.app.clock import SystemClock
from mintwarden.app.config import Config, load_config
from mintwarden.app.directory_import import ImportResult, Options, Progress, import_directory
from mintwarden.app.foundation import governing_bundle
from mintwarden.app.spelling import millis_of
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.store import open_store

app = cyclopts.App(name="directory", help="Import the directory and its entitlements.")

_SIGNS = {"added": "+", "changed": "~", "removed": "-"}
_PHASES = ("reading", "checking", "writing")


@app.command(name="import")
def import_files(
    *files: Annotated[Path, cyclopts.Parameter(help="`.json`, `.jsonl` or `.csv` files; see docs/directory.md.")],
    dry_run: Annotated[bool, cyclopts.Parameter(negative="", help="Show what would change and write nothing.")] = False,
    prune: Annotated[bool, cyclopts.Parameter(negative="", help="Remove what the files no longer name.")] = False,
    max_removed: Annotated[
        float, cyclopts.Parameter(help="The share of a source, in percent, that may be removed at once.")
    ] = 20.0,
    show: Annotated[int, cyclopts.Parameter(help="How many changes to list, at most 1000.")] = 20,
    observed_at: Annotated[
        str, cyclopts.Parameter(help="When the directory was read, such as `2026-11-24T02:30:00Z`; now when left out.")
    ] = "",
    config: Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")] = Path(
        "mintwarden.toml"
    ),
    json: Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")] = False,
) -> None:
    """Bring what the store says about people, programs and agents in line with the files of a directory.

    Everything is read and checked before anything is written. The next decision sees what was written.
    """
    if not files:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "no file is named", hint="see `mintwarden directory --help`")
    options = Options(
        dry_run=dry_run,
        prune=prune,
        max_removed=max_removed,
        observed_at=millis_of(observed_at) if observed_at else SystemClock().now(),
    )
    result = _run(load_config(config), files, options, quiet=json)
    if json:
        print(msgspec.json.format(msgspec.json.encode(result)).decode())
    else:
        _print(result, show)


def _run(config: Config, files: tuple[Path, ...], options: Options, *, quiet: bool) -> ImportResult:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), MofNCompleteColumn())
    with Bars(*columns, console=console, disable=quiet or not console.is_terminal) as bars:
        tasks = {phase: bars.add_task(phase, total=None, visible=False) for phase in _PHASES}

        def progress(phase: str, done: int) -> None:
            bars.update(tasks[phase], completed=done, visible=True)
            if phase == "checking":
                bars.update(tasks["writing"], total=done)

        return asyncio.run(_import(config, files, options, progress))


async def _import(config: Config, files: tuple[Path, ...], options: Options, progress: Progress) -> ImportResult:
    store = await open_store(config.store.url, read_only=options.dry_run)
    try:
        catalogue = (await governing_bundle(config, store, SystemClock()))[0].catalogue
        return await import_directory(files, catalogue, store, options, progress=progress)
    finally:
        await store.close()


def _print(result: ImportResult, show: int) -> None:
    for change in result.changes[: max(0, show)]:
        facts = f"  {', '.join(change.facts)}" if change.facts else ""
        print(f"{_SIGNS[change.change]} {change.source}  {change.entity}{facts}")
    hidden = len(result.changes[max(0, show) :]) + result.more
    if hidden:
        print(f"  and {hidden} more")
    for counted in result.sources:
        kept = f", {counted.kept} not in the files and kept" if counted.kept else ""
        print(
            f"{counted.source}: {counted.added} added, {counted.changed} changed, {counted.confirmed} confirmed, "
            f"{counted.removed} removed{kept}"
        )
    what = "nothing was written" if result.dry_run else "done"
    print(f"{result.records} records, {result.groups} groups: {what}")

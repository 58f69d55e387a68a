"""`mintwarden exception report`: exceptions as debt, as text, JSON and SVG."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

from mintwarden.app.cli.exception import AsJson, ConfigFile, print_json, print_lines
from mintwarden.app.cli.report_file import is_streamed, report_option, write_report
from mintwarden.app.config import Config, load_config
from mintwarden.app.exceptions_told import debt_lines
from mintwarden.app.foundation import foundation
from mintwarden.app.reviews.debt import as_json, debt_of
from mintwarden.review.debt import Debt
from mintwarden.review.debt_chart import chart


def run(
    *,
    svg: Annotated[Path | None, report_option("--svg", help="Also draw it there.")] = None,
    config: ConfigFile = Path("mintwarden.toml"),
    json: AsJson = False,
) -> None:
    """Report exceptions as debt: open by owner, age and tier, tokens minted under each, never used, burn-down.

    Reads the whole ledger, some entries at a time.
    """
    streamed = is_streamed("--svg", svg, json=json)
    debt = asyncio.run(_report(load_config(config)))
    if svg is not None:
        write_report(svg, chart(debt))
    if json:
        print_json(as_json(debt))
    elif not streamed:
        print_lines(debt_lines(debt))


async def _report(config: Config) -> Debt:
    async with foundation(config, read_only=True) as base:
        with _progress(await base.store.entries.count()) as progress:
            return await debt_of(base, progress)


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Entries read so far, to standard error, on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _count: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading the ledger", total=total)
        yield lambda count: bar.update(task, completed=count)

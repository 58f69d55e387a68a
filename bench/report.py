"""Tables on the terminal, result files and charts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.chart import bars
from bench.document import all_times, times_row

GROWTH = ("rules", "ledger", "directory", "verify")

Parts = Mapping[str, Mapping[str, Any]]
"""Part by name: `taken`, `figures`, `verdicts`."""


def console() -> Console:
    """Standard output; into a file or a pipe, wide enough for the tables."""
    plain = Console()
    return plain if plain.is_terminal else Console(width=140)


def show(parts: Parts, out: Console) -> None:
    """Every part's figures, and at the end the targets."""
    for name, part in parts.items():
        table = Table(title=name, title_justify="left")
        if name == "steps":
            _steps(table, part["figures"])
        elif all_times(part["figures"]):
            _times(table, part["figures"])
        else:
            _figures(table, part["figures"])
        out.print(table)
    verdicts = Table(title="targets", title_justify="left")
    for column in ("", "wanted", "found", ""):
        verdicts.add_column(column)
    for part in parts.values():
        for one in part["verdicts"]:
            verdicts.add_row(one["what"], one["wanted"], one["found"], "met" if one["met"] else "[red]missed[/red]")
    out.print(verdicts)


def _figures(table: Table, figures: Mapping[str, Any]) -> None:
    for column in ("", "per second", "p50 ms", "p99 ms", "CPU µs each", "commit batch", "runs"):
        table.add_column(column, justify="left" if column in ("", "runs") else "right", no_wrap=not column)
    for name, value in figures.items():
        if isinstance(value, dict) and "rates" in value:
            cpu = value.get("cpu_us", value.get("cpu_us_each_answer"))
            cells = (f"{value['rate']:,.0f}", value["p50_ms"], value["p99_ms"], cpu, value.get("batch", ""))
            table.add_row(name, *(str(cell) for cell in cells), " ".join(f"{rate:,}" for rate in value["rates"]))
        elif isinstance(value, dict) and value.keys() == {"rate", "cpu"}:
            table.add_row(name, f"{value['rate']:.2f} x", "", "", f"{value['cpu']:.2f} x", "", "")
        else:
            table.add_row(name, "", "", "", "", "", value if isinstance(value, str) else json.dumps(value))


def _steps(table: Table, figures: Mapping[str, Mapping[str, float]]) -> None:
    table.add_column("CPU µs each")
    for kind in figures:
        table.add_column(kind, justify="right")
    for step in next(iter(figures.values()), {}):
        table.add_row(step, *(f"{found[step]:.1f}" for found in figures.values()))


def _times(table: Table, figures: Mapping[str, Any]) -> None:
    for column in ("", "seconds", "CPU seconds", "runs", "what"):
        table.add_column(column, justify="left" if column in ("", "what") else "right")
    for name, value in figures.items():
        table.add_row(name, *times_row(value))


def charts(parts: Parts) -> dict[str, str]:
    """Name of a chart to its SVG text, of the parts that are there."""
    drawn: dict[str, str] = {}
    if "rates" in parts:
        shown = _of_each(parts["rates"], "rate")
        drawn["rates"] = bars("tokens per second, one server core, by number of connections", shown)
    if "steps" in parts:
        found = parts["steps"]["figures"]
        drawn["steps"] = bars(
            "µs of CPU per request",
            {f"{step} ({kind})": value for kind, of_kind in found.items() for step, value in of_kind.items()},
            pale="all of a request",
        )
    growth = {
        name: value for part in GROWTH if part in parts for name, value in _of_each(parts[part], "cpu_us").items()
    }
    if growth:
        drawn["growth"] = bars("µs of CPU per request", growth)
    return drawn


def _of_each(part: Mapping[str, Any], key: str) -> dict[str, float]:
    return {name: value[key] for name, value in part["figures"].items() if isinstance(value, dict) and key in value}


def save(folder: Path, name: str, results: Mapping[str, Any]) -> None:
    """The results as JSON, and the charts beside them."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    for chart, svg in charts(results["parts"]).items():
        (folder / f"{name}-{chart}.svg").write_text(svg)


def load(folder: Path, name: str) -> dict[str, Any]:
    """Results that were saved before, or none."""
    try:
        found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    except (OSError, ValueError):
        return {}
    return found

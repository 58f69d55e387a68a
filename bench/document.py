"""The figures as Markdown: the part of docs/performance.md between two marks is written from the results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- figures: written by `python -m bench --document` -->", "<!-- end of figures -->"
NOTHING = "No results are kept here yet: `make bench` takes them."
CHARTS = {"rates": "Tokens per second", "steps": "Cost of each step", "growth": "Cost of a request by size"}


def document(page: str, results: Mapping[str, Any]) -> str:
    """The page with the figures of `results`; raises `ValueError` when it has no place for them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no place for figures")
    return f"{before}{BEGIN}\n\n{figures(results)}\n\n{END}{after}"


def figures(results: Mapping[str, Any]) -> str:
    """The figures as Markdown, or that there are none."""
    if not results.get("parts"):
        return NOTHING
    return "\n\n".join(_blocks(results))


def _blocks(results: Mapping[str, Any]) -> Iterator[str]:
    where, parts = results["machine"], results["parts"]
    yield (
        f"{where['cores']} cores ({where['cpu']}), {where['system']}, Python {where['python']}, Node {where['node']}. "
        "CPU is processor time of the server's process per request, user and kernel, all threads."
    )
    yield _table(
        ("target", "wanted", "found", ""),
        [
            (one["what"], one["wanted"], one["found"], "met" if one["met"] else "**missed**")
            for part in parts.values()
            for one in part["verdicts"]
        ],
    )
    for name, part in parts.items():
        yield f"### `{name}`"
        when, about = part["taken"], part["about"]
        yield (
            f"{about[:1].upper()}{about[1:]}. Taken {when['at'][:10]} at revision `{when['revision']}`; "
            f"load average {when['load_average'][0]} before."
        )
        yield _shown(name, part["figures"])
    for chart, title in CHARTS.items():
        if any(name in parts for name in (chart, *(("rules", "ledger", "directory", "verify") * (chart == "growth")))):
            yield f"![{title}](../bench/results/latest-{chart}.svg)"


def _shown(name: str, found: Mapping[str, Any]) -> str:
    if name == "steps":
        return _steps(found)
    return _times(found) if all_times(found) else _rates(found)


def all_times(found: Mapping[str, Any]) -> bool:
    """Every figure says how many seconds something takes."""
    return all(isinstance(value, dict) and {"seconds", "all"} <= value.keys() for value in found.values())


def _times(found: Mapping[str, Any]) -> str:
    rows = [(name, *times_row(value)) for name, value in found.items()]
    return _table(("", "seconds", "CPU seconds", "runs", "what"), rows)


def times_row(value: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Seconds (the median), processor time of the same, every run, and a note."""
    runs = " ".join(f"{one:g}" for one in value["all"])
    used = " ".join(f"{one:g}" for one in value.get("cpu_seconds", ()))
    return f"{value['seconds']:g}", used, runs, str(value.get("note", ""))


def _rates(found: Mapping[str, Any]) -> str:
    rows = []
    for name, value in found.items():
        if isinstance(value, dict) and "rates" in value:
            cpu = value.get("cpu_us", value.get("cpu_us_each_answer"))
            runs = " ".join(f"{rate:,}" for rate in value["rates"])
            batch = str(value.get("batch", ""))
            rows.append(
                (name, f"{value['rate']:,.0f}", f"{value['p50_ms']}", f"{value['p99_ms']}", f"{cpu}", batch, runs)
            )
        elif isinstance(value, dict) and value.keys() == {"rate", "cpu"}:
            rows.append((name, f"**{value['rate']:.2f} x**", "", "", f"{value['cpu']:.2f} x", "", ""))
        else:
            rows.append((name, "", "", "", "", "", json.dumps(value)))
    return _table(("", "per second", "p50 ms", "p99 ms", "CPU µs", "commit batch", "runs"), rows)


def _steps(found: Mapping[str, Mapping[str, float]]) -> str:
    steps = next(iter(found.values()))
    rows = [(step, *(f"{of_kind[step]:.1f}" for of_kind in found.values())) for step in steps]
    return _table(("CPU µs per request", *(f"`{kind}`" for kind in found)), rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ("---", *("---:" for _ in heads[1:]))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))

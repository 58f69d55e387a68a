"""`docs/interop.md` reports what is run here as counts, and with which versions."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/interop.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (.+) \| .+ \| \[(\d+)\]\(\.\./(.+)\) \|$", PAGE, flags=re.MULTILINE)
"""Tools, number of cases, file."""


def pinned() -> dict[str, str]:
    """Name to version, of both worlds."""
    found: dict[str, str] = json.loads((ROOT / "interop/package.json").read_text(encoding="utf-8"))["dependencies"]
    for name in ("base", "dev", "interop"):
        text = (ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8")
        found |= dict(re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==([\w.]+)", text, flags=re.MULTILINE))
    return found


def test_the_page_tells_the_counts(request: pytest.FixtureRequest):
    """Of each file that was collected whole; of all of them, if all were."""
    config = request.config
    if config.option.keyword or any("::" in word for word in config.args):
        pytest.skip("explained: only a part of the cases was asked for")
    counted = Counter(item.nodeid.partition("::")[0] for item in request.session.items)
    del counted["interop/test_page.py"]
    told = {file: int(number) for _, number, file in ROWS}
    assert len(told) == len(ROWS) == len(re.findall(r"^\| ", PAGE, flags=re.MULTILINE)) - 2
    ours = {file: number for file, number in counted.items() if file in told or file.startswith("interop/")}
    assert ours == {file: told.get(file) for file in ours}
    assert set(told) >= {str(path.relative_to(ROOT)) for path in (ROOT / "interop").glob("test_*.py")} - {
        "interop/test_page.py"
    }
    assert all((ROOT / file).exists() for file in told)


def test_the_page_tells_the_versions():
    known = pinned()
    told = [pair for tools, _, _ in ROWS for pair in re.findall(r"([@\w/-]+) (\d[\w.-]*)", tools)]
    assert told == [(name, known.get(name)) for name, _ in told]
    packages = json.loads((ROOT / "interop/package.json").read_text(encoding="utf-8"))["dependencies"]
    assert {name for name, _ in told} >= {*packages, "mcp", "mcp-authlab", "spiffe", "playwright"}

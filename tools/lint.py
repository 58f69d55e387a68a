"""Runs our own lints over the repository: `python -m tools.lint`. Exit code 1 when one of them finds something."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tools import fences, purity, sizes
from tools.findings import ROOT, Finding

LINTS = (purity.findings, fences.findings, sizes.findings)


def run(root: Path) -> Iterator[Finding]:
    """Every finding of every lint."""
    for lint in LINTS:
        yield from lint(root)


def main() -> int:
    """Print what was found."""
    found = list(run(ROOT))
    for finding in found:
        print(finding)
    print(f"our own lints (purity, fences, sizes): {len(found)} finding(s)")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

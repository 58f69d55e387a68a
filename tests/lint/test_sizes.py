"""Too long is found; contract suites are exempt."""

from __future__ import annotations

from pathlib import Path

from tools import sizes
from tools.findings import ROOT


def write(root: Path, name: str, text: str) -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_long_function_and_a_long_file_are_found(tmp_path: Path):
    write(tmp_path, "src/mintwarden/web/long.py", "def f():\n" + "    x = 1\n" * 80)
    write(tmp_path, "src/mintwarden/web/fits.py", "def f():\n" + "    x = 1\n" * 79)
    write(tmp_path, "src/mintwarden/web/file.py", "x = 1\n" * 601)
    write(tmp_path, "tests/contract/suite.py", "x = 1\n" * 601)
    assert [str(f) for f in sizes.findings(tmp_path)] == [
        "src/mintwarden/web/file.py:1: file of 601 lines, more than 600: split it where the halves have names",
        "src/mintwarden/web/long.py:1: `f` has 81 lines, more than 80",
    ]


def test_the_repository_is_clean():
    assert list(sizes.findings(ROOT)) == []

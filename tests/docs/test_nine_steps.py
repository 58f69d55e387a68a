"""The nine steps are the same, in the same order, in the text and in the code."""

from __future__ import annotations

import re

from tests.docs.pages import headings
from tools.findings import ROOT

PAGE = ROOT / "docs" / "life-of-a-token.md"
PIPELINE = ROOT / "src" / "mintwarden" / "issue" / "pipeline.py"


def told() -> list[tuple[int, str]]:
    found = (re.fullmatch(r"(\d+) (.+)", heading) for heading in headings(PAGE))
    return [(int(match[1]), match[2]) for match in found if match]


def written() -> list[tuple[int, str]]:
    return [(int(n), name) for n, name in re.findall(r"^ +# (\d) ([\w.]+)", PIPELINE.read_text(), flags=re.MULTILINE)]


def test_the_text_has_nine_steps_in_order():
    assert [number for number, _ in told()] == list(range(1, 10))


def test_the_pipelines_steps_are_the_texts():
    steps = told()
    assert (steps[0], steps[-1]) == ((1, "web parses"), (9, "web responds"))
    assert written() == steps[1:-1]


def test_each_step_names_a_file_that_is_there():
    for match in re.findall(r"^`((?:[a-z_]+/)+[a-z_]*(?:\.py)?)`", PAGE.read_text(), flags=re.MULTILINE):
        assert (ROOT / "src" / "mintwarden" / match).exists(), match

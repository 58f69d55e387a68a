"""The questions of `docs/authzen.md`, asked as they stand, and their answers."""

from __future__ import annotations

import itertools
import re
from typing import Any

import msgspec

from tests.docs.pages import blocks
from tests.flow.authzen import deciding
from tools.findings import ROOT

EXAMPLES = [
    (asked, answer)
    for asked, answer in itertools.pairwise(blocks(ROOT / "docs" / "authzen.md"))
    if asked.info[:2] == ("json", "request") and answer.info == ("json", "answer")
]


def matches(said: Any, shown: Any) -> bool:
    """`...` stands for anything in a text."""
    if isinstance(shown, str):
        return isinstance(said, str) and bool(re.fullmatch(".*".join(map(re.escape, shown.split("..."))), said))
    if isinstance(shown, dict):
        return said.keys() == shown.keys() and all(matches(said[name], shown[name]) for name in shown)
    if isinstance(shown, list):
        return len(said) == len(shown) and all(map(matches, said, shown))
    return bool(said == shown)


async def test_every_question_is_answered_as_it_stands(tmp_path):
    assert len(EXAMPLES) == 4
    async with deciding(tmp_path) as point:
        for asked, answer in EXAMPLES:
            said = await point.ask(asked.info[2], msgspec.json.decode("\n".join(asked.lines)))
            assert matches(said, msgspec.json.decode("\n".join(answer.lines))), (asked.name, said)

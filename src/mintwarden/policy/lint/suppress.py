"""Comments by which a finding is let be: `lint: allow <id> until <YYYY-MM-DD>: <reason>`.

In TOML after `#`, in Cedar after `//`, on the line of the finding, or on lines of their own before it.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

_MARK = re.compile(r"(?:#|//)\s*lint\s*:\s*(.*)$")
_WHOLE = re.compile(r"allow\s+([a-z-]+)\s+until\s+(\d{4}-\d{2}-\d{2})\s*:\s*(\S.*)")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')
_COMMENT_LINE = re.compile(r"\s*(?:#|//)")


class Suppression(Struct, frozen=True):
    """One such comment; `id` is empty when it is not written as it should be.

    Attributes:
        line: where it stands.
        covers: the line whose findings it is about.
        until: the last day on which it holds.
    """

    file: str
    line: int
    covers: int
    id: str = ""
    until: datetime.date = datetime.date.min
    reason: str = ""


def read_suppressions(texts: Mapping[str, str]) -> Iterator[Suppression]:
    """Every suppression in a bundle's texts, well written or not."""
    for file, text in sorted(texts.items()):
        if "lint" not in text:
            continue
        lines = text.splitlines()
        for index, line in enumerate(lines):
            mark = _MARK.search(_STRING.sub(lambda found: "_" * len(found.group()), line))
            if mark is not None:
                yield _read(file, index + 1, _covered(lines, index), line[mark.start(1) :].strip())


def _read(file: str, line: int, covers: int, text: str) -> Suppression:
    whole = _WHOLE.fullmatch(text)
    if whole is None:
        return Suppression(file, line, covers)
    try:
        until = datetime.date.fromisoformat(whole[2])
    except ValueError:
        return Suppression(file, line, covers)
    return Suppression(file, line, covers, whole[1], until, whole[3])


def _covered(lines: list[str], index: int) -> int:
    """The comment's own line if something else stands there, else the next one that is no comment and not empty."""
    while index < len(lines) and (not lines[index].strip() or _COMMENT_LINE.match(lines[index])):
        index += 1
    return index + 1

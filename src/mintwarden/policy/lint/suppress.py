"""Comments by which a finding is let be: `lint: allow <id> until <YYYY-MM-DD>: <reason>`.

In TOML after `#`, in Cedar after `//`, on the line of the finding, or on lines of their own before it.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

_MARK = re.compile(r"(?:#|//)\s*lint\s*:\s*(.*)$")
_WHOLE = re.compile(r"allow\s+([a-z-]+)\s+until\s+(\d{4}-\d{2}-\d{2})\s*:\s*(\S.*)")
_QUOTES = "\"'"
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
        about = covered(lines)
        for index, line in enumerate(lines):
            mark = _MARK.search(_without_strings(line)) if "lint" in line else None
            if mark is not None:
                yield _read(file, index + 1, about[index], line[mark.start(1) :].strip())


def _read(file: str, line: int, covers: int, text: str) -> Suppression:
    whole = _WHOLE.fullmatch(text)
    if whole is None:
        return Suppression(file, line, covers)
    try:
        until = datetime.date.fromisoformat(whole[2])
    except ValueError:
        return Suppression(file, line, covers)
    return Suppression(file, line, covers, whole[1], until, whole[3])


def _without_strings(line: str) -> str:
    kept, at = [], 0
    for begin, end in strings(line):
        kept += [line[at:begin], "_" * (end - begin)]
        at = end
    return "".join((*kept, line[at:]))


def strings(line: str) -> Iterator[tuple[int, int]]:
    """Where the strings of one line begin and end, quotes included; what is never closed is none.

    INVARIANT: no character is looked at more than four times, whatever stands there. A quote that finds no end is the
    last of its kind that is tried: one that stands behind it would find none either.
    """
    tried, at = set[str](), 0
    while at < len(line):
        quote = line[at]
        end = _end(line, at, quote) if quote in _QUOTES and quote not in tried else 0
        if end < 0:
            tried.add(quote)
        if end > 0:
            yield at, end
        at = max(end, at + 1)


def _end(line: str, at: int, quote: str) -> int:
    """Behind the end of the string that begins at `at`, or -1; a backslash escapes between double quotes alone."""
    at += 1
    while at < len(line):
        here = line[at]
        if here == quote:
            return at + 1
        at += 2 if here == "\\" and quote == '"' else 1
    return -1


def covered(lines: Sequence[str]) -> list[int]:
    """For each line the one that a comment on it is about: itself if something else stands there, else the next one
    that is no comment and not empty. Each line is looked at once.
    """
    found, below = [0] * len(lines), len(lines) + 1
    for index in range(len(lines) - 1, -1, -1):
        line = lines[index]
        if line.strip() and not _COMMENT_LINE.match(line):
            below = index + 1
        found[index] = below
    return found

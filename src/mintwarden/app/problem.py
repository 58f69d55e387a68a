"""What is wrong with a configuration, in which line, and what to do about it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from msgspec import Struct

from mintwarden.model.errors import ErrorKind, MintwardenError

_HEADER = re.compile(r"^\s*\[\[?\s*(?P<path>[^\[\]#]+?)\s*\]\]?\s*(#.*)?$")
_WORD = r"(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')"
_KEY = re.compile(rf"^\s*(?P<path>{_WORD}(?:\s*\.\s*{_WORD})*)\s*=")
_STEP = re.compile(r"\"([^\"]*)\"|'([^']*)'|([A-Za-z0-9_-]+)")


class Problem(Struct, frozen=True):
    """One problem. `line` is 0 when it is not about a line; `key` is the path of the key it is about."""

    file: str
    line: int
    what: str
    remedy: str
    key: tuple[str, ...] = ()

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.what}"


class ConfigError(MintwardenError):
    """The configuration cannot be used. `problems` lists everything that was found."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(ErrorKind.CONFIG, str(problems[0]), hint=problems[0].remedy)
        self.problems = problems


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A remedy: the nearest known word, or all of them."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    return "known here: " + ", ".join(f"`{name}`" for name in names)


def line_of(text: str, path: tuple[str, ...]) -> int:
    """The line on which `path` is set in a TOML text, or the nearest enclosing table's; 0 if neither stands there.

    It looks at lines, not at the grammar: good enough to point a person at the place.
    """
    table: tuple[str, ...] = ()
    found = best = 0
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        if header:
            table = _steps(header["path"])
            if path[: len(table)] == table and len(table) > best:
                found, best = number, len(table)
            continue
        key = _KEY.match(line)
        if key and path == (*table, *_steps(key["path"])):
            return number
    return found


def _steps(dotted: str) -> tuple[str, ...]:
    return tuple(next(part for part in match.groups() if part is not None) for match in _STEP.finditer(dotted))

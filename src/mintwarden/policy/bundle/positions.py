"""Where keys and values stand in a TOML text (or a JSON object), found only when an error has to be reported.

The text has been read by `tomllib` before, so this scanner follows its shape and judges nothing: on anything
unexpected it stops and keeps the positions found so far.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Path = tuple[str | int, ...]

_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}' + r"|'''.*?'{3,5}" + r'|"(?:[^"\\\n]|\\.)*"' + r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]*")
_LINE_END = re.compile(r"\n")


class _Lost(Exception):
    """The text does not go on as expected."""


def locate(text: str) -> Mapping[tuple[Path, bool], tuple[int, int]]:
    """(path, is it the key) to (line, column), both from 1, of every key, value, table and array element."""
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[tuple[Path, bool], tuple[int, int]] = {}
        self.starts = [0, *(match.end() for match in _LINE_END.finditer(text))]
        self.counts: dict[Path, int] = {}
        self.line = 0
        self.sign = "="

    def scan(self) -> Mapping[tuple[Path, bool], tuple[int, int]]:
        table: Path = ()
        try:
            self._skip(_SPACE)
            if self.text.startswith("{", self.at):  # no TOML text begins so
                self.sign = ":"
                self._inline(())
            while self.at < len(self.text):
                if self.text[self.at] == "[":
                    table = self._header()
                else:
                    self._pair(table)
                self._skip(_SPACE)
        except (_Lost, IndexError, RecursionError):
            pass
        return self.found

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        if match is not None:
            self.at = match.end()

    def _mark(self, path: Path, *, key: bool, at: int | None = None) -> None:
        offset = self.at if at is None else at
        while self.line + 1 < len(self.starts) and self.starts[self.line + 1] <= offset:
            self.line += 1
        self.found.setdefault((path, key), (self.line + 1, offset - self.starts[self.line] + 1))

    def _expect(self, word: str) -> None:
        if not self.text.startswith(word, self.at):
            raise _Lost
        self.at += len(word)

    def _header(self) -> Path:
        start = self.at
        many = self.text.startswith("[[", self.at)
        self._expect("[[" if many else "[")
        path = self._resolve(self._key(()))
        self._expect("]]" if many else "]")
        if many:
            count = self.counts.get(path, 0)
            self.counts[path] = count + 1
            path = (*path, count)
        self._mark(path, key=True, at=start)
        return path

    def _resolve(self, path: Path) -> Path:
        """A header's keys, with the index of the last element for each array of tables on the way."""
        resolved: Path = ()
        for step in path[:-1]:
            resolved = (*resolved, step)
            if resolved in self.counts:
                resolved = (*resolved, self.counts[resolved] - 1)
        return (*resolved, path[-1])

    def _key(self, base: Path) -> Path:
        """A possibly dotted key; marks every part of it."""
        path = base
        while True:
            self._skip(_BLANK)
            start = self.at
            part = _BARE.match(self.text, self.at) or _STRING.match(self.text, self.at)
            if part is None:
                raise _Lost
            self.at = part.end()
            path = (*path, _name(part.group()))
            self._mark(path, key=True, at=start)
            self._skip(_BLANK)
            if self.text[self.at : self.at + 1] != ".":
                return path
            self.at += 1

    def _pair(self, table: Path) -> None:
        path = self._key(table)
        self._expect(self.sign)
        self._skip(_BLANK)
        self._value(path)

    def _value(self, path: Path) -> None:
        self._mark(path, key=False)
        char = self.text[self.at]
        if char == "[":
            self._array(path)
        elif char == "{":
            self._inline(path)
        else:
            match = _STRING.match(self.text, self.at) or _SCALAR.match(self.text, self.at)
            if match is None or match.end() == self.at:
                raise _Lost
            self.at = match.end()

    def _array(self, path: Path) -> None:
        self.at += 1
        index = 0
        while True:
            self._skip(_SPACE)
            if self.text[self.at] == "]":
                self.at += 1
                return
            self._value((*path, index))
            index += 1
            self._skip(_SPACE)
            if self.text[self.at] == ",":
                self.at += 1

    def _inline(self, path: Path) -> None:
        self.at += 1
        while True:
            self._skip(_SPACE)
            if self.text[self.at] == "}":
                self.at += 1
                return
            self._pair(path)
            self._skip(_SPACE)
            if self.text[self.at] == ",":
                self.at += 1


def _name(part: str) -> str:
    if part[0] not in "\"'":
        return part
    body = part[1:-1]
    return body if part[0] == "'" or "\\" not in body else _unescape(body)


def _unescape(body: str) -> str:
    """A basic string's escapes, for the few keys that have any."""
    short = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}

    def one(match: re.Match[str]) -> str:
        word = match.group(1)
        return chr(int(word[1:], 16)) if word[0] in "uUx" and len(word) > 1 else short.get(word, word)

    return re.sub(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|x[0-9A-Fa-f]{2}|.)", one, body)

"""Splits a rules file into its policies and refuses what would hurt the parser, before the parser sees it.

Cedar's parser is native code that overflows its stack, and takes the process with it, on text that nests deeply
or chains an operator thousands of times. One linear pass, which knows strings and comments, measures both.
"""

from __future__ import annotations

import re

from msgspec import Struct

from mintwarden.policy.cedar.slips import slip_in

MAX_FILE = 1 << 20
MAX_POLICY = 1 << 16
MAX_BRACKETS = 60
MAX_NESTING = 600
MAX_REPEATS = 64

_TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*+")
      | (?P<comment>//[^\n]*+)
      | (?P<has>\bhas\s++[A-Za-z_]\w*+(?P<path>(?:\s*+\.\s*+[A-Za-z_]\w*+)*+))
      | (?P<note>@\s*+[A-Za-z_]\w*+)
      | (?P<effect>\b(?:permit|forbid)\b)
      | (?P<open>[(\[{])
      | (?P<close>[)\]}])
      | (?P<end>;)
      | (?P<comma>,)
      | (?P<nests>&&|\|\||[-+*!.]|\bif\b)
      | (?P<word>\w++)
      | (?P<broken>")""",
    re.VERBOSE | re.DOTALL,
)
_SPACE = re.compile(r"(?:\s++|//[^\n]*+)*+")


class Chunk(Struct, frozen=True):
    """The text of one policy and where it is in its file. `effect_at` is the offset of its effect, or -1."""

    text: str
    offset: int
    effect_at: int


class Trouble(Struct, frozen=True):
    """Something wrong at `offset`."""

    offset: int
    message: str
    remedy: str


def scan(text: str) -> tuple[list[Chunk], list[Trouble]]:
    """The policies of a file that are safe to parse, and what is wrong with the rest. Linear in the text."""
    if len(text) > MAX_FILE or len(text.encode("utf-8", "surrogatepass")) > MAX_FILE:
        return [], [Trouble(0, "the file is larger than 1 MiB", "split it into several files")]
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._chunks: list[Chunk] = []
        self._troubles: list[Trouble] = []
        self._begin(0)

    def _begin(self, at: int) -> None:
        start = _SPACE.match(self._text, at)
        self._start = start.end() if start else at
        self._effect_at = -1
        self._trouble: Trouble | None = None
        self._nesting = 0
        self._levels: list[int] = [0]
        self._repeats: list[int] = [1]
        self._inner_repeats: list[int] = [1]

    def scan(self) -> tuple[list[Chunk], list[Trouble]]:
        for match in _TOKEN.finditer(self._text):
            group = match.lastgroup if match.lastgroup != "path" else "has"
            at = match.start()
            if group == "open":
                self._open(at)
            elif group == "close":
                self._close(at)
            elif group == "nests":
                self._nest(at)
            elif group == "comma":
                self._nesting -= self._levels[-1]
                self._levels[-1] = 0
            elif group == "has":
                self._has(match)
            elif group == "effect":
                if self._effect_at < 0 and len(self._levels) == 1:
                    self._effect_at = at - self._start
            elif group == "end":
                if len(self._levels) > 1:
                    self._refuse(at, "a bracket is never closed", "close it before the `;`")
                self._finish(match.end())
            elif group == "broken":
                before = self._slip(at)
                self._troubles.append(before or Trouble(at, "the string is never closed", 'add a `"`'))
                return self._chunks, self._troubles
        if self._start < len(self._text):
            self._unfinished()
        return self._chunks, self._troubles

    def _open(self, at: int) -> None:
        self._nest(at)
        self._levels.append(0)
        self._repeats.append(1)
        self._inner_repeats.append(1)
        if len(self._levels) > MAX_BRACKETS + 1:
            self._refuse(at, f"brackets are nested more than {MAX_BRACKETS} deep", "split the rule")

    def _close(self, at: int) -> None:
        if len(self._levels) == 1:
            self._refuse(at, "a bracket closes that was never opened", "remove it or add the opening one")
            return
        self._nesting -= self._levels.pop()
        repeats = max(self._repeats.pop(), self._inner_repeats.pop())
        self._inner_repeats[-1] = max(self._inner_repeats[-1], repeats)

    def _nest(self, at: int) -> None:
        self._levels[-1] += 1
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            self._refuse(at, "the expression is too long", "use sets, or several `when` clauses or rules")

    def _has(self, match: re.Match[str]) -> None:
        """`(.. has a.b) has a.b`: the parser writes the left side out once for each name, so it multiplies."""
        names = match["path"].count(".") + 1
        self._levels[-1] += names
        self._nesting += names
        self._repeats[-1] = max(self._repeats[-1], names * self._inner_repeats[-1])
        if self._repeats[-1] > MAX_REPEATS or self._nesting > MAX_NESTING:
            self._refuse(match.start(), "`has` with a path is nested too deep", "test one step at a time, with `&&`")

    def _refuse(self, at: int, message: str, remedy: str) -> None:
        if self._trouble is None:
            self._trouble = Trouble(at, message, remedy)

    def _finish(self, end: int) -> None:
        if end - self._start > MAX_POLICY:
            self._refuse(self._start, "the rule is longer than 64 KiB", "split it")
        if self._trouble is None:
            self._chunks.append(Chunk(self._text[self._start : end], self._start, self._effect_at))
        else:
            self._troubles.append(self._trouble)
        self._begin(end)

    def _unfinished(self) -> None:
        trouble = self._trouble or self._slip(len(self._text))
        if trouble is None and self._effect_at < 0 and not self._text.startswith("@", self._start):
            trouble = Trouble(self._start, "no rule begins here", "write `permit (...) when { ... };` or `forbid ...`")
        # A rule that only lacks its end is told there, one that breaks off where it begins.
        whole = self._effect_at >= 0 and len(self._levels) == 1
        at = max(self._start, len(self._text.rstrip()) - 1) if whole else self._start
        self._troubles.append(trouble or Trouble(at, "the rule is not finished", "end it with `;`"))

    def _slip(self, end: int) -> Trouble | None:
        """A well-known mistake in what has been read of a rule that does not end."""
        slip = slip_in(self._text[self._start : min(end, self._start + MAX_POLICY)])
        return None if slip is None else Trouble(self._start + slip.offset, slip.message, slip.remedy)

"""What a CEL expression may look like: its size, its depth, what it reads and calls, held before anything parses it.

CEL always ends, but not always soon: comprehensions inside one another multiply, and a chain of them can double
its result at every step. These limits keep every accepted expression within a known time and size.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

MAX_LENGTH = 1_000
MAX_TOKENS = 400
MAX_DEPTH = 20
MAX_CHOICES = 16
MAX_COMPREHENSIONS = 2
MAX_USES = 4
MAX_READS_WITHIN = 2
MAX_MATCHES = 4
MAX_PATTERN = 200

COMPREHENSIONS = ("all", "exists", "exists_one", "filter", "map")
FUNCTIONS = frozenset({"size", "string", "int", "timestamp", "duration", "has", "matches"})
METHODS = frozenset(
    {"size", "startsWith", "endsWith", "contains", "matches", "getFullYear", "getMonth", "getDate", "getDayOfMonth",
     "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds", *COMPREHENSIONS}
)  # fmt: skip
_WORDS = frozenset({"true", "false", "null", "in"})

_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n\f]+|//[^\n]*)"
    r"|(?P<string>[bB]?(?:"
    r"[rR](?:\"\"\".*?\"\"\"|\'\'\'.*?\'\'\'|\"[^\"\r\n]*\"|\'[^\'\r\n]*\')"
    r"|\"\"\"(?:[^\\]|\\.)*?\"\"\"|\'\'\'(?:[^\\]|\\.)*?\'\'\'"
    r"|\"(?:[^\"\\\r\n]|\\[^\r\n])*\"|\'(?:[^\'\\\r\n]|\\[^\r\n])*\'))"
    r"|(?P<number>[0-9][0-9A-Za-z.]*)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<mark>&&|\|\||==|!=|<=|>=|[-+*/%!<>?:.,()\[\]{}])",
    re.DOTALL,
)


class Fault(Struct, frozen=True):
    """Why an expression is refused: where (characters from its start), what, and the remedy's candidates."""

    offset: int
    message: str
    remedy: str = ""
    wrong: str = ""
    known: tuple[str, ...] = ()


class Form(Struct, frozen=True):
    """An accepted expression.

    Attributes:
        reads: by path (`subject.department`), each with where it stands first.
        names: every name that it uses as a value, those of comprehensions included.
        calls: every function and method that it calls.
    """

    reads: Mapping[str, int]
    names: frozenset[str]
    calls: frozenset[str]


class _Token(Struct, frozen=True):
    kind: str
    text: str
    offset: int


class _Refused(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def inspect_expression(text: str, roots: Mapping[str, int]) -> Form | Fault:
    """The form of `text`, or why it is refused. Linear in its length.

    `roots` are the names that it may start from, each with how many steps below it make a read: 0 reads the
    root itself, 1 takes `subject.department`, 2 takes `context.request.tenant`.
    """
    try:
        return _Inspection(_tokens(text), roots).form()
    except _Refused as refused:
        return refused.fault


def spelling(text: str) -> str:
    """The expression without its layout and comments: the same for two that are read as the same tree."""
    try:
        return " ".join(token.text for token in _tokens(text))
    except _Refused:
        return text


def _tokens(text: str) -> list[_Token]:
    if len(text) > MAX_LENGTH:
        raise _Refused(Fault(0, f"the expression is longer than {MAX_LENGTH} characters", "shorten it"))
    tokens = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _Refused(Fault(at, f"unexpected `{text[at]}` in an expression", "write it in CEL"))
        kind = match.lastgroup or ""
        if kind != "space":
            tokens.append(_Token(kind, match.group(), at))
        at = match.end()
    if len(tokens) > MAX_TOKENS:
        raise _Refused(Fault(0, f"the expression has more than {MAX_TOKENS} words", "shorten it"))
    return tokens


class _Inspection:
    """One pass over the tokens, with the brackets that are open and the comprehension that is."""

    def __init__(self, tokens: list[_Token], roots: Mapping[str, int]) -> None:
        self.tokens = tokens
        self.roots = roots
        self.reads: dict[str, int] = {}
        self.names: set[str] = set()
        self.calls: set[str] = set()
        self.open: list[str] = []
        self.comprehensions = 0
        self.choices = 0
        self.matches = 0
        self.inside: int | None = None  # the depth at which a comprehension is open
        self.variable = ""
        self.uses = 0
        self.reads_within = 0

    def form(self) -> Form:
        index = 0
        while index < len(self.tokens):
            token = self.tokens[index]
            if token.kind == "mark":
                self._mark(index, token)
                index += 1
            elif token.kind == "name":
                index = self._name(index, token)
            else:
                index += 1
        return Form(self.reads, frozenset(self.names), frozenset(self.calls))

    def _text(self, index: int) -> str:
        return self.tokens[index].text if 0 <= index < len(self.tokens) else ""

    def _refuse(self, token: _Token, message: str, remedy: str = "", *, known: tuple[str, ...] = ()) -> None:
        raise _Refused(Fault(token.offset, message, remedy, token.text, known))

    def _mark(self, index: int, token: _Token) -> None:
        if token.text in "([{":
            self.open.append(token.text)
            if len(self.open) > MAX_DEPTH:
                self._refuse(token, f"the expression is nested deeper than {MAX_DEPTH}", "simplify it")
        elif token.text in ")]}":
            if self.inside is not None and len(self.open) == self.inside:
                self.inside, self.variable = None, ""
            if self.open:
                self.open.pop()
        elif token.text == "?":
            self.choices += 1
            if self.choices > MAX_CHOICES:
                self._refuse(token, f"the expression has more than {MAX_CHOICES} choices (`?`)", "simplify it")
        elif token.text in "!-" and all(self._text(index - step) in ("!", "-") for step in range(1, 5)):
            self._refuse(token, "too many signs in a row", "simplify it")
        elif token.text == ".":
            before = self.tokens[index - 1] if index else None
            if before is None or (before.kind == "mark" and before.text not in ")]}"):
                self._refuse(token, "a name cannot start with `.`", "leave the dot out")

    def _name(self, index: int, token: _Token) -> int:
        called = self._text(index + 1) == "("
        if called:
            self.calls.add(token.text)
        if self._text(index - 1) == ".":
            if called:
                self._method(index, token)
            return index + 1
        if called:
            self._function(index, token)
        elif token.text in self.roots:
            return self._read(index, token)
        elif token.text == self.variable and self.inside is not None:
            self.uses += 1
            if self.uses > MAX_USES:
                self._refuse(token, f"`{token.text}` is used more than {MAX_USES} times", "simplify it")
        elif token.text not in _WORDS:
            self._refuse(token, f"unknown name `{token.text}` in an expression", known=(*self.roots, "has"))
        return index + 1

    def _function(self, index: int, token: _Token) -> None:
        if token.text not in FUNCTIONS:
            self._refuse(token, f"unknown function `{token.text}` in an expression", known=tuple(FUNCTIONS))
        if token.text == "matches":
            self._refuse(token, '`matches` is written as `text.matches("pattern")`', "write it behind the text")

    def _method(self, index: int, token: _Token) -> None:
        if token.text not in METHODS:
            self._refuse(token, f"unknown function `{token.text}` in an expression", known=tuple(METHODS))
        if token.text == "matches":
            self._matches(index, token)
        if token.text in COMPREHENSIONS:
            self._comprehension(index, token)

    def _matches(self, index: int, token: _Token) -> None:
        self.matches += 1
        pattern = self.tokens[index + 2] if index + 2 < len(self.tokens) else None
        literal = pattern is not None and pattern.kind == "string" and self._text(index + 3) == ")"
        if not literal or (pattern is not None and len(pattern.text) > MAX_PATTERN):
            what = f"`matches` takes a pattern written out, of at most {MAX_PATTERN} characters"
            self._refuse(token, what, "write the pattern as a string")
        if self.inside is not None or self.matches > MAX_MATCHES:
            what = f"`matches` may stand {MAX_MATCHES} times, and not inside `{'`, `'.join(COMPREHENSIONS)}`"
            self._refuse(token, what, "use `startsWith`, `endsWith` or `contains`")

    def _comprehension(self, index: int, token: _Token) -> None:
        self.comprehensions += 1
        if self.inside is not None:
            self._refuse(token, f"`{token.text}` stands inside another of its kind", "do one after the other")
        if self.comprehensions > MAX_COMPREHENSIONS:
            what = f"the expression has more than {MAX_COMPREHENSIONS} of `{'`, `'.join(COMPREHENSIONS)}`"
            self._refuse(token, what, "simplify it")
        variable = self.tokens[index + 2] if index + 2 < len(self.tokens) else token
        if variable.kind != "name" or self._text(index + 3) != "," or variable.text in (*self.roots, *_WORDS):
            self._refuse(variable, f"`{token.text}` needs a name of its own first", "write `list.map(x, ...)`")
        self.names.add(variable.text)
        self.inside, self.variable = len(self.open) + 1, variable.text
        self.uses, self.reads_within = -1, 0

    def _read(self, index: int, token: _Token) -> int:
        """A path from a root: `MAX_READS_WITHIN` of them inside a comprehension."""
        if self.inside is not None:
            self.reads_within += 1
            if self.reads_within > MAX_READS_WITHIN:
                self._refuse(token, f"more than {MAX_READS_WITHIN} reads inside a comprehension", "simplify it")
        path = token.text
        self.names.add(path)
        for step in range(self.roots[token.text]):
            name = self._text(index + 2)
            if self._text(index + 1) != "." or not name.isidentifier() or self._text(index + 3) == "(":
                shown = f"{token.text}.<fact>" if self.roots[token.text] == 1 else f"{token.text}.<namespace>.<fact>"
                what = f"`{token.text}` is read fact by fact" if step == 0 else f"`{path}` is read fact by fact"
                self._refuse(token, what, f"write `{shown}`")
            path = f"{path}.{name}"
            index += 2
        self.reads.setdefault(path, token.offset)
        return index + 1

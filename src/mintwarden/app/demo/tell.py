"""How the story looks on a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

_INDENT = 4


class Teller:
    """Prints a story step by step. Everything that comes from a request is printed as text, never as markup."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps = 0

    def opening(self, title: str, lines: Iterable[str]) -> None:
        """The first words."""
        self._console.print()
        self._console.print(Text(title, "bold"))
        for line in lines:
            self._console.print(Text(line, "dim"))

    def step(self, title: str, text: str) -> None:
        """The heading of a step, and what it is about."""
        self._steps += 1
        self._console.print()
        self._console.print(Rule(Text(f"{self._steps}  {title}", "bold cyan"), align="left", style="cyan"))
        self._console.print(Padding(Text(text), (0, 0, 0, 2), expand=False))

    def asked(self, who: str, what: str, answer: str, *, granted: bool) -> None:
        """One request and its answer."""
        line = Text.assemble(("  > ", "dim"), (who, "bold"), "  ", what)
        self._console.print(line)
        self._console.print(Text.assemble(("  < ", "dim"), (answer, "green" if granted else "yellow")))

    def passed(self, address: str) -> None:
        """An address that a browser was at."""
        self._console.print(Text.assemble(("  . ", "dim"), (address, "dim")))

    def ran(self, words: Iterable[str]) -> None:
        """A command of ours."""
        self._console.print(Text.assemble(("  $ ", "dim"), ("mintwarden " + " ".join(words), "bold")))

    def good(self, text: str) -> None:
        """Something that was checked and holds."""
        self._console.print(Text.assemble(("  + ", "bold green"), text))

    def quote(self, text: str, *, most: int = 200) -> None:
        """Output of a command."""
        lines = text.rstrip().splitlines()
        shown = lines[:most] + ([f"... {len(lines) - most} more lines"] if len(lines) > most else [])
        self._console.print(Padding(Text("\n".join(shown), "dim"), (0, 0, 0, _INDENT), expand=False))

    def table(self, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
        """A small comparison."""
        table = Table(*columns, box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self._console.print(Padding(table, (0, 0, 0, _INDENT), expand=False))

    def claims(self, claims: Mapping[str, Any], names: Iterable[str]) -> None:
        """Some claims of a token."""
        rows = [(name, _short(claims[name])) for name in names if name in claims]
        self.table(("claim", "value"), rows)

    def closing(self, lines: Iterable[str]) -> None:
        """The last words."""
        self._console.print()
        self._console.print(Rule(style="cyan"))
        for line in lines:
            self._console.print(Text(line))


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 90 else f"{text[:87]}..."

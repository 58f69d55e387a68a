"""A command that is one function: its line stands in the list of commands, the whole of its help in its docstring."""

from __future__ import annotations

import cyclopts


class Command(cyclopts.App):
    """An app whose help is its default function's docstring.

    A command that is loaded when it is used is registered with its line for the list, which cyclopts then puts in the
    place of its help: exit codes, and whatever else the docstring says, were never shown.
    """

    def _read(self) -> str:
        return str(super().help)

    def _keep(self, _line: str | None) -> None:
        """The line for the list has no place here."""

    help = property(_read, _keep)

"""A bundle in the making: what has been declared so far, and where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mintwarden.policy.bundle.problem import Place, Problems, quote


class Draft:
    """What the parts of a bundle share while they are read: the findings, and the place of every declared id."""

    def __init__(self, problems: Problems, documents: Mapping[str, Mapping[str, Any]]) -> None:
        self.problems = problems
        self.documents = documents
        self._places: dict[tuple[str, str], Place] = {}

    def under(self, folder: str) -> list[tuple[str, Mapping[str, Any]]]:
        """The documents of a folder, sorted by path."""
        return sorted((path, doc) for path, doc in self.documents.items() if path.startswith(f"{folder}/"))

    def declare(self, kind: str, name: str, place: Place) -> bool:
        """Note that `name` is declared at `place`; False, with a finding, when it is declared elsewhere too."""
        earlier = self._places.get((kind, name))
        if earlier is not None:
            self.problems.add(place, f"{kind} {quote(name)} is declared twice", f"the other is in {earlier.file}")
            return False
        self._places[kind, name] = place
        return True

    def place(self, kind: str, name: str) -> Place:
        """Where `name` was declared."""
        return self._places[kind, name]

    def known(self, kind: str, name: str, among: Iterable[str], place: Place, *, key: bool = False) -> bool:
        """Whether `name` is `among` the declared; adds a finding at `place` when it is not."""
        names = among if isinstance(among, Mapping | set | frozenset | dict) else set(among)
        if name in names:
            return True
        self.problems.add(
            place, f"unknown {kind} {quote(name)}", self.problems.near(name, names, f"declare the {kind}"), key=key
        )
        return False

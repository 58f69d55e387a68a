"""A loaded bundle together with its texts: what a lint looks at."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from mintwarden.model.catalogue import Scope
from mintwarden.model.detail import DetailType
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.bundle.positions import Path, locate
from mintwarden.policy.bundle.problem import Place
from mintwarden.policy.cedar.heads import DETAIL, SCOPE
from mintwarden.policy.cedar.rules import Rule


class Outstanding(Struct, frozen=True):
    """An exception in force, as far as a lint looks at it; times are `Millis`."""

    id: str
    scope: str
    ticket: str
    starts_at: int
    ends_at: int


class Subject:
    """A bundle and the places of what it declares. Positions are looked up only for what was found.

    `exceptions` are those in force at `now` (`Millis`) where the bundle governs; None where nobody has looked.
    """

    def __init__(
        self,
        bundle: Bundle,
        texts: Mapping[str, str],
        exceptions: tuple[Outstanding, ...] | None = None,
        now: int = 0,
    ) -> None:
        self.bundle = bundle
        self.exceptions = exceptions
        self.now = now
        self.catalogue = bundle.catalogue
        self.rules = tuple(bundle.rules.rules.values())
        self.texts = texts
        self._positions: dict[str, Mapping[tuple[Path, bool], tuple[int, int]]] = {}
        self._files = dict(_declaring(texts))

    def audience(self, name: str, *steps: str | int) -> Place:
        """The place of an audience, or of something in its file."""
        return Place(self._files["audience", name], steps or ("audience", "id"))

    def scope(self, name: str) -> Place:
        """The place of a scope."""
        return self.audience(self.catalogue.scopes[name].audience, "scopes", name).key()

    def client(self, name: str, *steps: str | int) -> Place:
        """The place of a client, or of something in its table."""
        return Place(self._files["client", name], ("client", *(steps or ("id",))))

    def line(self, place: Place) -> int:
        """The line of the nearest thing to `place` that stands in its file, from 1."""
        known = self._positions.get(place.file)
        if known is None:
            known = self._positions[place.file] = locate(self.texts[place.file])
        for end in range(len(place.path), 0, -1):
            for kind in (place.is_key, not place.is_key):
                found = known.get((place.path[:end], kind))
                if found is not None:
                    return found[0]
        return 1

    def detail(self, name: str) -> Place:
        """The place of a type of authorization detail."""
        return self.audience(self.catalogue.details[name].audience, "details", name).key()

    def reached(self, rule: Rule) -> tuple[Scope | DetailType, ...]:
        """The scopes, and the types of authorization details, that the rule's head covers."""
        head = rule.head
        if head.scope:
            return (self.catalogue.scopes[head.scope],)
        if head.detail:
            return (self.catalogue.details[head.detail],)
        within = self.catalogue.audiences[head.audience] if head.audience else self.catalogue
        scopes = within.scopes.values() if head.kind in ("", SCOPE) else ()
        details = within.details.values() if head.kind in ("", DETAIL) and rule.effect == "forbid" else ()
        return (*scopes, *details)

    def routes(self) -> Iterator[Rule]:
        """The permits by which scopes are issued."""
        return (rule for rule in self.rules if rule.effect == "permit" and concerns(rule, "issue"))


def concerns(rule: Rule, action: str) -> bool:
    """Whether the rule's head covers the action."""
    return rule.head.actions is None or action in rule.head.actions


def _declaring(texts: Mapping[str, str]) -> Iterator[tuple[tuple[str, str], str]]:
    for file, text in texts.items():
        folder = file.partition("/")[0]
        if folder in ("audiences", "clients"):
            kind = folder[:-1]
            document: dict[str, Any] = tomllib.loads(text)
            yield (kind, document[kind]["id"]), file

"""Names of an older system, spelled so that a bundle takes them. Whatever is spelled otherwise is noted."""

from __future__ import annotations

import re

from msgspec import Struct

_NOT_ID = re.compile(r"[^A-Za-z0-9._-]+")
_NOT_ENTITY = re.compile(r"[^!#-\[\]-~]+")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s#]+")


class Spelled(Struct, frozen=True, kw_only=True):
    """A name that the bundle spells otherwise. `kind` is what it names."""

    kind: str
    was: str
    now: str


class Spelling:
    """Gives each name one spelling, and no two names of a kind the same.

    What an id, a group, a client or a scope may not hold becomes `-`; an id begins with a letter or digit; a name that
    is too long is cut; a spelling that is taken gets `-2`, `-3` and so on.
    """

    def __init__(self) -> None:
        self._by_name: dict[tuple[str, str], str] = {}
        self._taken: set[tuple[str, str]] = set()
        self.changed: list[Spelled] = []

    def identifier(self, kind: str, name: str) -> str:
        """As an id: letters, digits, `.`, `_` and `-`."""
        return self._spell(kind, name, _NOT_ID.sub("-", name).strip("-._") or "unnamed", 100)

    def entity(self, kind: str, name: str) -> str:
        """As a client or group id: printable ASCII without spaces, quotes and backslashes."""
        return self._spell(kind, name, _NOT_ENTITY.sub("-", name) or "unnamed", 240)

    def scope(self, audience: str, name: str, *, shared: bool) -> str:
        """As a scope; `shared` by several audiences, it gets the audience's name before it."""
        spelled = _NOT_ENTITY.sub("-", name) or "unnamed"
        key = f"{audience} {name}"
        return self._spell("scope", key, f"{audience}/{spelled}" if shared else spelled, 240, shown=name)

    @staticmethod
    def is_absolute(identifier: str) -> bool:
        """Whether it can be an audience's identifier as it is."""
        return _ABSOLUTE.fullmatch(identifier) is not None and identifier.isascii()

    def _spell(self, kind: str, name: str, spelled: str, longest: int, *, shown: str = "") -> str:
        known = self._by_name.get((kind, name))
        if known is not None:
            return known
        wanted = spelled = spelled[:longest]
        count = 1
        while (kind, spelled) in self._taken:
            count += 1
            spelled = f"{wanted}-{count}"
        self._taken.add((kind, spelled))
        self._by_name[kind, name] = spelled
        if spelled != (shown or name):
            self.changed.append(Spelled(kind=kind, was=shown or name, now=spelled))
        return spelled

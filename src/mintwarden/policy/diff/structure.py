"""What is written otherwise: parts added, removed, changed, renamed and moved, in one order whatever the files' is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from msgspec import Struct

from mintwarden.policy.diff.edition import Edition
from mintwarden.policy.diff.parts import KINDS, Part, parts_of

How = Literal["added", "removed", "changed", "renamed", "moved"]


class Field(Struct, frozen=True):
    """A field that says something else; None stands for one that is not there."""

    name: str
    old: Any
    new: Any


class Change(Struct, frozen=True, kw_only=True):
    """One part that is not as it was.

    Attributes:
        how: `renamed` when it says the same under another id (of a rule: the same tree), `moved` when only its
            file is another.
        id: its id, the new one if it was renamed.
        was: its old id if it was renamed.
        old_file, new_file: where it stands, empty where it does not.
        fields: what else is otherwise, by name.
    """

    kind: str
    id: str
    how: How
    was: str = ""
    old_file: str = ""
    new_file: str = ""
    fields: tuple[Field, ...] = ()


def structure(old: Edition, new: Edition) -> tuple[Change, ...]:
    """Every part that is not as it was, by kind and id."""
    before, after = _by_kind(old), _by_kind(new)
    return tuple(change for kind in KINDS for change in _changes(kind, before.get(kind, {}), after.get(kind, {})))


def _by_kind(edition: Edition) -> dict[str, dict[str, Part]]:
    found: dict[str, dict[str, Part]] = {}
    for part in parts_of(edition):
        found.setdefault(part.kind, {})[part.id] = part
    return found


def _changes(kind: str, before: dict[str, Part], after: dict[str, Part]) -> Iterator[Change]:
    gone = [part for name, part in before.items() if name not in after]
    come = [part for name, part in after.items() if name not in before]
    renamed = _renamed(kind, gone, come)
    earlier = {new.id: old for old, new in renamed}
    later = {old.id for old, _ in renamed}
    for name in sorted({*before, *after} - later):
        old, new = before.get(name) or earlier.get(name), after.get(name)
        if old is None and new is not None:
            yield Change(kind=kind, id=name, how="added", new_file=new.file)
        elif new is None and old is not None:
            yield Change(kind=kind, id=name, how="removed", old_file=old.file)
        elif old is not None and new is not None:
            yield from _between(old, new)


def _renamed(kind: str, gone: Iterable[Part], come: Iterable[Part]) -> list[tuple[Part, Part]]:
    """Parts that say the same under another id; where several do, in order."""
    waiting: dict[str, list[Part]] = {}
    for part in gone:
        waiting.setdefault(part.key, []).append(part)
    found = []
    for part in come:
        same = waiting.get(part.key)
        if kind == "bundle" or same:
            found.append((same.pop(0) if same else next(iter(gone)), part))
    return found


def _between(old: Part, new: Part) -> Iterator[Change]:
    fields = tuple(
        Field(name, old.fields.get(name), new.fields.get(name))
        for name in sorted({*old.fields, *new.fields})
        if old.fields.get(name) != new.fields.get(name)
    )
    if old.id != new.id:
        how: How = "renamed"
    elif fields:
        how = "changed"
    elif old.file != new.file and new.kind != "scope":  # a scope is where its audience is
        how = "moved"
    else:
        return
    yield Change(
        kind=new.kind,
        id=new.id,
        how=how,
        was=old.id if old.id != new.id else "",
        old_file=old.file,
        new_file=new.file,
        fields=fields,
    )

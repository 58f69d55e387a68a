"""Declared shapes of tables, and the one function that holds a TOML document against them.

A `Key` is a row of a `Table`: its name, what its value must be, whether it may be left out, what it means. The
tables stand beside what is built from them; `docs/bundle.md` has every key, checked by a test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from mintwarden.policy.bundle.problem import Place, Problems, quote

Kind = Callable[[Any, Place, Problems], Any]
"""Checks one value: the value as the model wants it, or `BAD` after a finding was added."""

BAD: Any = object()


class Key(Struct, frozen=True):
    """One key of a table. `default` stands for a key left out, and for one whose value is refused."""

    name: str
    kind: Kind
    default: Any = None
    required: bool = False


class Table(Struct, frozen=True):
    """A table with a fixed set of keys. `title` is how a bundle's author writes its header."""

    title: str
    keys: tuple[Key, ...]


def read_table(table: Table, value: Any, place: Place, problems: Problems) -> dict[str, Any]:
    """Every key of `table` with its value or default, always complete; what is wrong goes to `problems`."""
    known = {key.name: key for key in table.keys}
    if not isinstance(value, dict):
        problems.add(place, f"`{table.title}` is not a table", f"write `{table.title}` with its keys below it")
        return {name: key.default for name, key in known.items()}
    for name in value:
        if name not in known:
            remedy = problems.near(name, known) or "leave it out, or see `docs/bundle.md`"
            problems.add(place.at(name), f"unknown key {quote(name)} in `{table.title}`", remedy, key=True)
    return {name: _read_key(table, key, value, place, problems) for name, key in known.items()}


def _read_key(table: Table, key: Key, value: Mapping[str, Any], place: Place, problems: Problems) -> Any:
    if key.name not in value:
        if key.required:
            problems.add(place, f"`{key.name}` is missing in `{table.title}`", f"add `{key.name} = ...`", key=True)
        return key.default
    checked = key.kind(value[key.name], place.at(key.name), problems)
    return key.default if checked is BAD else checked


def table_of(table: Table) -> Kind:
    """A nested table."""

    def check(value: Any, place: Place, problems: Problems) -> Any:
        return read_table(table, value, place, problems)

    return check


def each_named(name: Kind, inner: Kind, *, most: int = 10_000) -> Kind:
    """A table whose keys are names of the author's choosing: name to value, in the order written."""

    def check(value: Any, place: Place, problems: Problems) -> Any:
        if not isinstance(value, dict):
            problems.add(place, f"`{place.path[-1]}` is not a table", "write it as a table, name by name")
            return BAD
        if len(value) > most:
            problems.add(place, f"`{place.path[-1]}` has more than {most} entries", "split it")
            return BAD
        found = {}
        for key, item in value.items():
            good = name(key, place.at(key).key(), problems)
            checked = inner(item, place.at(key), problems)
            if good is not BAD and checked is not BAD:
                found[good] = checked
        return found

    return check


def list_of(inner: Kind, *, least: int = 0, most: int = 1_000, unique: bool = True) -> Kind:
    """An array as a tuple; elements that are refused are left out."""

    def check(value: Any, place: Place, problems: Problems) -> Any:
        if not isinstance(value, list):
            problems.add(place, f"`{place.path[-1]}` is not an array", f"write `{place.path[-1]} = [...]`")
            return BAD
        if not least <= len(value) <= most:
            wanted = f"at least {least}" if len(value) < least else f"at most {most}"
            problems.add(place, f"`{place.path[-1]}` has {len(value)} elements", f"give it {wanted}")
            return BAD
        found: list[Any] = []
        seen: set[str] = set()
        for index, item in enumerate(value):
            checked = inner(item, place.at(index), problems)
            if checked is BAD:
                continue
            if unique and (checked in seen if isinstance(checked, str) else checked in found):
                problems.add(place.at(index), f"{quote(item)} stands twice in `{place.path[-1]}`", "remove one")
                continue
            found.append(checked)
            if isinstance(checked, str):
                seen.add(checked)
        return tuple(found)

    return check

"""Who answers for what, and which of them have left.

An owner is a text in the bundle. It is taken for, in this order:

1. the bundle's own owner, by name or contact;
2. a person, by id (`User:<owner>` in the directory), by `email`, by the address in `Name <address>`, or by
   `display_name`;
3. a group or team, by its id or by its name in lower case with hyphens (`Token Governance` is `token-governance`),
   if somebody who is active is in it.

A person whose fact `active` is false has left. Whoever is none of these is not known to the directory: they have left
too, or never were there.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec
from msgspec import Struct

from mintwarden.context.ports import FactDocument, FactRow
from mintwarden.model.catalogue import Catalogue, Client

OwnedKind = Literal["bundle", "audience", "scope", "client", "source", "rule", "exception"]
State = Literal["present", "left", "unknown", "unnamed"]
"""`left`: a person who is not active any more. `unknown`: nobody whom the directory knows. `unnamed`: nobody at all."""

PAGE = 1000
_MEMBERS = 1000
_ADDRESS = re.compile(r"<([^<>\s]+@[^<>\s]+)>")
_UNFIT = re.compile(r"[^a-z0-9]+")


class Owned(Struct, frozen=True, order=True):
    """Something that somebody answers for."""

    kind: OwnedKind
    id: str


class OwnerReport(Struct, frozen=True, kw_only=True):
    """An owner as written, what became of them, how they were found, and what they own."""

    owner: str
    state: State
    found_as: Literal["", "bundle", "person", "group"]
    owns: tuple[Owned, ...]


class RuleOwners(Protocol):
    """What is looked at of a rule."""

    @property
    def id(self) -> str: ...

    @property
    def annotations(self) -> Mapping[str, str]: ...


Pages = Callable[[str, str, int], Awaitable[Sequence[tuple[str, FactRow]]]]
"""Documents of a source in order of entity keys: source, behind which key, how many."""


def owned(
    catalogue: Catalogue,
    rules: Iterable[RuleOwners],
    *,
    registered: Iterable[Client] = (),
    exceptions: Iterable[tuple[str, str]] = (),
) -> Mapping[str, tuple[Owned, ...]]:
    """Owner to what they own: every scope (by its audience), client, source, rule and exception has one.

    `exceptions` are their ids and owners.
    """
    found: dict[str, list[Owned]] = {catalogue.owner: [Owned("bundle", catalogue.name)]}

    def note(owner: str, kind: OwnedKind, name: str) -> None:
        found.setdefault(owner.strip(), []).append(Owned(kind, name))

    for audience in catalogue.audiences.values():
        note(audience.owner, "audience", audience.id)
        for scope in audience.scopes:
            note(audience.owner, "scope", scope)
    for client in (*catalogue.clients.values(), *registered):
        note(client.owner, "client", client.id)
    for source in catalogue.sources.values():
        note(source.owner or catalogue.owner, "source", source.id)
    for rule in rules:
        note(rule.annotations.get("owner", ""), "rule", rule.id)
    for name, owner in exceptions:
        note(owner, "exception", name)
    return {owner: tuple(sorted(things)) for owner, things in sorted(found.items())}


async def review_owners(
    catalogue: Catalogue,
    owns: Mapping[str, tuple[Owned, ...]],
    pages: Pages,
    *,
    progress: Callable[[int], None] | None = None,
) -> tuple[OwnerReport, ...]:
    """What became of each owner; those who are gone first. Reads the whole directory, page by page.

    `progress` hears how many documents were read.
    """
    search = _Search(owner for owner in owns if owner and not _is_bundle_owner(catalogue, owner))
    read = 0
    for source in catalogue.sources.values():
        if source.kind != "store" or "User" not in source.about:
            continue
        after = ""
        while page := await pages(source.id, after, PAGE):
            for entity, row in page:
                search.look(entity, row.document)
            after = page[-1][0]
            read += len(page)
            if progress is not None:
                progress(read)
    reports = [_report(catalogue, owner, things, search) for owner, things in owns.items()]
    return tuple(sorted(reports, key=lambda report: (_ORDER.index(report.state), report.owner)))


_ORDER: tuple[State, ...] = ("left", "unknown", "unnamed", "present")


def _report(catalogue: Catalogue, owner: str, things: tuple[Owned, ...], search: _Search) -> OwnerReport:
    if not owner:
        return OwnerReport(owner="", state="unnamed", found_as="", owns=things)
    if _is_bundle_owner(catalogue, owner):
        return OwnerReport(owner=owner, state="present", found_as="bundle", owns=things)
    active = search.person(owner)
    if active is not None:
        return OwnerReport(owner=owner, state="present" if active else "left", found_as="person", owns=things)
    if search.group(owner):
        return OwnerReport(owner=owner, state="present", found_as="group", owns=things)
    return OwnerReport(owner=owner, state="unknown", found_as="", owns=things)


def _is_bundle_owner(catalogue: Catalogue, owner: str) -> bool:
    return owner.casefold() in (catalogue.owner.casefold(), catalogue.owner_contact.casefold())


class _Search:
    """Goes through people and takes note of who is an owner. A person is active until a source says otherwise."""

    def __init__(self, owners: Iterable[str]) -> None:
        self._people: dict[str, set[str]] = {}
        self._groups: dict[str, set[str]] = {}
        self._by_name: dict[str, list[str]] = {}
        self._by_group: dict[str, list[str]] = {}
        self._left: set[str] = set()
        for owner in owners:
            for name in _names(owner):
                self._by_name.setdefault(name, []).append(owner)
            for group in {owner, slug(owner)}:
                self._by_group.setdefault(group, []).append(owner)

    def look(self, entity: str, document: bytes) -> None:
        """Take note of one document about one entity."""
        kind, _, name = entity.partition(":")
        if kind != "User":
            return
        try:
            said = msgspec.json.decode(document, type=FactDocument)
        except msgspec.DecodeError:
            return
        if said.facts.get("active") is False:
            self._left.add(entity)
        for called in (name, said.facts.get("email"), said.facts.get("display_name")):
            for owner in self._by_name.get(called.casefold(), ()) if isinstance(called, str) else ():
                self._people.setdefault(owner, set()).add(entity)
        for group in said.groups:
            for owner in self._by_group.get(group, ()):
                members = self._groups.setdefault(owner, set())
                if len(members) < _MEMBERS:
                    members.add(entity)

    def person(self, owner: str) -> bool | None:
        """Whether a person of that name is active; of namesakes, whether one of them is; None when there is none."""
        found = self._people.get(owner)
        return None if not found else not found <= self._left

    def group(self, owner: str) -> bool:
        """Somebody who is active is in a group of that name."""
        return not self._groups.get(owner, set()) <= self._left


def _names(owner: str) -> set[str]:
    address = _ADDRESS.search(owner)
    name = owner.casefold().removeprefix("user:")
    return {name} if address is None else {name, address[1].casefold()}


def slug(owner: str) -> str:
    """How a team's name is usually spelled as an id: lower case, with hyphens."""
    return _UNFIT.sub("-", owner.casefold()).strip("-")

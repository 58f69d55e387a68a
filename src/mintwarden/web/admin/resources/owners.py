"""Owners: who answers for what, and who of them has left."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from mintwarden.review.owners import Owned, OwnerReport
from mintwarden.review.shared import SharedReview
from mintwarden.web.admin.operation import Answer, Call, Operation, Paged
from mintwarden.web.admin.paged import page_of

READ = "mintwarden:owners.read"

_ORDER: Final = ("left", "unknown", "unnamed", "present")
_NAMED: Final = 64
"""Characters of a name by which things stand in order; a digest tells those apart that are longer."""


class OwnedTold(Struct, frozen=True, kw_only=True):
    """Something that somebody answers for."""

    kind: str
    id: str


class OwnerTold(Struct, frozen=True, kw_only=True):
    """An owner as written, what became of them (`present`, `left`, `unknown`, `unnamed`), and what they own."""

    owner: str
    state: str
    found_as: str
    owns: tuple[OwnedTold, ...]


class OwnerPage(Struct, frozen=True, kw_only=True):
    """Some owners, those who are gone first; `cursor` is where to go on, empty at the end.

    A page has up to `limit` things that are owned: an owner of more comes again on the next page, with the others.
    """

    owners: tuple[OwnerTold, ...]
    cursor: str


class Owners:
    """The review of owners."""

    def __init__(self, *, review: SharedReview[Sequence[OwnerReport]]) -> None:
        self._review = review

    async def list_owners(self, call: Call) -> Answer:
        """Owners, thing by thing.

        What became of whom takes a look at the whole directory: it is taken for the first page, and the others go on
        with it. What is owned, the bundle, those who are registered and the exceptions that are open bound.
        """
        reports = await (self._review.lately() if call.query.cursor else self._review.now())
        each = ((report, thing) for report in reports for thing in report.owns)
        listed, cursor = page_of(call, each, _place)
        told = tuple(
            _told(report, [thing for _, thing in things])
            for report, things in itertools.groupby(listed, key=lambda one: one[0])
        )
        return Answer(content=OwnerPage(owners=told, cursor=cursor))


def _place(one: tuple[OwnerReport, Owned]) -> str:
    """Names come from a bundle, however long: a cursor holds what it takes to go on."""
    report, thing = one
    named = (f"{name[:_NAMED]} {hashlib.sha256(name.encode()).hexdigest()}" for name in (report.owner, thing.id))
    owner, thing_id = named
    return f"{_ORDER.index(report.state)} {owner} {thing.kind} {thing_id}"


def _told(report: OwnerReport, things: Sequence[Owned]) -> OwnerTold:
    return OwnerTold(
        owner=report.owner,
        state=report.state,
        found_as=report.found_as,
        owns=tuple(OwnedTold(kind=thing.kind, id=thing.id) for thing in things),
    )


LIST = Operation(
    id="owners.list",
    method="GET",
    path="/owners",
    summary="List owners, what became of them, and what they own",
    scopes=(READ,),
    of=Owners,
    handler=Owners.list_owners,
    query=Paged,
    answer=OwnerPage,
)

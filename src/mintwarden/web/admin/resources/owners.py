"""Owners: who answers for what, and who of them has left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from mintwarden.review.owners import OwnerReport
from mintwarden.web.admin.operation import Answer, Call, Operation

READ = "mintwarden:owners.read"


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


class OwnerList(Struct, frozen=True):
    """Every owner, those who are gone first."""

    owners: tuple[OwnerTold, ...]


class Owners:
    """The review of owners."""

    def __init__(self, *, review: Callable[[], Awaitable[Sequence[OwnerReport]]]) -> None:
        self._review = review

    async def list_owners(self, call: Call) -> Answer:
        """Every owner."""
        return Answer(
            content=OwnerList(
                tuple(
                    OwnerTold(
                        owner=report.owner,
                        state=report.state,
                        found_as=report.found_as,
                        owns=tuple(OwnedTold(kind=thing.kind, id=thing.id) for thing in report.owns),
                    )
                    for report in await self._review()
                )
            )
        )


LIST = Operation(
    id="owners.list",
    method="GET",
    path="/owners",
    summary="List owners, what became of them, and what they own",
    scopes=(READ,),
    of=Owners,
    handler=Owners.list_owners,
    answer=OwnerList,
)

"""The list of owners: one look at the directory for all of its pages, and a look of its own for each list."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from mintwarden.review.owners import Owned, OwnerReport, State
from mintwarden.review.shared import SharedReview
from mintwarden.web.admin.resources.owners import Owners

CURSORS = SimpleNamespace(make=lambda place: f"c:{place}", position=lambda cursor: cursor.removeprefix("c:"))


class Directory:
    """Everybody is there, until they leave."""

    def __init__(self) -> None:
        self.state: State = "present"
        self.looks = 0

    async def review(self) -> Sequence[OwnerReport]:
        self.looks += 1
        return [
            OwnerReport(
                owner=name, state=self.state, found_as="person", owns=(Owned("scope", "a"), Owned("scope", "b"))
            )
            for name in ("ann", "ben", "cem")
        ]


async def page(owners: Owners, cursor: str = "") -> tuple[list[tuple[str, str]], str]:
    call: Any = SimpleNamespace(query=SimpleNamespace(limit=2, cursor=cursor), cursors=CURSORS)
    told: Any = (await owners.list_owners(call)).content
    return [(one.owner, one.state) for one in told.owners], told.cursor


async def test_the_pages_of_a_list_are_of_one_review() -> None:
    there, time = Directory(), 0.0

    def monotonic() -> float:
        return time

    owners = Owners(review=SharedReview(there.review, monotonic=monotonic))
    first, cursor = await page(owners)
    there.state = "left"
    second, cursor = await page(owners, cursor)
    third, cursor = await page(owners, cursor)
    assert (first, second, third) == ([("ann", "present")], [("ben", "present")], [("cem", "present")])
    assert (cursor, there.looks) == ("", 1)
    time = 1.0
    again, _ = await page(owners)
    assert (again, there.looks) == ([("ann", "left")], 2), "whoever begins anew sees what is so now"

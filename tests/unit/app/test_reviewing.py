"""Findings page by page: each review is done where it is asked for, and no more is read than is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mintwarden.app.reviewing import Reviews
from mintwarden.govern.ports import OpenFinding
from mintwarden.review.finding_states import FindingState
from mintwarden.review.findings import BEGINS, Finding, FindingKind, finding_id, kind_of
from mintwarden.review.owners import Owned, OwnerReport
from mintwarden.review.shared import SharedReview
from tests.conftest import FrozenClock
from tests.unit.policy.company import load_company

OWNERS = 7
GLASS = 30


class Kept:
    """What the store holds of emergencies and of what was said, and how much of it was read."""

    def __init__(self) -> None:
        self.read: list[int] = []
        self.reviews = 0
        self.glass = sorted(
            (OpenFinding(id=f"break-glass-{n}", kind="break_glass", about=str(n), opened_at=n) for n in range(GLASS)),
            key=lambda one: one.id,
        )
        self.said = {one.id: FindingState(id=one.id, state="acknowledged", version=1) for one in self.glass}

    async def findings_page(self, limit: int, after: str = "") -> Sequence[OpenFinding]:
        found = [one for one in self.glass if one.id > after][:limit]
        self.read.append(len(found))
        return found

    async def finding(self, finding_id: str) -> OpenFinding | None:
        found = next((one for one in self.glass if one.id == finding_id), None)
        self.read.append(0 if found is None else 1)
        return found

    async def of(self, names: Sequence[str]) -> Mapping[str, FindingState]:
        found = {name: self.said[name] for name in names if name in self.said}
        self.read.append(len(found))
        return found

    async def version(self, _digest: str) -> None:
        return None

    async def owners(self) -> Sequence[OwnerReport]:
        self.reviews += 1
        owns = (Owned("scope", "pay:read"),)
        return [OwnerReport(owner=f"o-{n}", state="left", found_as="person", owns=owns) for n in range(OWNERS)]


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def reviews(kept: Kept, tmp_path: Path, clock: FrozenClock) -> Reviews:
    base: Any = SimpleNamespace(
        bundle=load_company(tmp_path),
        clock=clock,
        config=SimpleNamespace(bundle=SimpleNamespace(path=str(tmp_path))),
        store=SimpleNamespace(versions=kept, finding_states=kept),
    )
    return Reviews(base, owners=SharedReview(kept.owners, monotonic=lambda: 0.0))


async def pages(reviews: Reviews, limit: int, kind: FindingKind | None = None) -> list[list[Finding]]:
    found: list[list[Finding]] = []
    after = ""
    while not found or after:
        listed, after = await reviews.page(limit, after, kind=kind)
        found.append(list(listed))
    return found


async def test_every_kind_comes_by_id_and_no_more_is_read_than_is_answered(reviews: Reviews, kept: Kept) -> None:
    (whole,) = await pages(reviews, 200)
    names = [one.id for one in whole]
    assert names == sorted(names)
    kinds = [one.kind for one in whole]
    assert kinds == [kind_of(name) for name in names]
    assert list(dict.fromkeys(kinds)) == list(BEGINS)
    lints = kinds.count("lint")
    assert lints, "the lint turns up something"
    assert (kinds.count("break_glass"), kinds.count("owner")) == (GLASS, OWNERS)
    for limit in (1, 4, GLASS, GLASS + lints, len(names)):
        each = await pages(reviews, limit)
        assert [one.id for page in each for one in page] == names
        assert all(len(page) == limit for page in each[:-1])
    kept.read.clear()
    listed, _ = await reviews.page(4, names[2])
    assert kept.read == [5, 4]
    assert all(one.state.state == "acknowledged" for one in listed)


async def test_a_review_that_nobody_asked_for_is_not_done(reviews: Reviews, kept: Kept) -> None:
    """INVARIANT: the review of owners reads the whole directory: not for a page of something else."""
    assert len(await pages(reviews, 10, "break_glass")) == GLASS // 10
    lints = [one.id for page in await pages(reviews, 10, "lint") for one in page]
    await reviews.page(5)
    assert await reviews.one("break-glass-3") is not None
    assert await reviews.one(lints[0]) is not None
    for nothing in ("break-glass-99", "lint-0", "nonsense", "break_glass", ""):
        assert await reviews.one(nothing) is None
    assert kept.reviews == 0
    assert len(await pages(reviews, 2, "owner")) == (OWNERS + 1) // 2
    assert kept.reviews == 1, "the pages of a list have one"
    kept.read.clear()
    owner = await reviews.one(finding_id("owner", "o-3", "left"))
    assert owner is not None
    assert kept.reviews == 2, "what somebody is about to change is looked at anew"
    assert kept.read == [0], "what is said about one, and no emergency"

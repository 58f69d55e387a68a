"""What a token may have been revoked by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

import pytest
from msgspec.structs import replace

from mintwarden.authn.ports import About
from mintwarden.authn.revoked import ANY_BUNDLE, ANY_CHAIN, Origin, RevocationCheck, link_of, names_of
from mintwarden.model.caller import Evidence
from mintwarden.model.values import EntityUid

ALICE, BOT, API = EntityUid("User", "alice"), EntityUid("Agent", "bot"), EntityUid("Workload", "api")
AT = 1_795_000_000_000
TOKEN = Evidence(
    principal=ALICE,
    issuer="i",
    own=True,
    token_id="t3",
    client_id="api",
    actors=(API, BOT),
    issued_at=AT,
    session="s1",
    grant_id="g1",
    lineage=("t2", "t1"),
    key="k1",
)
NAMES = [
    ("token", "t3"),
    ("token", "t2"),
    ("token", "t1"),
    ("client", "api"),
    ("subject", "User:alice"),
    ("actor", "Agent:bot"),
    ("actor", "Workload:api"),
    ("link", link_of(ALICE, BOT)),
    ("link", link_of(ALICE, API)),
    ("session", "s1"),
    ("grant", "g1"),
    ("key", "k1"),
]


class Rows:
    """Revocations, and how often they were read."""

    def __init__(self, rows: Mapping[tuple[str, str], int]) -> None:
        self.rows = rows
        self.reads = 0

    async def revoked(self, names: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], int]:
        self.reads += 1
        return {name: self.rows[name] for name in names if name in self.rows}


async def under(_token_id: str) -> str | None:
    return "sha256:a"


def test_every_name_is_looked_for():
    assert set(names_of(TOKEN)) == {ANY_BUNDLE, ANY_CHAIN, *NAMES}
    assert {about for about, _ in names_of(TOKEN)} == set(get_args(About)), "and whatever else can be revoked"


@pytest.mark.parametrize("name", NAMES, ids=[f"{about} {value}" for about, value in NAMES])
async def test_each_of_them_ends_what_was_issued_by_then(name: tuple[str, str]):
    """And a token, or a grant, ends with all that came of it, whatever date that bears: neither begins again."""
    assert await RevocationCheck(Rows({name: AT})).is_revoked(TOKEN)
    assert await RevocationCheck(Rows({name: AT - 1})).is_revoked(TOKEN) == (name[0] in ("token", "grant"))


@pytest.mark.parametrize(
    "name",
    [
        ("token", "t4"),
        ("link", link_of(BOT, API)),
        ("link", link_of(ALICE, EntityUid("Agent", "other"))),
        ("link", link_of(EntityUid("User", "bob"), BOT)),
        ("subject", "Agent:bot"),
    ],
)
async def test_what_others_were_revoked_by_does_not(name: tuple[str, str]):
    assert not await RevocationCheck(Rows({name: AT})).is_revoked(TOKEN)


def test_no_two_links_have_one_name():
    assert link_of(EntityUid("User", 'a","Agent:b'), BOT) != link_of(EntityUid("User", "a"), EntityUid("Agent", "b"))


async def test_a_version_ends_what_was_decided_under_it():
    rows = Rows({ANY_BUNDLE: AT, ("bundle", "sha256:a"): AT})
    assert await RevocationCheck(rows, decided_under=under).is_revoked(TOKEN)
    others = Rows({ANY_BUNDLE: AT + 5, ("bundle", "sha256:b"): AT + 5})
    assert not await RevocationCheck(others, decided_under=under).is_revoked(TOKEN)
    earlier = Rows({ANY_BUNDLE: AT + 5, ("bundle", "sha256:a"): AT - 1})
    assert not await RevocationCheck(earlier, decided_under=under).is_revoked(TOKEN)


async def test_nobody_looks_up_versions_while_none_was_revoked():
    async def never(_token_id: str) -> str | None:
        raise AssertionError("looked up")

    rows = Rows({})
    assert not await RevocationCheck(rows, decided_under=never).is_revoked(TOKEN)
    assert rows.reads == 1
    assert not await RevocationCheck(Rows({ANY_BUNDLE: AT - 1}), decided_under=never).is_revoked(TOKEN)


async def test_a_token_of_which_nobody_knows_the_version_is_not_good():
    async def unknown(_token_id: str) -> str | None:
        return None

    rows = {ANY_BUNDLE: AT, ("bundle", "sha256:b"): AT}
    assert await RevocationCheck(Rows(rows), decided_under=unknown).is_revoked(TOKEN)
    assert await RevocationCheck(Rows(rows)).is_revoked(TOKEN)


WEB = Origin(client_id="web", bundle="sha256:b", issued_at=AT - 60_000)
MADE_OF_IT = Origin(client_id="api", bundle="sha256:a", issued_at=AT, keys=("k0",))
OF_THE_CHAIN = [("client", "web"), ("bundle", "sha256:b"), ("key", "k0")]


class Known:
    """What tokens came of, and whose was looked up."""

    def __init__(self, origins: Sequence[Origin] | None) -> None:
        self.origins = origins
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    async def __call__(self, token_id: str, lineage: tuple[str, ...]) -> Sequence[Origin] | None:
        self.asked.append((token_id, lineage))
        return self.origins


def chained(rows: Mapping[tuple[str, str], int], known: Known) -> RevocationCheck:
    return RevocationCheck(Rows({ANY_CHAIN: AT, **rows}), origins=known)


@pytest.mark.parametrize("name", OF_THE_CHAIN, ids=[about for about, _ in OF_THE_CHAIN])
async def test_what_ends_a_token_ends_what_another_made_of_it(name: tuple[str, str]):
    """As of when that token was issued, and not of when something was made of it; a key, whatever it dated."""
    known = Known((MADE_OF_IT, WEB))
    assert await chained({name: AT - 60_000}, known).is_revoked(TOKEN)
    assert known.asked == [("t3", ("t2", "t1"))]
    assert await chained({name: AT - 60_001}, known).is_revoked(TOKEN) == (name[0] == "key")
    assert not await chained({(name[0], "another"): AT}, known).is_revoked(TOKEN)


async def test_a_token_that_came_of_none_costs_no_look_at_any_record():
    known = Known(None)
    alone = replace(TOKEN, lineage=())
    assert ANY_CHAIN not in names_of(alone)
    assert not await chained({}, known).is_revoked(alone)
    assert not await RevocationCheck(Rows({}), origins=known).is_revoked(TOKEN), "nor does any before a revocation"
    assert known.asked == []


async def test_a_token_of_which_nobody_knows_what_it_came_of_is_not_good():
    assert await chained({}, Known(None)).is_revoked(TOKEN)
    assert await RevocationCheck(Rows({ANY_CHAIN: AT})).is_revoked(TOKEN)

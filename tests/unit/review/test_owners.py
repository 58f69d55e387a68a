"""Who answers for what, and who of them has left: the rule by which an owner's text is found in a directory."""

from __future__ import annotations

import json

import pytest

from mintwarden.context.ports import FactRow
from mintwarden.policy.bundle.load import load_bundle
from mintwarden.review.owners import Owned, owned, review_owners
from tests.unit.policy.bundle.conftest import STARTER


@pytest.fixture(scope="module")
def bundle():
    return load_bundle(str(STARTER))


def person(name, *, active=True, groups=(), **facts):
    document = {"facts": {"active": active, **facts}, "groups": list(groups)}
    return f"User:{name}", FactRow("directory", json.dumps(document).encode(), 1)


async def states(bundle, owners, people):
    rows = sorted(people)

    async def pages(source, after, limit):
        return [row for row in rows if source == "directory" and row[0] > after][:limit]

    things = {owner: (Owned("client", "c"),) for owner in owners}
    return {r.owner: (r.state, r.found_as) for r in await review_owners(bundle.catalogue, things, pages)}


PEOPLE = [
    person("ines", email="Ines.Okafor@example.com", display_name="Ines Okafor", groups=["data-platform"]),
    person("bruno", active=False, email="bruno@example.com", display_name="Bruno Castell", groups=["night-shift"]),
    person("bruno2", display_name="Bruno Castell"),
]


@pytest.mark.parametrize(
    ("owner", "state"),
    [
        ("ines", ("present", "person")),
        ("User:ines", ("present", "person")),
        ("ines.okafor@example.com", ("present", "person")),
        ("Ines Okafor", ("present", "person")),
        ("Somebody Else <ines.okafor@EXAMPLE.com>", ("present", "person")),
        ("bruno", ("left", "person")),
        ("bruno@example.com", ("left", "person")),
        ("Bruno Castell", ("present", "person")),  # of namesakes, one is here
        ("Data Platform", ("present", "group")),
        ("data-platform", ("present", "group")),
        ("Night Shift", ("unknown", "")),  # whoever was in it has left
        ("Token Governance", ("present", "bundle")),
        ("token-governance@example.com", ("present", "bundle")),
        ("Nobody", ("unknown", "")),
        ("", ("unnamed", "")),
    ],
)
async def test_how_an_owner_is_found(bundle, owner, state):
    assert await states(bundle, [owner], PEOPLE) == {owner: state}


async def test_a_leaver_is_known_from_whichever_source(bundle):
    later = ("User:ines", FactRow("risk", b'{"facts":{"active":false}}', 1))

    async def pages(source, after, limit):
        rows = sorted(PEOPLE) if source == "directory" else [later]
        return [row for row in rows if row[0] > after][:limit]

    reports = await review_owners(bundle.catalogue, {"ines": (), "Data Platform": ()}, pages)
    assert [(r.owner, r.state) for r in reports] == [("ines", "left"), ("Data Platform", "unknown")]


async def test_documents_that_cannot_be_read_are_nobody(bundle):
    assert await states(bundle, ["x"], [("User:x", FactRow("directory", b"{", 1))]) == {"x": ("unknown", "")}


def test_everything_has_an_owner(bundle):
    found = owned(bundle.catalogue, bundle.rules.rules.values(), exceptions=[("e1", "User:ines")])
    everything = {thing for things in found.values() for thing in things}
    assert {Owned("scope", name) for name in bundle.catalogue.scopes} <= everything
    assert {Owned("client", name) for name in bundle.catalogue.clients} <= everything
    assert {Owned("source", name) for name in bundle.catalogue.sources} <= set(found["Token Governance"])
    assert {Owned("rule", name) for name in bundle.rules.rules} <= everything
    assert found["User:ines"] == (Owned("exception", "e1"),)
    assert "" not in found

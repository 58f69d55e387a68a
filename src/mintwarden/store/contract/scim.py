"""What every store does for what identity providers say over SCIM."""

# ruff: noqa: S101

from __future__ import annotations

import asyncio

from mintwarden.context.ports import FactRow
from mintwarden.feeds.scim.ports import Kept, Kind, Said, ScimChange
from mintwarden.store.contract.samples import MakeStore
from mintwarden.store.store import DocumentChange


def kept(id_: str, kind: Kind = "User", **more: object) -> Kept:
    """A resource whose name is its id."""
    given = {
        "id": id_, "kind": kind, "name": id_, "external": "", "entity": f"User:{id_}" if kind == "User" else "",
        "document": b"{}", "version": 1, "created": 1, "changed": 1,
    }  # fmt: skip
    return Kept(**(given | more))  # type: ignore[arg-type]


class ScimContract:
    """Resources, memberships and the facts that come of them change together, and in one order."""

    async def test_what_is_put_is_found(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        alice = kept("a", external="x-1", name="ålice", document=b'{"title": "\xc3\xa5"}')
        assert await one.scim.commit("directory", ScimChange(revision=0, put=[alice, kept("b"), kept("g", "Group")]))
        assert await other.scim.get("directory", ["a", "nobody", "g"]) == {"a": alice, "g": kept("g", "Group")}
        assert list(await other.scim.find("directory", "User", "name", "ålice")) == [alice]
        assert list(await other.scim.find("directory", "User", "external", "x-1")) == [alice]
        assert list(await other.scim.find("directory", "Group", "name", "ålice")) == []
        assert list(await other.scim.find("directory", "User", "external", "")) == []
        assert await other.scim.get("elsewhere", ["a"]) == {}

    async def test_pages_are_by_id_and_of_one_kind(self, make_store: MakeStore) -> None:
        store = await make_store()
        names = ["c", "B", "a", "d"]
        await store.scim.commit(
            "directory", ScimChange(revision=0, put=[*(kept(name) for name in names), kept("b", "Group")])
        )
        assert await store.scim.count("directory", "User") == 4
        assert [one.id for one in await store.scim.page("directory", "User", 0, 10)] == sorted(names)
        assert [one.id for one in await store.scim.page("directory", "User", 1, 2)] == ["a", "c"]
        assert list(await store.scim.page("directory", "User", 4, 2)) == []

    async def test_memberships_end_with_either_end(self, make_store: MakeStore) -> None:
        store = await make_store()
        put = [kept("a"), kept("b"), kept("g", "Group"), kept("h", "Group")]
        pairs = [("g", "a"), ("g", "b"), ("h", "a"), ("h", "b")]
        await store.scim.commit("directory", ScimChange(revision=0, put=put, joined=[*pairs, ("g", "a")]))
        assert await store.scim.members("directory", ["g", "none"]) == {"g": ["a", "b"]}
        assert await store.scim.groups_of("directory", ["a", "b"]) == {"a": ["g", "h"], "b": ["g", "h"]}
        await store.scim.commit("directory", ScimChange(revision=1, left=[("h", "b"), ("h", "nobody")]))
        await store.scim.commit("directory", ScimChange(revision=2, gone=["a"]))
        assert await store.scim.members("directory", ["g", "h"]) == {"g": ["b"]}
        await store.scim.commit("directory", ScimChange(revision=3, gone=["g"]))
        assert await store.scim.groups_of("directory", ["a", "b"]) == {}

    async def test_facts_change_with_it(self, make_store: MakeStore) -> None:
        store = await make_store()
        await store.directory.apply([DocumentChange("User:b", "directory", b"old", 9)])
        await store.directory.apply([DocumentChange("User:b", "risk", b"other", 9)])
        said = [Said("User:a", b"one"), Said("User:b", None), Said("User:c", None)]
        await store.scim.commit("directory", ScimChange(revision=0, said=said, at=7))
        read = (await store.facts.read(["User:a", "User:b"])).rows
        assert [list(read[name]) for name in ("User:a", "User:b")] == [
            [FactRow("directory", b"one", 7)],
            [FactRow("risk", b"other", 9)],
        ]

    async def test_of_two_that_read_the_same_one_begins_again(self, make_store: MakeStore) -> None:
        nodes = [await make_store(), await make_store()]
        for revision in (0, 1):
            assert await nodes[0].scim.revision("directory") == revision
            changes = [
                ScimChange(revision=revision, put=[kept(f"{number}-{revision}")], said=[Said(f"User:{number}", b"{}")])
                for number in range(2)
            ]
            done = await asyncio.gather(
                *(node.scim.commit("directory", one) for node, one in zip(nodes, changes, strict=True))
            )
            assert sorted(done) == [False, True]
            assert await nodes[1].scim.count("directory", "User") == revision + 1
        assert await nodes[0].scim.revision("elsewhere") == 0

    async def test_a_name_may_change_hands(self, make_store: MakeStore) -> None:
        """What goes makes room for what comes, in one change."""
        store = await make_store()
        await store.scim.commit("directory", ScimChange(revision=0, put=[kept("a", name="n", entity="User:n")]))
        new = kept("b", name="n", entity="User:n")
        assert await store.scim.commit("directory", ScimChange(revision=1, gone=["a"], put=[new]))
        assert list(await store.scim.find("directory", "User", "name", "n")) == [new]

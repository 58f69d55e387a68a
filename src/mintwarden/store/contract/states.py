"""What every store does with what flows remember."""

# ruff: noqa: S101

from __future__ import annotations

import asyncio

import msgspec

from mintwarden.authn.ports import Place, State
from mintwarden.store.contract.samples import NOW, MakeStore


def _state(key: bytes, *, kind: str = "code", owner: str = "", until: int = NOW + 1000, said: bytes = b"x") -> State:
    return State(kind=kind, key=key, owner=owner, expires_at=until, document=said)


class StatesContract:
    """What one node remembers every node knows; of two that change it one is first."""

    async def test_what_one_node_adds_every_node_reads(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        names = [("code", b"a"), ("code", b"b"), ("session", b"a")]
        assert await other.states.read(names) == {}
        assert await other.states.read([]) == {}
        assert await one.states.add([_state(b"a", owner="User:alice"), _state(b"a", kind="session", said=b"y")])
        found = await other.states.read(names)
        assert set(found) == {("code", b"a"), ("session", b"a")}
        assert found["code", b"a"] == msgspec.structs.replace(_state(b"a", owner="User:alice"), version=1)
        assert found["session", b"a"].document == b"y"

    async def test_all_of_several_are_added_or_none(self, make_store: MakeStore) -> None:
        store = await make_store()
        assert await store.states.add([_state(b"a")])
        assert not await store.states.add([_state(b"b"), _state(b"a", said=b"other")])
        assert set(await store.states.read([("code", b"a"), ("code", b"b")])) == {("code", b"a")}
        assert await store.states.add([])

    async def test_of_many_that_change_it_one_is_first(self, make_store: MakeStore) -> None:
        nodes = [await make_store(), await make_store()]
        await nodes[0].states.add([_state(b"a")])
        known = (await nodes[1].states.read([("code", b"a")]))["code", b"a"]
        changes = [msgspec.structs.replace(known, document=b"%d" % number) for number in range(6)]
        done = await asyncio.gather(
            *(nodes[number % 2].states.replace(change) for number, change in enumerate(changes))
        )
        assert sorted(done) == [False] * 5 + [True]
        after = (await nodes[0].states.read([("code", b"a")]))["code", b"a"]
        assert after.version == 2
        assert after.document == b"%d" % done.index(True)

    async def test_of_many_that_remove_it_one_had_it(self, make_store: MakeStore) -> None:
        nodes = [await make_store(), await make_store()]
        await nodes[0].states.add([_state(b"a")])
        done = await asyncio.gather(*(nodes[number % 2].states.remove("code", b"a") for number in range(6)))
        assert sorted(done) == [False] * 5 + [True]
        assert not await nodes[0].states.replace(msgspec.structs.replace(_state(b"a"), version=1))

    async def test_several_are_removed_together(self, make_store: MakeStore) -> None:
        store = await make_store()
        keys = [n.to_bytes(2, "big") for n in range(1_500)]
        await store.states.add([_state(key) for key in keys])
        await store.states.add([_state(keys[0], kind="session"), _state(b"z")])
        assert await store.states.remove_all("code", []) == 0
        assert await store.states.remove_all("code", [*keys, b"other"]) == 1_500
        assert await store.states.remove_all("code", keys) == 0
        names = [("code", keys[0]), ("session", keys[0]), ("code", b"z")]
        assert set(await store.states.read(names)) == {("session", keys[0]), ("code", b"z")}

    async def test_what_belongs_to_somebody_is_found_by_them(self, make_store: MakeStore) -> None:
        store = await make_store()
        await store.states.add([_state(bytes([n]), kind="session", owner="User:a") for n in range(5)])
        await store.states.add([_state(b"z", kind="session", owner="User:b"), _state(b"z", owner="User:a")])
        await store.states.add([_state(b"y", kind="session")])
        assert [state.key for state in await store.states.owned("session", "User:a", 10)] == [
            bytes([n]) for n in range(5)
        ]
        assert len(await store.states.owned("session", "User:a", 2)) == 2
        rest = await store.states.owned("session", "User:a", 2, bytes([1]))
        assert [state.key for state in rest] == [bytes([2]), bytes([3])]
        assert await store.states.owned("session", "User:a", 2, bytes([4])) == []
        assert await store.states.owned("session", "", 10) == []

    async def test_what_belongs_to_somebody_comes_page_by_page_what_ends_last_first(
        self, make_store: MakeStore
    ) -> None:
        store = await make_store()
        ends = {b"a": 5, b"b": 9, b"c": 7, b"d": 7, b"e": 1}
        await store.states.add([_state(k, kind="grant", owner="User:a", until=NOW + n) for k, n in ends.items()])
        await store.states.add([_state(b"z", kind="grant", owner="User:b"), _state(b"y", owner="User:a")])
        await store.states.add([_state(b"x", kind="grant", until=NOW + 6)])

        async def keys(limit: int, beyond: Place | None = None, *, back: bool = False) -> list[bytes]:
            return [one.key for one in await store.states.lasting("grant", "User:a", limit, beyond, back=back)]

        assert await keys(10) == [b"b", b"d", b"c", b"a", b"e"]
        assert await keys(2) == [b"b", b"d"]
        assert await keys(2, (NOW + 7, b"d")) == [b"c", b"a"]
        assert await keys(2, (NOW + 1, b"e")) == []
        assert await keys(2, (NOW + 1, b"e"), back=True) == [b"c", b"a"]
        assert await keys(9, (NOW + 7, b"c"), back=True) == [b"b", b"d"]
        assert await keys(2, (NOW + 9, b"b"), back=True) == []
        assert await store.states.lasting("grant", "", 10) == []

    async def test_what_has_ended_is_forgotten(self, make_store: MakeStore) -> None:
        store = await make_store()
        await store.states.add([_state(b"a", until=NOW), _state(b"b", until=NOW + 10)])
        await store.purge(NOW + 5)
        assert set(await store.states.read([("code", b"a"), ("code", b"b")])) == {("code", b"b")}

    async def test_everything_of_somebody_is_forgotten_together(self, make_store: MakeStore) -> None:
        store = await make_store()
        await store.states.add([_state(b"a", owner="User:a"), _state(b"a", kind="session", owner="User:a")])
        await store.states.add([_state(b"b", owner="User:b"), _state(b"c")])
        assert await store.states.forget("User:a") == 2
        assert await store.states.forget("User:a") == 0
        assert await store.states.forget("") == 0
        names = [("code", b"a"), ("session", b"a"), ("code", b"b"), ("code", b"c")]
        assert set(await store.states.read(names)) == {("code", b"b"), ("code", b"c")}

"""What flows remember: by digest, sealed, and until it ends."""

from __future__ import annotations

import os

import pytest
from msgspec import Struct

from mintwarden.authn.shelf import Shelf
from mintwarden.mint.master import LocalMasterKey
from mintwarden.model.errors import MintwardenError
from mintwarden.store import Store

NOW = 1_795_000_000_000
SEAL = LocalMasterKey(bytes(32), random_bytes=os.urandom)


class Note(Struct, frozen=True):
    text: str


@pytest.fixture
def notes(store: Store) -> Shelf[Note]:
    return Shelf("note", Note, states=store.states, seal=SEAL)


async def test_a_handle_finds_it_until_it_ends(notes: Shelf[Note]) -> None:
    assert await notes.add("handle", Note("hello"), ends=NOW + 10, owner="User:alice")
    assert not await notes.add("handle", Note("other"), ends=NOW + 10)
    held = await notes.get("handle", NOW)
    assert held is not None
    assert held.value == Note("hello")
    assert [each.value for each in await notes.owned("User:alice", NOW)] == [Note("hello")]
    assert await notes.get("handle", NOW + 10) is None
    assert await notes.owned("User:alice", NOW + 10) == []
    assert await notes.get("other", NOW) is None


async def test_of_two_that_change_it_the_second_is_told(notes: Shelf[Note]) -> None:
    await notes.add("handle", Note("one"), ends=NOW + 10)
    held = await notes.get("handle", NOW)
    assert held is not None
    assert await notes.replace(held, Note("two"), ends=NOW + 20)
    assert not await notes.replace(held, Note("three"))
    after = await notes.get("handle", NOW + 15)
    assert after is not None
    assert after.value == Note("two")
    assert await notes.remove(after)
    assert not await notes.remove(after)


async def test_it_is_taken_once(notes: Shelf[Note]) -> None:
    await notes.add("handle", Note("one"), ends=NOW + 10)
    assert await notes.take("handle", NOW) == Note("one")
    assert await notes.take("handle", NOW) is None


async def test_what_rests_tells_nothing(notes: Shelf[Note], store: Store) -> None:
    """Neither the handle nor what it names; and what is sealed for one handle or kind opens for no other."""
    await notes.add("handle", Note("secret"), ends=NOW + 10)
    held = await notes.get("handle", NOW)
    assert held is not None
    assert b"handle" not in held.state.key
    assert b"secret" not in held.state.document
    other = Shelf("other", Note, states=store.states, seal=SEAL)
    assert other.key("handle") != notes.key("handle")
    moved = notes.state("elsewhere", Note("x"), ends=NOW + 10)
    await store.states.add([type(moved)(kind="note", key=moved.key, expires_at=NOW + 10, document=held.state.document)])
    with pytest.raises(MintwardenError, match="does not open"):
        await notes.get("elsewhere", NOW)


async def test_whoever_has_much_hides_nothing_of_it(notes: Shelf[Note], store: Store) -> None:
    """More than one question to the store answers: somebody who wants to hide something makes a lot of the like."""
    kept = [notes.state(f"handle {n}", Note(f"{n}"), ends=NOW + 10, owner="User:alice") for n in range(2_001)]
    await store.states.add(kept)
    found = await notes.owned("User:alice", NOW)
    assert {held.value.text for held in found} == {f"{n}" for n in range(2_001)}

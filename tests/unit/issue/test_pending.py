"""What waits for a person: by the time of each question, and of several who change it one first."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from mintwarden.authn.shelf import Shelf
from mintwarden.authn.sign_in import SignIn
from mintwarden.issue.confines import Confines
from mintwarden.issue.granted import Granted
from mintwarden.issue.memory import Memory
from mintwarden.issue.pending import (
    ADDRESS_BEGINS,
    ALPHABET,
    MOST_WAITING,
    PENDING,
    PERSON_TRIES,
    TRIES_FOR,
    Asker,
    Pending,
    Waiting,
)
from mintwarden.mint.master import LocalMasterKey
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.store import Store

NOW = 1_795_000_000_000
SEAL = LocalMasterKey(bytes(32), random_bytes=os.urandom)
GRANTED = Granted(
    grant_id="g",
    client_id="tv",
    sign_in=SignIn(subject=EntityUid("User", "alice"), provider="up", authenticated_at=NOW),
    scopes={},
    granted_at=NOW,
    ends=NOW + 10**9,
)


@pytest.fixture
def waiting(store: Store) -> Waiting:
    return Memory(states=store.states, seal=SEAL, revocations=store.revocations).waiting


async def begin(waiting: Waiting, **changes: Any) -> tuple[str, Pending]:
    settings: dict[str, Any] = {
        "name": "",
        "kind": "device_code",
        "digest": "",
        "client_id": "tv",
        "scopes": {},
        "identity": (),
        "confines": Confines("", "production", "", "", "", None),
        "began_at": NOW,
        "ends": NOW + 600_000,
        **changes,
    }
    return await waiting.begin(os.urandom, Pending(**settings))


async def ask(
    waiting: Waiting, code: str, at: int, *, client: str = "tv", kind: Any = "device_code", instance: str = ""
) -> str:
    try:
        await waiting.asked(kind, code, Asker(client, instance), NOW + at * 1000)
    except MintwardenError as error:
        return error.kind.value
    return "allowed"


async def type_in(waiting: Waiting, code: str, *, person: str = "User:alice", at: int = 0, address: str = "a") -> str:
    try:
        return (await waiting.typed(code, person=person, address=address, now=NOW + at)).name
    except MintwardenError as error:
        return error.kind.value


async def test_what_an_attested_instance_began_is_that_instances_alone(waiting: Waiting) -> None:
    code, _ = await begin(waiting, instance="one")
    for thief in ("two", ""):
        assert await ask(waiting, code, 1, instance=thief) == "invalid_grant"
    assert await ask(waiting, code, 1, instance="one") == "authorization_pending"  # nobody else's question counted


async def test_slow_down_adds_five_seconds_for_good(waiting: Waiting) -> None:
    code, _ = await begin(waiting)
    assert await ask(waiting, code, 1) == "authorization_pending"
    assert await ask(waiting, code, 5) == "slow_down"  # 4 seconds after the last: 10 from now on
    assert await ask(waiting, code, 14) == "slow_down"  # 9 seconds: 15 from now on
    assert await ask(waiting, code, 29) == "authorization_pending"
    assert await ask(waiting, code, 43) == "slow_down"  # 14 seconds: 20 from now on
    assert await ask(waiting, code, 63) == "authorization_pending"


async def test_many_questions_at_once_are_one_and_too_many(waiting: Waiting) -> None:
    code, _ = await begin(waiting)
    answers = await asyncio.gather(*(ask(waiting, code, 1) for _ in range(4)))
    assert sorted(answers) == ["authorization_pending", "slow_down", "slow_down", "slow_down"]


async def test_what_has_ended_is_said_to_have_ended_and_then_forgotten(waiting: Waiting) -> None:
    code, _ = await begin(waiting)
    assert await ask(waiting, code, 600) == "expired_token"
    assert await ask(waiting, code, 600 + 601) == "invalid_grant"


async def test_it_is_its_clients_alone_and_of_its_kind(waiting: Waiting) -> None:
    code, pending = await begin(waiting)
    assert await ask(waiting, code, 1, client="radio") == "invalid_grant"
    assert await ask(waiting, code, 1, kind="auth_req_id") == "invalid_grant"
    for wrong in ("", ".", pending.name, f"{pending.name}.", pending.user_code, code[:-1]):
        assert await ask(waiting, wrong, 1) == "invalid_grant"
    assert await ask(waiting, code, 1) == "authorization_pending"


async def test_the_first_answer_stands(waiting: Waiting) -> None:
    code, pending = await begin(waiting)
    answers = await asyncio.gather(
        waiting.answer(pending.name, GRANTED, NOW + 1), waiting.answer(pending.name, None, NOW + 1)
    )
    assert sum(answer is not None for answer in answers) == 1
    first = next(answer for answer in answers if answer is not None)
    assert await ask(waiting, code, 1) == ("allowed" if first.state == "allowed" else "approval_denied")
    assert await waiting.answer(pending.name, GRANTED, NOW + 2) is None
    assert await type_in(waiting, pending.user_code) == "not_found"


async def test_what_has_ended_cannot_be_answered(waiting: Waiting) -> None:
    _, pending = await begin(waiting)
    assert await waiting.answer(pending.name, GRANTED, pending.ends) is None


async def test_a_user_code_is_read_as_people_write_it(waiting: Waiting) -> None:
    _, pending = await begin(waiting)
    code = pending.user_code
    assert len(code) == 9
    assert set(code) <= {*ALPHABET, "-"}
    for written in (code, code.lower(), code.replace("-", ""), f" {code[:4]} {code[5:]} ", "-".join(code)):
        assert await type_in(waiting, written) == pending.name
    for wrong in ("", "-", code + "B", code[:-1], code[::-1]):
        assert await type_in(waiting, wrong, person=f"User:{wrong}") == "not_found"


async def test_whoever_types_it_in_last_has_it(waiting: Waiting) -> None:
    _, pending = await begin(waiting)
    await type_in(waiting, pending.user_code, person="User:bob")
    await type_in(waiting, pending.user_code)
    held = await waiting.named(pending.name, NOW)
    assert held is not None
    assert held.value.person == "User:alice"


async def test_codes_are_not_tried_out_by_one_person_nor_from_one_address(waiting: Waiting) -> None:
    _, pending = await begin(waiting)
    for _ in range(5):
        assert await type_in(waiting, "BBBBBBBB") == "not_found"
    assert await type_in(waiting, pending.user_code) == "slow_down"
    assert await type_in(waiting, pending.user_code, person="User:bob") == pending.name
    for number in range(25):
        assert await type_in(waiting, "BBBBBBBB", person=f"User:{number}") == "not_found"
    assert await type_in(waiting, pending.user_code, person="User:bob") == "slow_down", (
        "the address was too often wrong"
    )
    assert await type_in(waiting, pending.user_code, person="User:bob", address="b") == pending.name
    assert await type_in(waiting, "BBBBBBBB", at=TRIES_FOR) == "not_found", "it is over after a while"


async def test_devices_at_one_address_begin_only_so_often(waiting: Waiting) -> None:
    for _ in range(ADDRESS_BEGINS):
        await begin(waiting, address="a")
    with pytest.raises(MintwardenError) as caught:
        await begin(waiting, address="a")
    assert caught.value.kind is ErrorKind.SLOW_DOWN
    await begin(waiting, address="b")
    await begin(waiting, address="a", began_at=NOW + TRIES_FOR)


async def test_a_network_of_addresses_begins_no_oftener(waiting: Waiting) -> None:
    for number in range(ADDRESS_BEGINS):
        await begin(waiting, address=f"2001:db8:1:2::{number:x}")
    with pytest.raises(MintwardenError) as caught:
        await begin(waiting, address="2001:db8:1:2:ffff::")
    assert caught.value.kind is ErrorKind.SLOW_DOWN
    await begin(waiting, address="2001:db8:1:3::1")


async def test_a_client_cannot_wear_a_person_out(waiting: Waiting) -> None:
    for _ in range(MOST_WAITING):
        await waiting.refuse_flood("app", "User:alice", NOW)
        await begin(waiting, kind="auth_req_id", client_id="app", person="User:alice")
    with pytest.raises(MintwardenError) as caught:
        await waiting.refuse_flood("app", "User:alice", NOW)
    assert caught.value.kind is ErrorKind.ACCESS_DENIED
    await waiting.refuse_flood("other", "User:alice", NOW)
    await waiting.refuse_flood("app", "User:alice", NOW + 600_000)
    assert len(await waiting.of("User:alice", NOW)) == MOST_WAITING


async def test_saying_no_again_and_again_is_asked_of_nobody(waiting: Waiting) -> None:
    """Questions that were denied, or lived for a second, count for ten minutes; those that were allowed do not."""
    for number in range(MOST_WAITING):
        now = NOW + number * 2_000
        await waiting.refuse_flood("app", "User:alice", now)
        _, pending = await begin(waiting, kind="auth_req_id", client_id="app", person="User:alice", ends=now + 1_000)
        if number % 2:
            assert await waiting.answer(pending.name, None, now) is not None
    later = NOW + MOST_WAITING * 2_000
    assert list(await waiting.of("User:alice", later)) == [], "none of them waits"
    with pytest.raises(MintwardenError) as caught:
        await waiting.refuse_flood("app", "User:alice", later)
    assert caught.value.kind is ErrorKind.ACCESS_DENIED
    await waiting.refuse_flood("app", "User:alice", NOW + 600_000)


async def test_nothing_of_what_a_client_holds_is_kept(store: Store, waiting: Waiting) -> None:
    code, pending = await begin(waiting)
    shelf = Shelf(PENDING, Pending, states=store.states, seal=SEAL)
    held = await shelf.get(pending.name, NOW)
    assert held is not None
    secret = code.partition(".")[2]
    assert secret.encode() not in held.state.document
    assert secret not in repr(held.value)


async def test_codes_that_are_tried_at_once_are_counted_before_they_are_looked_for(waiting: Waiting) -> None:
    """Of two hundred guesses sent together, not one more is looked at than of those sent one after the other."""
    said = await asyncio.gather(*(type_in(waiting, f"BCDF-GH{a}{b}") for a in ALPHABET[:10] for b in ALPHABET[:4]))
    assert said.count("not_found") <= PERSON_TRIES
    assert set(said) <= {"not_found", "slow_down", "unavailable"}
    assert await type_in(waiting, "BCDF-GHZZ") == "slow_down"


async def test_a_right_code_is_no_wrong_one(waiting: Waiting) -> None:
    for _ in range(PERSON_TRIES + 1):
        _, pending = await begin(waiting)
        assert await type_in(waiting, pending.user_code) == pending.name


async def test_a_client_that_asks_everything_at_once_asks_no_more(waiting: Waiting) -> None:
    async def ask_person() -> str:
        try:
            await waiting.refuse_flood("app", "User:alice", NOW)
            await begin(waiting, kind="auth_req_id", client_id="app", person="User:alice")
        except MintwardenError as error:
            return error.kind.value
        return "asked"

    said = await asyncio.gather(*(ask_person() for _ in range(4 * MOST_WAITING)))
    assert len(await waiting.of("User:alice", NOW)) == said.count("asked") <= MOST_WAITING
    assert set(said) <= {"asked", "access_denied"}

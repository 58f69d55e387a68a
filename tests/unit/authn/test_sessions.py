"""Sessions: who is signed in, for how long, and by whose leave."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection

import pytest
from msgspec.structs import replace

from mintwarden.authn.ports import Revocation
from mintwarden.authn.sessions import CAME, COOKIE, LED, SESSION, UPSTREAM_SESSION, Session, Sessions
from mintwarden.authn.shelf import Shelf
from mintwarden.authn.sign_in import SignIn
from mintwarden.mint.master import LocalMasterKey
from mintwarden.model.catalogue import SessionBounds
from mintwarden.model.errors import MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.store import Store

NOW = 1_795_000_000_000
IDLE, ABSOLUTE = 1_000_000, 5_000_000
ALICE = SignIn(
    subject=EntityUid("User", "alice"),
    provider="corp",
    authenticated_at=NOW,
    upstream_session="up",
    upstream_subject="a",
    acr="phr",
)
BOB = replace(ALICE, subject=EntityUid("User", "bob"), upstream_subject="b")


def sessions_of(store: Store, providers: Collection[str] = ("corp",)) -> Sessions:
    seal = LocalMasterKey(bytes(32), random_bytes=os.urandom)
    return Sessions(
        shelf=Shelf(SESSION, Session, states=store.states, seal=seal),
        upstream=Shelf(UPSTREAM_SESSION, CAME, states=store.states, seal=seal),
        revocations=store.revocations,
        providers=providers,
        bounds=SessionBounds(idle=IDLE // 1000, absolute=ABSOLUTE // 1000),
        entropy=os.urandom,
    )


@pytest.fixture
def sessions(store: Store) -> Sessions:
    return sessions_of(store)


async def test_a_session_is_found_by_its_cookie_alone(sessions: Sessions) -> None:
    begun = await sessions.begin(ALICE, {}, NOW)
    name, _, secret = begun.cookie.partition(".")
    assert len(secret) == 43  # 256 bits
    assert await sessions.current({COOKIE: begun.cookie}, NOW) == replace(ALICE, session=name)
    for cookie in ("", name, f"{name}.", f"{name}.{secret[:-1]}", f".{secret}", secret, f"{name}.{secret}x", "a.b"):
        assert await sessions.current({COOKIE: cookie}, NOW) is None
    assert await sessions.current({}, NOW) is None


async def test_a_session_ends_when_nobody_comes_and_however_busy(sessions: Sessions) -> None:
    cookies = {COOKIE: (await sessions.begin(ALICE, {}, NOW)).cookie}
    assert await sessions.current(cookies, NOW + IDLE) is None
    cookies = {COOKIE: (await sessions.begin(ALICE, {}, NOW)).cookie}
    at = NOW
    while at < NOW + ABSOLUTE - IDLE // 2:
        at += IDLE // 2
        assert await sessions.current(cookies, at) is not None
    assert await sessions.current(cookies, NOW + ABSOLUTE) is None


async def test_a_visit_is_written_down_only_now_and_then(sessions: Sessions, store: Store) -> None:
    begun = await sessions.begin(ALICE, {}, NOW)
    first = await sessions.named(begun.sign_in.session, NOW)
    await sessions.current({COOKIE: begun.cookie}, NOW + IDLE // 20)
    second = await sessions.named(begun.sign_in.session, NOW)
    await sessions.current({COOKIE: begun.cookie}, NOW + IDLE // 5)
    third = await sessions.named(begun.sign_in.session, NOW)
    assert first is not None
    assert second is not None
    assert third is not None
    assert first.state.version == second.state.version
    assert third.state.version == second.state.version + 1


async def test_session_fixation(sessions: Sessions) -> None:
    """The handle from before a sign-in opens nothing after it."""
    first = await sessions.begin(ALICE, {}, NOW)
    again = await sessions.begin(ALICE, {COOKIE: first.cookie}, NOW + 5)
    assert again.sign_in.session == first.sign_in.session
    assert again.replaced is None
    assert await sessions.current({COOKIE: first.cookie}, NOW + 5) is None
    assert await sessions.current({COOKIE: again.cookie}, NOW + 5) is not None
    other = await sessions.begin(BOB, {COOKIE: again.cookie}, NOW + 5)
    assert other.sign_in.session != again.sign_in.session
    assert other.replaced is not None
    assert other.replaced.value.sign_in.subject == ALICE.subject


async def test_what_was_revoked_is_signed_in_no_more(sessions: Sessions, store: Store) -> None:
    begun = await sessions.begin(ALICE, {}, NOW)
    cookies = {COOKIE: begun.cookie}
    await store.revocations.revoke([Revocation(about="subject", value="User:alice", before=NOW, until=NOW + ABSOLUTE)])
    assert await sessions.current(cookies, NOW + 1) is None
    again = await sessions.begin(ALICE, cookies, NOW + 1)
    assert again.sign_in.session != begun.sign_in.session
    assert await sessions.current({COOKIE: again.cookie}, NOW + 1) is not None
    ended = Revocation(about="session", value=again.sign_in.session, before=NOW + 2, until=NOW + ABSOLUTE)
    await store.revocations.revoke([ended])
    assert await sessions.current({COOKIE: again.cookie}, NOW + 3) is None


async def test_a_provider_that_the_bundle_has_no_more(sessions: Sessions, store: Store) -> None:
    cookies = {COOKIE: (await sessions.begin(ALICE, {}, NOW)).cookie}
    assert await sessions_of(store, ("another",)).current(cookies, NOW) is None
    assert await sessions.current(cookies, NOW) is not None


async def test_sessions_are_found_by_whose_they_are_and_where_they_came_from(sessions: Sessions) -> None:
    one, two = await sessions.begin(ALICE, {}, NOW), await sessions.begin(ALICE, {}, NOW)
    other = await sessions.begin(replace(BOB, upstream_session="other"), {}, NOW)
    names = {one.sign_in.session, two.sign_in.session}
    assert {held.value.sign_in.session for held in await sessions.of_person(EntityUid("User", "alice"), NOW)} == names
    assert {held.value.sign_in.session for held in await sessions.of_upstream("corp", NOW, session="up")} == names
    assert await sessions.of_upstream("another", NOW, session="up") == []
    assert {held.value.sign_in.session for held in await sessions.of_upstream("corp", NOW, subject="a")} == names
    assert await sessions.of_upstream("corp", NOW, session="up", subject="b") == []
    assert await sessions.of_upstream("corp", NOW) == []
    (held,) = await sessions.of_upstream("corp", NOW, session="other")
    assert held.value.sign_in.session == other.sign_in.session
    assert await sessions.end(held)
    assert not await sessions.end(held)
    assert await sessions.of_upstream("corp", NOW, session="other") == []


async def test_whose_sessions_came_from_where_is_known_when_they_are_no_more(sessions: Sessions, store: Store) -> None:
    """For as long as a session can last: nothing that was given in it and ends with it lasts longer."""
    alice, bob = ALICE.subject, BOB.subject
    cookie = (await sessions.begin(ALICE, {}, NOW)).cookie
    await sessions.begin(replace(BOB, upstream_session="other"), {}, NOW)
    at = NOW + ABSOLUTE - 1
    assert await sessions.of_upstream("corp", at, session="up") == []
    assert await sessions.people_of_upstream("corp", at, session="up") == {alice}
    assert await sessions.people_of_upstream("corp", at, subject="b") == {bob}
    assert await sessions.people_of_upstream("corp", at, session="other", subject="b") == {bob}
    for nobody in ({}, {"session": "a"}, {"subject": "up"}, {"session": "third"}):
        assert await sessions.people_of_upstream("corp", at, **nobody) == set()
    assert await sessions.people_of_upstream("another", at, session="up") == set()
    assert await sessions.people_of_upstream("corp", at + 1, session="up") == set()
    # One that goes on by another sign-in still came from where it began, for what was given then.
    going_on = {COOKIE: cookie}
    await sessions.begin(replace(ALICE, upstream_session="later"), going_on, NOW + 1)
    assert await sessions.of_upstream("corp", NOW + 1, session="up") == []
    assert await sessions.people_of_upstream("corp", NOW + 1, session="up") == {alice}


async def test_a_session_is_found_by_where_it_came_from_as_that_was_written_before(store: Store) -> None:
    """A name alone, of a session that began under an earlier release."""
    sessions = sessions_of(store)
    begun = await sessions.begin(replace(ALICE, upstream_session="", upstream_subject=""), {}, NOW)
    held = await sessions.named(begun.sign_in.session, NOW)
    assert held is not None
    seal = LocalMasterKey(bytes(32), random_bytes=os.urandom)
    owner = f"corp:{hashlib.sha256(b'sid up').hexdigest()}"
    before = Shelf(UPSTREAM_SESSION, str, states=store.states, seal=seal)
    assert await before.add("before", begun.sign_in.session, ends=NOW + ABSOLUTE, owner=owner)
    came = replace(held.value, sign_in=replace(held.value.sign_in, upstream_session="up"))
    shelf = Shelf(SESSION, Session, states=store.states, seal=seal)
    assert await shelf.replace(held, came)
    (found,) = await sessions.of_upstream("corp", NOW, session="up")
    assert found.value.sign_in.session == begun.sign_in.session
    assert await sessions.people_of_upstream("corp", NOW, session="up") == set()


async def test_clients_are_remembered_once(sessions: Sessions) -> None:
    begun = await sessions.begin(ALICE, {}, NOW)
    for client in ("web", "app", "web"):
        await sessions.remember_client(begun.sign_in.session, client)
    await sessions.remember_client("nobody", "web")
    held = await sessions.named(begun.sign_in.session, NOW)
    assert held is not None
    assert held.value.clients == ("web", "app")
    # They stay with the session through another sign-in.
    await sessions.begin(ALICE, {COOKIE: begun.cookie}, NOW)
    held = await sessions.named(begun.sign_in.session, NOW)
    assert held is not None
    assert held.value.clients == ("web", "app")


async def test_a_session_has_not_endlessly_many_clients(sessions: Sessions) -> None:
    begun = await sessions.begin(ALICE, {}, NOW)
    with pytest.raises(MintwardenError):
        for number in range(300):
            await sessions.remember_client(begun.sign_in.session, f"client-{number}")


async def test_a_session_that_goes_on_is_found_to_its_end(sessions: Sessions) -> None:
    """A later sign-in lengthens the session, and with it the time for which a provider can end it."""
    first = await sessions.begin(ALICE, {}, NOW)
    await sessions.begin(ALICE, {COOKIE: first.cookie}, NOW + IDLE - 1)
    at = NOW + ABSOLUTE
    held = await sessions.of_upstream("corp", NOW + IDLE + 1, session="up")
    assert {each.value.sign_in.session for each in held} == {first.sign_in.session}
    assert max(each.value.ends_at for each in held) > at


async def test_nobody_is_led_twice_to_what_they_could_not_prove(sessions: Sessions) -> None:
    """Not by asking again, not by signing in as weakly again; after a while, or for something else, they are."""
    begun = await sessions.begin(ALICE, {}, NOW)
    name, cookies = begun.sign_in.session, {COOKIE: begun.cookie}
    assert await sessions.may_be_led(name, "phr", NOW)
    assert not await sessions.may_be_led(name, "phr", NOW + 1)
    await sessions.begin(ALICE, cookies, NOW + 2)
    assert not await sessions.may_be_led(name, "phr", NOW + LED - 1)
    assert await sessions.may_be_led(name, "mfa", NOW + LED - 1)
    assert await sessions.may_be_led(name, "phr", NOW + LED)


async def test_whoever_signed_in_anew_is_led_there_again_when_it_has_aged(sessions: Sessions) -> None:
    begun = await sessions.begin(ALICE, {}, NOW)
    name, cookies = begun.sign_in.session, {COOKIE: begun.cookie}
    assert await sessions.may_be_led(name, "", NOW + 1)
    assert not await sessions.may_be_led(name, "", NOW + 2), "nothing came of it"
    await sessions.begin(ALICE, cookies, NOW + 3)
    assert await sessions.may_be_led(name, "", NOW + 4)


async def test_rules_that_demand_ever_other_things_do_not_lead_for_ever(sessions: Sessions) -> None:
    name = (await sessions.begin(ALICE, {}, NOW)).sign_in.session
    led = [await sessions.may_be_led(name, f"level-{number}", NOW + number) for number in range(20)]
    assert led == [True] * 4 + [False] * 16
    assert not await sessions.may_be_led("no-session", "phr", NOW)

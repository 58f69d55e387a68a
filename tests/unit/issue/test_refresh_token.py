"""A refresh token's ends, its one use, and the policy of its client, with the time handed in."""

from __future__ import annotations

import asyncio
import gc
import os
from typing import Never

import pytest

from mintwarden.authn.ports import Revocation
from mintwarden.authn.revoked import link_of
from mintwarden.authn.sign_in import SignIn
from mintwarden.issue.granted import Granted, Recalled, Renewal
from mintwarden.issue.grants import refresh_token
from mintwarden.issue.memory import Memory
from mintwarden.mint.master import LocalMasterKey
from mintwarden.model.caller import Binding, Caller
from mintwarden.model.catalogue import Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from mintwarden.model.terms import Refresh
from mintwarden.model.token import Receipt
from mintwarden.model.values import EntityUid
from mintwarden.store import Store
from tests.unit.issue.catalogue import client

NOW = 1_795_000_000_000
DAY = 86_400_000
SEAL = LocalMasterKey(bytes(32), random_bytes=os.urandom)
RECEIPT = Receipt(decision_id="d", position=1, leaf_hash=b"l", prepared=b"p")
KEY, OTHER = (Binding(kind="dpop", thumbprint=name) for name in ("key", "other"))
ROTATING, KEEPING = (client("app", refresh=Refresh(rotate=rotate, idle=3_600)) for rotate in (True, False))


@pytest.fixture
def memory(store: Store) -> Memory:
    return Memory(states=store.states, seal=SEAL, revocations=store.revocations)


async def granted(memory: Memory, **changes: object) -> Granted:
    settings: dict[str, object] = {
        "grant_id": "g",
        "client_id": "app",
        "sign_in": SignIn(
            subject=EntityUid("User", "alice"), provider="up", authenticated_at=NOW - 9, acr="a", session="s"
        ),
        "scopes": {"payments": ("pay:read",)},
        "granted_at": NOW,
        "ends": NOW + 90 * DAY,
        **changes,
    }
    made = Granted(**settings)  # type: ignore[arg-type]
    await memory.keep(made)
    return made


def issued(memory: Memory, **changes: object) -> str:
    settings: dict[str, object] = {"grant_id": "g", "ends": NOW + 3_600_000, **changes}
    return memory.renew(Renewal(**settings), RECEIPT)  # type: ignore[arg-type]


async def recall(
    memory: Memory,
    token: str,
    *,
    at: int = NOW + 1000,
    by: Client = ROTATING,
    binding: Binding | None = None,
    method: str = "client_secret_basic",
) -> Recalled:
    request = TokenRequest(unverified_form={"refresh_token": (token,)}, received_at=at)
    caller = Caller(client_id="app", method=method, binding=binding)
    caller, recalled = await refresh_token.recall(request, caller, by, memory, at)
    assert caller.subject is not None
    assert (caller.subject.acr, caller.subject.authenticated_at) == ("a", NOW - 9)
    return recalled


async def refused(memory: Memory, token: str, **how: object) -> None:
    with pytest.raises(MintwardenError) as caught:
        await recall(memory, token, **how)  # type: ignore[arg-type]
    assert caught.value.kind is ErrorKind.INVALID_GRANT


async def test_nobody_used_it_for_too_long(memory: Memory) -> None:
    await granted(memory)
    token = issued(memory)
    found = await recall(memory, token, at=NOW + 3_599_999)
    assert found.renewal is not None
    assert found.renewal.ends == NOW + 3_599_999 + 3_600_000, "each use begins the time anew"
    await refused(memory, token, at=NOW + 3_600_000)


async def test_its_use_is_noted_to_the_hour(memory: Memory) -> None:
    """A person sees when it was last used; whoever renews each minute leaves nothing to write."""
    await granted(memory)
    for at, noted, versions in ((59, 0, 1), (60, 60, 2), (119, 60, 2), (125, 125, 3)):
        moment = NOW + at * 60_000
        await recall(memory, issued(memory, ends=NOW + DAY), at=moment)
        held = await memory.grants.get("g", moment)
        assert held is not None
        assert held.value.used_at == (NOW + noted * 60_000 if noted else 0)
        assert held.state.version == versions


async def test_everything_has_its_end_however_often_it_is_used(memory: Memory) -> None:
    made = await granted(memory, ends=NOW + 2_000_000)
    found = await recall(memory, issued(memory))
    assert found.renewal is not None
    assert found.renewal.ends == made.ends
    await refused(memory, issued(memory), at=NOW + 2_000_000)


async def test_a_stricter_policy_counts_for_what_was_granted_before(memory: Memory) -> None:
    await granted(memory)
    strict = client("app", refresh=Refresh(absolute=1_800))
    found = await recall(memory, issued(memory), by=strict)
    assert found.granted is not None
    assert found.granted.ends == NOW + 1_800_000
    await refused(memory, issued(memory), by=strict, at=NOW + 1_800_000)


async def test_what_was_handed_out_to_be_used_once_stays_so_when_the_client_stops_rotating(memory: Memory) -> None:
    await granted(memory)
    once = await recall(memory, issued(memory), by=KEEPING)
    assert [key.proof for key in once.once] == ["refresh"]
    assert once.renewal is not None
    assert once.renewal.lasting
    again = await recall(memory, issued(memory, number=1, lasting=True), by=KEEPING)
    assert (again.once, again.renewal) == ((), None)


async def test_one_that_was_kept_is_used_up_once_its_client_rotates(memory: Memory) -> None:
    await granted(memory)
    found = await recall(memory, issued(memory, lasting=True, ends=NOW + 90 * DAY))
    assert len(found.once) == 1
    assert found.renewal is not None
    assert (found.renewal.number, found.renewal.lasting) == (1, False)


async def test_nobody_used_one_that_is_kept_for_too_long(memory: Memory) -> None:
    await granted(memory)
    token = issued(memory, lasting=True, ends=NOW + 90 * DAY)
    await refused(memory, token, by=KEEPING, at=NOW + 3_600_000)
    last = NOW
    for later in (3_599_999, 3_000_000, 3_599_999):
        last += later
        await recall(memory, token, by=KEEPING, at=last)
    await refused(memory, token, by=KEEPING, at=last + 3_600_000)


async def test_a_use_is_written_down_only_now_and_then(memory: Memory) -> None:
    await granted(memory)
    token = issued(memory, lasting=True, ends=NOW + 90 * DAY)
    versions = []
    for later in (1_000, 359_999, 360_000, 361_000, 800_000):
        await recall(memory, token, by=KEEPING, at=NOW + later)
        held = await memory.grants.get("g", NOW)
        assert held is not None
        versions.append(held.state.version)
    assert versions == [1, 1, 2, 2, 3]


async def test_a_shorter_idle_time_counts_at_once_for_one_that_is_kept(memory: Memory) -> None:
    await granted(memory)
    token = issued(memory, lasting=True, ends=NOW + 90 * DAY)
    await recall(memory, token, by=KEEPING, at=NOW + 3_000_000)
    short = client("app", refresh=Refresh(rotate=False, idle=60))
    await refused(memory, token, by=short, at=NOW + 3_060_000)


async def test_the_same_token_always_claims_the_same(memory: Memory) -> None:
    await granted(memory)
    token = issued(memory)
    assert (await recall(memory, token)).once == (await recall(memory, token, at=NOW + 5_000)).once
    assert (await recall(memory, token)).once != (await recall(memory, issued(memory, number=1))).once


async def test_the_key_of_a_public_client_never_changes(memory: Memory) -> None:
    await granted(memory)
    bound = issued(memory, binding=KEY, held=True)
    await refused(memory, bound, method="none")
    await refused(memory, bound, method="none", binding=OTHER)
    found = await recall(memory, bound, method="none", binding=KEY)
    assert found.renewal is not None
    assert (found.renewal.binding, found.renewal.held) == (KEY, True)
    # one that never proved a key is bound from its first proof on
    found = await recall(memory, issued(memory), method="none", binding=KEY)
    assert found.renewal is not None
    assert (found.renewal.binding, found.renewal.held) == (KEY, True)


BOT = EntityUid("Agent", "bot")
TOLD = {
    "what it says": {"subject": "User:alice", "session": "s"},
    "nothing": {},
    "something else": {"subject": "User:bob", "session": "t"},
}
"""What a refresh token says of whose it is; what counts is what the grant says."""


@pytest.mark.parametrize("told", TOLD.values(), ids=TOLD)
@pytest.mark.parametrize(
    ("about", "value"),
    [
        ("grant", "g"),
        ("client", "app"),
        ("subject", "User:alice"),
        ("session", "s"),
        ("actor", "Agent:bot"),
        ("link", link_of(EntityUid("User", "alice"), BOT)),
    ],
)
async def test_it_ends_with_what_it_belongs_to(
    store: Store, memory: Memory, about: str, value: str, told: dict[str, str]
) -> None:
    await granted(memory, actors=(BOT,))
    token = issued(memory, **told)
    await recall(memory, token)
    revocation = Revocation(about=about, value=value, before=NOW, until=NOW + DAY)  # type: ignore[arg-type]
    await store.revocations.revoke([revocation])
    await refused(memory, token)


async def test_what_is_allowed_offline_outlives_the_session_alone(store: Store, memory: Memory) -> None:
    await granted(memory, offline=True)
    await store.revocations.revoke([Revocation(about="session", value="s", before=NOW, until=NOW + DAY)])
    await recall(memory, issued(memory))
    await recall(memory, issued(memory, **TOLD["what it says"]))
    await store.revocations.revoke([Revocation(about="subject", value="User:alice", before=NOW, until=NOW + DAY)])
    await refused(memory, issued(memory))


async def test_a_refresh_token_of_a_grant_that_is_forgotten(memory: Memory) -> None:
    await granted(memory)
    await memory.forget("g")
    await refused(memory, issued(memory))
    await memory.forget("g")


@pytest.mark.parametrize("failed", [False, True])
async def test_a_store_that_does_not_answer_leaves_no_read_behind(failed: bool) -> None:
    """The grant and its revocation are read at once: with the first the second is let go, whatever became of it."""
    loop = asyncio.get_running_loop()
    down = MintwardenError(ErrorKind.UNAVAILABLE, "the store did not answer")
    looking: list[asyncio.Future[dict[tuple[str, str], int]]] = [loop.create_future()]

    class Down:
        async def read(self, _names: object) -> Never:
            if failed:
                looking[0].set_exception(down)
            raise down

        def revoked(self, _names: object) -> asyncio.Future[dict[tuple[str, str], int]]:
            return looking[0]

    memory = Memory(states=Down(), seal=SEAL, revocations=Down())  # type: ignore[arg-type]
    heard: list[object] = []
    loop.set_exception_handler(lambda _loop, context: heard.append(context))
    with pytest.raises(MintwardenError, match="did not answer"):
        await recall(memory, issued(memory))
    assert looking.pop().done()
    down.__traceback__ = None  # whose frames know the read
    gc.collect()
    assert heard == []

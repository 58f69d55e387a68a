"""How many requests for approvals wait, and are looked at: counted by what is whose, and read within bounds."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from mintwarden.authn.shelf import Shelf
from mintwarden.context.approvals import circumstances_of
from mintwarden.issue.approval_requests import (
    LOOKED_AT,
    MOST_OF_A_CLIENT,
    MOST_WAITING,
    REQUEST,
    ApprovalRequest,
    ApprovalRequests,
)
from mintwarden.issue.memory import Memory
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.store import Store
from tests.unit.issue.catalogue import client
from tests.unit.issue.test_approval_requests import (
    ASKED,
    BUTLER,
    LEAD,
    NOW,
    SEAL,
    WANTED,
    Anything,
    Counted,
    Ledger,
    answer,
    ask,
    asked,
    refused,
)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def requests(store: Store) -> ApprovalRequests:
    return Memory(states=store.states, seal=SEAL, revocations=store.revocations).approvals


async def test_whoever_asks_is_counted_by_what_is_theirs_alone(store: Store) -> None:
    states = Counted(store.states)
    requests = Memory(states=states, seal=SEAL, revocations=store.revocations).approvals
    others = [client(f"valet-{number}", kind="agent", principal="Agent") for number in range(5)]
    for other in others:
        for number in range(MOST_OF_A_CLIENT // 5):
            within = replace(circumstances_of(ASKED), client_id=other.id, subject=EntityUid("User", f"bob-{number}"))
            wanted = replace(WANTED, circumstances=within)
            await requests.ask(wanted, other, kind=LEAD, message="", address="", now=NOW, record=Anything())
    for number in range(MOST_OF_A_CLIENT):
        states.answered.clear()
        await asked(requests, Anything(), number, NOW)
        assert states.answered == [number, number + 1], "before it is kept, and then, itself among them"
    states.answered.clear()
    await refused(asked(requests, Anything(), MOST_OF_A_CLIENT, NOW), ErrorKind.APPROVAL_DENIED)
    assert states.answered == [MOST_OF_A_CLIENT]
    await asked(requests, Anything(), 1, NOW, "audit")


async def crowd(requests: ApprovalRequests, ledger: Ledger) -> None:
    """As many as may wait for one subject."""
    await ask(requests, ledger)
    for number in range(MOST_WAITING - 1):
        await ask(requests, ledger, replace(WANTED, name=f"pay:{number}"))
    await full(requests)


async def full(requests: ApprovalRequests, now: int = NOW) -> None:
    await refused(ask(requests, Ledger(), replace(WANTED, name="pay:more"), now), ErrorKind.APPROVAL_DENIED)


@pytest.mark.parametrize("approve", [True, False])
async def test_whoever_was_answered_waits_no_more(requests: ApprovalRequests, ledger: Ledger, approve: bool) -> None:
    await crowd(requests, ledger)
    await answer(requests, ledger, approve=approve)
    await ask(requests, ledger, replace(WANTED, name="pay:more"))
    await refused(ask(requests, ledger, replace(WANTED, name="pay:again")), ErrorKind.APPROVAL_DENIED)


async def test_what_ended_or_was_forgotten_waits_no_more(requests: ApprovalRequests, ledger: Ledger) -> None:
    await crowd(requests, ledger)
    await full(requests, NOW + 3_600_000 - 1)
    await ask(requests, ledger, replace(WANTED, name="pay:more"), NOW + 3_600_000)
    await crowd_again(requests, ledger)


async def crowd_again(requests: ApprovalRequests, ledger: Ledger) -> None:
    now = NOW + 3_600_000
    for number in range(MOST_WAITING - 1):
        await ask(requests, ledger, replace(WANTED, name=f"pay:{number}"), now)
    await refused(ask(requests, ledger, now=now), ErrorKind.APPROVAL_DENIED)
    await requests.forget("User:alice", ["lead"])
    await ask(requests, ledger, now=now)


async def test_what_could_not_be_answered_waits_still(requests: ApprovalRequests, ledger: Ledger) -> None:
    await crowd(requests, ledger)

    class Full(Ledger):
        async def __call__(self, *_what: Any) -> None:
            raise MintwardenError(ErrorKind.UNAVAILABLE, "the disk is full")

    await refused(answer(requests, Full()), ErrorKind.UNAVAILABLE)
    await full(requests)


async def test_what_could_not_be_asked_does_not_wait(requests: ApprovalRequests, ledger: Ledger) -> None:
    class Full(Ledger):
        async def __call__(self, *_what: Any) -> None:
            raise MintwardenError(ErrorKind.UNAVAILABLE, "the disk is full")

    await refused(ask(requests, Full()), ErrorKind.UNAVAILABLE)
    for number in range(MOST_WAITING):
        await ask(requests, ledger, replace(WANTED, name=f"pay:{number}"))
    await full(requests)


async def test_one_look_at_what_waits_is_bounded_and_what_ends_first_is_seen(store: Store) -> None:
    states = Counted(store.states)
    requests = Memory(states=states, seal=SEAL, revocations=store.revocations).approvals
    shelf = Shelf(REQUEST, ApprovalRequest, states=store.states, seal=SEAL)
    kept = []
    for number in range(LOOKED_AT + 5):
        wanted = replace(WANTED, name=f"pay:{number}")
        one = ApprovalRequest(wanted=wanted, client=BUTLER, began_at=NOW + number, ends=NOW + 3_600_000 + number)
        kept.append(shelf.state(wanted.id, one, ends=one.ends + 60_000, owner="lead"))
    await store.states.add(kept)
    found, more = await requests.look("lead", NOW)
    assert (states.answered, more) == ([LOOKED_AT], True)
    assert [one.wanted.name for one in found] == [f"pay:{number}" for number in range(LOOKED_AT)]
    later, more = await requests.look("lead", NOW + 3_600_000 + 5)
    assert (len(later), later[-1].wanted.name, more) == (LOOKED_AT - 1, f"pay:{LOOKED_AT + 4}", False)

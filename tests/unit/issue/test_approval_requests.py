"""Approvals that rules demand, by the time of each step, and of several who answer one first."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields, replace

from mintwarden.context.approvals import SOMEBODY, Circumstances, circumstances_of, sent_of, used_by
from mintwarden.issue.approval_requests import (
    MOST_OF_A_CLIENT,
    MOST_WAITING,
    ApprovalRequest,
    ApprovalRequests,
    Person,
    Wanted,
    lacking,
)
from mintwarden.issue.memory import Memory
from mintwarden.mint.master import LocalMasterKey
from mintwarden.model.asked import Asked
from mintwarden.model.caller import OnceKey
from mintwarden.model.decision import Decision, Obligation, ScopeDecision
from mintwarden.model.detail import Detail
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.terms import ApprovalKind
from mintwarden.model.values import EntityUid
from mintwarden.store import Store
from tests.unit.issue.catalogue import client

NOW = 1_795_000_000_000
SEAL = LocalMasterKey(bytes(32), random_bytes=os.urandom)
ALICE, DAVE = EntityUid("User", "alice"), EntityUid("User", "dave")
BUTLER = EntityUid("Agent", "butler")
LEAD = ApprovalKind(
    id="lead", meaning="I looked", users=("dave",), groups=("leads",), lasts=600, once=True, waits=3600, acr=()
)
CATALOGUE: Any = SimpleNamespace(
    sources={"approved": SimpleNamespace(approvers={"lead": LEAD})},
    scopes={"pay:write": SimpleNamespace(meaning="Make payments")},
    details={},
)
ASKED = Asked(
    grant="token_exchange",
    client_id="butler",
    subject=ALICE,
    actors=(BUTLER,),
    audience="pay",
    scopes=("pay:write",),
    purpose="rent",
    environment="production",
)
WANTED = Wanted(approval="lead", name="pay:write", circumstances=circumstances_of(ASKED))
BY_DAVE = Person(uid=DAVE, acr="pwd", groups=frozenset())
AGENT = client("butler", kind="agent", principal="Agent")


class Ledger:
    """What was written down, in order."""

    def __init__(self) -> None:
        self.acts: list[tuple[EntityUid, Mapping[str, object]]] = []

    async def __call__(self, actor: EntityUid, detail: Mapping[str, object], private: Mapping[str, object]) -> None:
        assert "alice" not in str(detail)
        assert private["subject"] == "User:alice"
        self.acts.append((actor, detail))

    @property
    def whats(self) -> list[object]:
        return [detail["what"] for _, detail in self.acts]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def requests(store: Store) -> ApprovalRequests:
    return Memory(states=store.states, seal=SEAL, revocations=store.revocations).approvals


async def ask(requests: ApprovalRequests, ledger: Ledger, wanted: Wanted = WANTED, now: int = NOW) -> ApprovalRequest:
    return await requests.ask(wanted, AGENT, kind=LEAD, message="", address="", now=now, record=ledger)


async def answer(
    requests: ApprovalRequests,
    ledger: Ledger,
    *,
    person: Person = BY_DAVE,
    approve: bool = True,
    seen: str = "",
    now: int = NOW + 1,
    kind: ApprovalKind = LEAD,
) -> ApprovalRequest:
    known = (await requests.named(WANTED.id, now)).value
    catalogue: Any = SimpleNamespace(
        sources={"approved": SimpleNamespace(approvers={"lead": kind})}, scopes=CATALOGUE.scopes, details={}
    )
    return await requests.answer(
        WANTED.id,
        person,
        approve=approve,
        seen=seen or known.seen(LEAD, "Make payments"),
        catalogue=catalogue,
        now=now,
        id_of=lambda: secrets.token_hex(16),
        record=ledger,
    )


async def in_force(requests: ApprovalRequests, now: int, asked: Asked = ASKED) -> list[str]:
    return [one.element for one in await requests.in_force(circumstances_of(asked).digest, now)]


async def refused(work: Any, kind: ErrorKind) -> None:
    with pytest.raises(MintwardenError) as caught:
        await work
    assert caught.value.kind is kind


async def test_it_counts_from_the_answer_to_its_end(requests: ApprovalRequests, ledger: Ledger) -> None:
    await ask(requests, ledger)
    assert await in_force(requests, NOW) == []
    said = await answer(requests, ledger)
    assert said.ends == NOW + 1 + 600_000
    assert await in_force(requests, NOW + 2) == ["lead:pay:write"]
    assert await in_force(requests, said.ends - 1) == ["lead:pay:write"]
    assert await in_force(requests, said.ends) == []
    assert ledger.whats == ["requested", "approved"]
    assert ledger.acts[-1][0] == DAVE


class Slow(Ledger):
    """One that has begun to write, and writes on when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.goes_on = asyncio.Event(), asyncio.Event()

    async def __call__(self, actor: EntityUid, detail: Mapping[str, object], private: Mapping[str, object]) -> None:
        self.began.set()
        await self.goes_on.wait()
        await super().__call__(actor, detail, private)


async def test_who_asks_while_it_is_being_written_down_writes_nothing_and_nobody_sees_it(
    store: Store, requests: ApprovalRequests, ledger: Ledger
) -> None:
    slow, other = Slow(), Memory(states=store.states, seal=SEAL, revocations=store.revocations).approvals
    first = asyncio.create_task(ask(requests, slow))
    await slow.began.wait()
    second = await ask(other, ledger, now=NOW + 1)
    assert (second.state, second.wanted.id, second.began_at) == ("pending", WANTED.id, NOW)
    assert list(await other.of("lead", NOW + 1)) == [], "nobody sees what is not written down"
    await refused(other.named(WANTED.id, NOW + 1), ErrorKind.NOT_FOUND)
    slow.goes_on.set()
    made = await first
    assert (slow.whats, ledger.whats) == (["requested"], [])
    assert list(await other.of("lead", NOW + 1)) == [made]


async def test_of_many_nodes_that_ask_at_once_one_writes_it_down(store: Store, ledger: Ledger) -> None:
    nodes = [Memory(states=store.states, seal=SEAL, revocations=store.revocations).approvals for _ in range(8)]
    made = await asyncio.gather(*(ask(node, ledger) for node in nodes))
    assert {one.wanted.id for one in made} == {WANTED.id}
    assert ledger.whats == ["requested"]
    said = await answer(nodes[0], ledger)
    await asyncio.gather(*(ask(node, ledger, now=said.ends) for node in nodes))
    assert ledger.whats == ["requested", "approved", "requested"], "and once again when it is over"


async def test_what_cannot_be_written_down_was_not_asked(requests: ApprovalRequests, ledger: Ledger) -> None:
    async def fails(*_what: object) -> None:
        raise MintwardenError(ErrorKind.LEDGER, "the disk is full")

    for _ in range(2):
        with pytest.raises(MintwardenError, match="disk"):
            await requests.ask(WANTED, AGENT, kind=LEAD, message="", address="", now=NOW, record=fails)
        assert list(await requests.of("lead", NOW)) == []
    await ask(requests, ledger)
    said = await answer(requests, ledger)
    with pytest.raises(MintwardenError, match="disk"):
        await requests.ask(WANTED, AGENT, kind=LEAD, message="", address="", now=NOW + 2, record=fails)
    assert list(await requests.of("lead", NOW + 2)) == [said], "what was there is there"


async def test_a_node_that_dies_while_it_writes_leaves_it_to_whoever_asks_later(
    requests: ApprovalRequests, ledger: Ledger
) -> None:
    dead = ApprovalRequest(
        wanted=WANTED, client=EntityUid("Agent", "butler"), began_at=NOW, ends=NOW + 3_600_000, state="asking"
    )
    await requests._requests.add(WANTED.id, dead, ends=dead.ends, owner="lead")
    assert (await ask(requests, ledger, now=NOW + 59_999)).began_at == NOW
    assert ledger.whats == []
    assert (await ask(requests, ledger, now=NOW + 60_000)).began_at == NOW + 60_000
    assert ledger.whats == ["requested"]
    assert len(await requests.of("lead", NOW + 60_000)) == 1


async def test_a_request_that_nobody_answered_ends(requests: ApprovalRequests, ledger: Ledger) -> None:
    made = await ask(requests, ledger)
    await refused(requests.named(WANTED.id, made.ends), ErrorKind.NOT_FOUND)
    again = await ask(requests, ledger, now=made.ends)
    assert again.began_at == made.ends, "and may be made again"


async def test_of_many_answers_one_stands(requests: ApprovalRequests, ledger: Ledger) -> None:
    await ask(requests, ledger)
    said = await asyncio.gather(
        *(answer(requests, ledger, approve=number % 2 == 0) for number in range(6)), return_exceptions=True
    )
    stood = [one for one in said if isinstance(one, ApprovalRequest)]
    assert len(stood) == 1
    assert ledger.whats == ["requested", stood[0].state]
    assert len(await in_force(requests, NOW + 2)) == (stood[0].state == "approved")


@pytest.mark.parametrize(
    ("person", "kind"),
    [
        (Person(uid=ALICE, acr="", groups=frozenset({"leads"})), ErrorKind.ACCESS_DENIED),
        (Person(uid=DAVE, acr="", groups=frozenset(), actors=(BUTLER,)), ErrorKind.ACCESS_DENIED),
        (Person(uid=EntityUid("User", "carol"), acr="", groups=frozenset({"others"})), ErrorKind.NOT_FOUND),
        (Person(uid=EntityUid("Agent", "dave"), acr="", groups=frozenset({"leads"})), ErrorKind.NOT_FOUND),
        (Person(uid=BUTLER, acr="", groups=frozenset({"leads"})), ErrorKind.NOT_FOUND),
        (Person(uid=DAVE, acr="", groups=frozenset(), known=False), ErrorKind.NOT_FOUND),
    ],
    ids=["the-subject", "an-agent-for-an-approver", "a-stranger", "an-agent-of-that-name", "the-agent", "who-left"],
)
async def test_who_may_not_approve(requests: ApprovalRequests, ledger: Ledger, person: Person, kind: ErrorKind) -> None:
    await ask(requests, ledger)
    await refused(answer(requests, ledger, person=person), kind)
    assert await in_force(requests, NOW + 2) == []
    assert ledger.whats == ["requested"]


async def test_whoever_is_in_a_named_group_may(requests: ApprovalRequests, ledger: Ledger) -> None:
    await ask(requests, ledger)
    erin = Person(uid=EntityUid("User", "erin"), acr="", groups=frozenset({"leads"}))
    assert (await answer(requests, ledger, person=erin)).by == "User:erin"


@pytest.mark.parametrize(
    "changed", [{"lasts": 86_400}, {"once": False}, {"meaning": "Anything"}, {"users": ("dave", "x")}]
)
async def test_terms_that_changed_since_are_not_what_was_seen(
    requests: ApprovalRequests, ledger: Ledger, changed: dict[str, Any]
) -> None:
    await ask(requests, ledger)
    await refused(answer(requests, ledger, kind=replace(LEAD, **changed)), ErrorKind.CONFLICT)
    assert await in_force(requests, NOW + 2) == []


async def test_a_level_is_demanded_of_the_approver(requests: ApprovalRequests, ledger: Ledger) -> None:
    await ask(requests, ledger)
    strict = replace(LEAD, acr=("phr",))
    known = (await requests.named(WANTED.id, NOW)).value
    seen = known.seen(strict, "Make payments")
    weak = answer(requests, ledger, kind=strict, seen=seen)
    await refused(weak, ErrorKind.UNMET_AUTHENTICATION_REQUIREMENTS)
    strong = replace(BY_DAVE, acr="phr")
    assert (await answer(requests, ledger, kind=strict, seen=seen, person=strong)).state == "approved"


async def test_what_was_taken_back_counts_no_more(requests: ApprovalRequests, ledger: Ledger) -> None:
    await ask(requests, ledger)
    await answer(requests, ledger)
    await requests.revoke(WANTED.id, DAVE, "a mistake", NOW + 2, ledger)
    assert await in_force(requests, NOW + 3) == []
    await refused(requests.revoke(WANTED.id, DAVE, "again", NOW + 3, ledger), ErrorKind.CONFLICT)
    assert ledger.whats[-1] == "revoked"


async def test_what_cannot_be_written_down_is_no_answer(requests: ApprovalRequests, ledger: Ledger) -> None:
    async def full(actor: EntityUid, detail: Mapping[str, object], private: Mapping[str, object]) -> None:
        raise MintwardenError(ErrorKind.LEDGER, "the disk is full")

    await ask(requests, ledger)
    broken: Any = full
    for approve in (True, False):
        await refused(answer(requests, broken, approve=approve), ErrorKind.LEDGER)
        assert await in_force(requests, NOW + 2) == []
        assert (await requests.named(WANTED.id, NOW + 2)).value.state == "pending"
    assert (await answer(requests, ledger)).state == "approved"


async def test_taken_back_while_it_is_given_it_does_not_count(requests: ApprovalRequests, ledger: Ledger) -> None:
    async def revoked_meanwhile(actor: EntityUid, detail: Mapping[str, object], private: Mapping[str, object]) -> None:
        await requests.revoke(WANTED.id, DAVE, "at once", NOW + 1, ledger)

    await ask(requests, ledger)
    meanwhile: Any = revoked_meanwhile
    await answer(requests, meanwhile)
    assert await in_force(requests, NOW + 2) == []


async def test_a_no_stands_until_the_request_would_have_ended(requests: ApprovalRequests, ledger: Ledger) -> None:
    made = await ask(requests, ledger)
    await answer(requests, ledger, approve=False)
    await refused(ask(requests, ledger, now=made.ends - 1), ErrorKind.APPROVAL_DENIED)
    assert (await ask(requests, ledger, now=made.ends)).state == "pending"


async def test_nobody_is_worn_out(requests: ApprovalRequests, ledger: Ledger) -> None:
    for number in range(MOST_WAITING):
        await ask(requests, ledger, replace(WANTED, name=f"pay:{number}"))
    await refused(ask(requests, ledger, replace(WANTED, name="pay:more")), ErrorKind.APPROVAL_DENIED)


async def test_nor_by_what_is_asked_all_at_once(requests: ApprovalRequests, ledger: Ledger) -> None:
    async def one(number: int) -> str:
        try:
            await ask(requests, ledger, replace(WANTED, name=f"pay:{number}"))
        except MintwardenError as error:
            return error.kind.value
        return "asked"

    said = await asyncio.gather(*(one(number) for number in range(4 * MOST_WAITING)))
    assert len(await requests.of(WANTED.approval, NOW)) == said.count("asked") <= MOST_WAITING
    assert set(said) <= {"asked", ErrorKind.APPROVAL_DENIED.value}
    assert len(ledger.acts) == said.count("asked"), "what is too much is not written down"


async def test_nor_by_a_client_of_many_people(requests: ApprovalRequests, ledger: Ledger) -> None:
    def of(number: int) -> Wanted:
        within = replace(WANTED.circumstances, subject=EntityUid("User", "alice"), purpose=f"p{number}")
        return replace(WANTED, circumstances=replace(within, subject=EntityUid("User", f"alice{number}")))

    async def unseen(actor: EntityUid, detail: Mapping[str, object], private: Mapping[str, object]) -> None:
        return None

    quiet: Any = unseen
    for number in range(MOST_OF_A_CLIENT):
        await ask(requests, quiet, of(number))
    await refused(ask(requests, quiet, of(MOST_OF_A_CLIENT)), ErrorKind.APPROVAL_DENIED)


CHANGES: dict[str, Any] = {
    "client_id": "valet",
    "subject": DAVE,
    "actors": (),
    "impersonate": True,
    "audience": "ledger",
    "purpose": "fun",
    "environment": "test",
    "tenant": "alpine",
    "workspace": "w",
    "project": "p",
    "details": (Detail(type="transfer", fields={"amount": "1.00"}),),
}


def test_every_circumstance_is_tried() -> None:
    assert set(CHANGES) == {field.name for field in fields(Circumstances)}


@pytest.mark.parametrize("name", CHANGES)
async def test_other_circumstances_have_no_approval(requests: ApprovalRequests, ledger: Ledger, name: str) -> None:
    await ask(requests, ledger)
    await answer(requests, ledger)
    assert await in_force(requests, NOW + 2, replace(ASKED, **{name: CHANGES[name]})) == []


@given(st.sets(st.sampled_from(sorted(CHANGES))), st.sets(st.sampled_from(sorted(CHANGES))))
def test_circumstances_have_one_digest_and_a_digest_one_set_of_them(one: set[str], other: set[str]) -> None:
    """Never widening (invariant 3): what is found by a digest was approved for exactly that."""
    first = circumstances_of(replace(ASKED, **{name: CHANGES[name] for name in one}))
    second = circumstances_of(replace(ASKED, **{name: CHANGES[name] for name in other}))
    assert (first.digest == second.digest) == (one == other)


def decision(*unmet: Obligation, reason: Any = "obligation_unmet") -> Decision:
    scope = ScopeDecision(scope="pay:write", granted=False, reason=reason, unmet=unmet)
    return Decision(
        bundle="b", decided_at=NOW, audience="pay", subject=ALICE, actors=(BUTLER,), scopes=(scope,), granted=False
    )


APPROVAL = Obligation("require_approval", "lead")


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (decision(APPROVAL), True),
        (decision(APPROVAL, Obligation("require_binding", "dpop")), True),
        (decision(APPROVAL, Obligation("require_acr", "phr")), False),
        (decision(APPROVAL, Obligation("require_approval", "given-elsewhere")), False),
        (decision(Obligation("require_binding", "dpop")), False),
        (decision(APPROVAL, reason="forbidden"), False),
        (decision(), False),
    ],
)
def test_an_approval_is_asked_for_where_it_would_help(made: Decision, found: bool) -> None:
    assert lacking(ASKED, made, {"lead": LEAD}) == ((WANTED,) if found else ())


def test_what_a_token_did_not_lean_on_is_not_used_up() -> None:
    key = OnceKey(bytes(16), NOW, "approval")
    single = {"lead:pay:write": (key,)}
    assert used_by((("entitlement:approvals/lead:pay:write", 5), ("tier:high", 60)), (), single) == (key,)
    assert used_by((("entitlement:approvals/lead:pay:read", 5), ("tier:high", 60)), ("pay:read",), single) == ()


def test_what_an_approval_lifted_a_guardrail_for_is_used_up() -> None:
    """A guardrail bounds no lifetime: what is granted in the circumstances of an approval uses that up."""
    key = OnceKey(bytes(16), NOW, "approval")
    assert used_by((("tier:high", 60),), ("pay:write",), {"lead:pay:write": (key,)}) == (key,)


async def test_a_client_does_not_answer_what_it_asked_for(requests: ApprovalRequests, ledger: Ledger) -> None:
    """It may well have a token of somebody who approves."""
    await ask(requests, ledger)
    await refused(answer(requests, ledger, person=replace(BY_DAVE, client="butler")), ErrorKind.ACCESS_DENIED)
    assert await in_force(requests, NOW + 1) == []
    await answer(requests, ledger, person=replace(BY_DAVE, client="another"))


@pytest.mark.parametrize("entity", ["User:alice", "Agent:butler"])
async def test_nothing_is_left_of_whom_is_erased(requests: ApprovalRequests, ledger: Ledger, entity: str) -> None:
    await ask(requests, ledger)
    await answer(requests, ledger)
    await requests.forget(entity, ["lead"])
    assert await in_force(requests, NOW + 1) == []
    await refused(requests.named(WANTED.id, NOW + 1), ErrorKind.NOT_FOUND)


async def test_who_answered_is_forgotten_and_what_they_said_stands(requests: ApprovalRequests, ledger: Ledger) -> None:
    await ask(requests, ledger)
    await answer(requests, ledger)
    await requests.forget("User:dave", ["lead"])
    assert (await requests.named(WANTED.id, NOW + 1)).value.by == ""
    assert len(await in_force(requests, NOW + 1)) == 1


async def test_an_approval_of_whom_is_erased_meanwhile_does_not_outlive_it(
    requests: ApprovalRequests, ledger: Ledger
) -> None:
    await ask(requests, ledger)

    class Erasing(Ledger):
        async def __call__(self, *what: Any) -> None:
            await super().__call__(*what)
            await requests.forget("User:alice", ["lead"])

    await answer(requests, Erasing())
    assert await in_force(requests, NOW + 1) == []


async def approved(requests: ApprovalRequests, ledger: Ledger) -> str:
    await ask(requests, ledger)
    return (await answer(requests, ledger)).given


async def test_what_a_grant_used_up_counts_for_that_grant_alone(requests: ApprovalRequests, ledger: Ledger) -> None:
    name, digest = await approved(requests, ledger), circumstances_of(ASKED).digest
    await requests.used_up(name, "g1", NOW + 2)
    found = await requests.in_force(digest, NOW + 2, "g1")
    assert [(one.element, one.used_by) for one in found] == [("lead:pay:write", "g1")]
    assert await requests.in_force(digest, NOW + 2, "g2") == []
    assert await in_force(requests, NOW + 2) == []
    assert await requests.in_force(digest, found[0].ends, "g1") == [], "it has its end for that grant, too"


@pytest.mark.parametrize("order", [("g1", SOMEBODY), (SOMEBODY, "g1")])
async def test_who_comes_too_late_takes_it_from_nobody(
    requests: ApprovalRequests, ledger: Ledger, order: tuple[str, str]
) -> None:
    name, digest = await approved(requests, ledger), circumstances_of(ASKED).digest
    for by in order:
        await requests.used_up(name, by, NOW + 2)
    assert await in_force(requests, NOW + 2) == []
    assert [one.used_by for one in await requests.in_force(digest, NOW + 2, "g1")] == ["g1"]


async def test_what_nobody_knows_the_user_of_counts_for_no_grant(requests: ApprovalRequests, ledger: Ledger) -> None:
    name, digest = await approved(requests, ledger), circumstances_of(ASKED).digest
    await requests.used_up(name, SOMEBODY, NOW + 2)
    assert await requests.in_force(digest, NOW + 2, "g1") == []


async def test_taken_back_or_erased_it_counts_for_no_grant(requests: ApprovalRequests, ledger: Ledger) -> None:
    """Also where a node notes it afterwards: what is gone stays gone."""
    name, digest = await approved(requests, ledger), circumstances_of(ASKED).digest
    await requests.used_up(name, "g1", NOW + 2)
    await requests.revoke(WANTED.id, DAVE, "a mistake", NOW + 2, ledger)
    await requests.used_up(name, "g1", NOW + 3)
    assert await requests.in_force(digest, NOW + 3, "g1") == []


@pytest.mark.parametrize(
    ("grant", "grant_id", "expected"), [("ciba", "g1", "g1"), ("ciba", "", ""), ("refresh_token", "g1", "")]
)
def test_only_tokens_that_may_be_sent_anew_lean_on_it_again(grant: str, grant_id: str, expected: str) -> None:
    assert sent_of(replace(ASKED, grant=grant, grant_id=grant_id)) == expected


class Counted:
    """The states of a store, and how many of them each look at what ends after a time answered."""

    def __init__(self, states: Any) -> None:
        self._states = states
        self.answered: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._states, name)

    async def lasting(self, *place: Any, **how: Any) -> Any:
        found = await self._states.lasting(*place, **how)
        self.answered.append(len(found))
        return found

    async def owned(self, *_place: Any) -> Any:
        raise AssertionError("everything is read")


KINDS = ("audit", "lead")


async def asked(requests: ApprovalRequests, ledger: Ledger, number: int, now: int, approval: str = "lead") -> str:
    """A request of its own for each number, of somebody of their own."""
    within = replace(circumstances_of(ASKED), subject=EntityUid("User", f"alice-{number}"))
    wanted = replace(WANTED, approval=approval, circumstances=within)
    made = await requests.ask(wanted, AGENT, kind=LEAD, message="", address="", now=now, record=ledger)
    assert made.wanted == wanted
    return wanted.id


class Anything(Ledger):
    async def __call__(self, actor: EntityUid, detail: Mapping[str, object], private: Mapping[str, object]) -> None:
        self.acts.append((actor, detail))


async def test_what_waits_comes_page_by_page_kind_by_kind_what_ends_first_first(store: Store) -> None:
    states = Counted(store.states)
    requests = Memory(states=states, seal=SEAL, revocations=store.revocations).approvals
    order = [3, 0, 4, 1, 2, 5]
    lead = {n: await asked(requests, Anything(), n, NOW + n) for n in order}
    audit = {n: await asked(requests, Anything(), n, NOW + n, "audit") for n in order[:3]}
    expected = [*(audit[n] for n in sorted(audit)), *(lead[n] for n in sorted(lead))]
    for limit in (1, 2, 3, 4, 8, 9, 50):
        pages: list[list[str]] = []
        beyond: Any = None
        while not pages or beyond is not None:
            states.answered.clear()
            found, beyond = await requests.page(KINDS, NOW + 10, limit, beyond)
            pages.append([one.wanted.id for one in found])
            assert sum(states.answered) <= limit + 1
        assert [name for page in pages for name in page] == expected
        assert len(pages) == -(-len(expected) // limit), "each page is full, and none is empty"
    ends = NOW + 3600_000
    assert [one.wanted.id for one in (await requests.page(KINDS, ends + 3, 50))[0]] == [audit[4], lead[4], lead[5]]
    _, beyond = await requests.page(KINDS, NOW + 10, 1)
    late = await requests.page(KINDS, ends + 4, 50, beyond)
    assert ([one.wanted.id for one in late[0]], late[1]) == ([lead[5]], None), "what has ended is passed over"
    assert [one.wanted.id for one in (await requests.page(("lead",), NOW + 10, 2, beyond))[0]] == [lead[0], lead[1]]


async def test_what_comes_and_is_answered_between_pages_moves_nothing_else(
    requests: ApprovalRequests,
) -> None:
    names = [await asked(requests, Anything(), n, NOW + n) for n in range(0, 12, 2)]
    first, beyond = await requests.page(KINDS, NOW + 20, 2)
    assert [one.wanted.id for one in first] == names[:2]

    async def answered(name: str, *, approve: bool) -> None:
        seen = (await requests.named(name, NOW + 20)).value.seen(LEAD, "Make payments")
        await requests.answer(
            name, BY_DAVE, approve=approve, seen=seen, catalogue=CATALOGUE, now=NOW + 20,
            id_of=lambda: secrets.token_hex(16), record=Anything(),
        )  # fmt: skip

    await answered(names[0], approve=True)
    await answered(names[3], approve=False)
    before, after = await asked(requests, Anything(), 1, NOW + 1), await asked(requests, Anything(), 7, NOW + 7)
    second, beyond = await requests.page(KINDS, NOW + 20, 2, beyond)
    assert [one.wanted.id for one in second] == [names[2]], "what was refused is left out of its page"
    third, beyond = await requests.page(KINDS, NOW + 20, 2, beyond)
    assert ([one.wanted.id for one in third], bool(beyond)) == ([after, names[4]], True)
    fourth, beyond = await requests.page(KINDS, NOW + 20, 2, beyond)
    assert ([one.wanted.id for one in fourth], beyond) == ([names[5]], None)
    again, _ = await requests.page(KINDS, NOW + 20, 2)
    assert [one.wanted.id for one in again] == [names[0], before], "an approval ends when it says"
    assert again[0].state == "approved"

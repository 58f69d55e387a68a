"""A refusal by name is recorded before it is answered, under what governs by then."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import Struct

from mintwarden.issue.epoch import ATTEMPTS, EpochMoved
from mintwarden.issue.on_record import on_record, record_begun
from mintwarden.issue.unresolved import Unresolved
from mintwarden.model.asked import Asked
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.facts import Facts
from mintwarden.model.request import TokenRequest
from mintwarden.model.values import Entity, EntityUid, Record

WEB = EntityUid("Workload", "web")
ASKED = Asked(
    grant="client_credentials", client_id="web", subject=WEB, audience="payments", scopes=("pay:none",), unresolved=True
)
FACTS = Facts(subject=Entity(WEB, Record({}), frozenset()), actors=(), context=Record({}), readings={}, ends={})
ONCE = ("proof",)


def refusal(*, asked: Asked | None = ASKED) -> Unresolved:
    made = Unresolved(ErrorKind.INVALID_SCOPE, "no such scope", "", scopes=("pay:none",))
    made.asked = asked
    caller: Any = SimpleNamespace(method="none", once=ONCE)
    made.caller = caller
    return made


class Governing(Struct):
    """What governs: a version for each time that it is asked, the last of them from then on; and what was recorded."""

    grants: list[bool]
    recorded: list[Any]
    refreshed: list[int]
    fails: MintwardenError | None = None

    @property
    def line(self) -> Any:
        async def assemble(*_asked: Any) -> Any:
            return SimpleNamespace(facts=FACTS, subject_keys={})

        async def record(**what: Any) -> None:
            if self.fails is not None:
                raise self.fails
            self.recorded.append(what)

        async def refresh(epoch: int) -> None:
            self.refreshed.append(epoch)

        def decide(*_question: Any) -> Any:
            granted = self.grants.pop(0) if len(self.grants) > 1 else self.grants[0]
            return SimpleNamespace(granted=granted, scopes=[SimpleNamespace(reason="unknown_scope")], details=())

        regime = SimpleNamespace(
            catalogue=SimpleNamespace(audiences={"payments": ...}, by_identifier={}),
            assemble=assemble,
            judge=SimpleNamespace(decide=decide),
            kept=lambda _asked, facts: facts,
        )
        return SimpleNamespace(
            clock=SimpleNamespace(now=lambda: 1), entropy=bytes, regime=lambda: regime, record=record, refresh=refresh
        )


def governing(*grants: bool, fails: MintwardenError | None = None) -> Governing:
    return Governing(list(grants), [], [], fails)


async def raising(at: Governing, *turns: Any) -> Any:
    """What comes of work that raises, or gives, one after the other."""
    left = list(turns)

    async def work() -> Any:
        turn = left.pop(0)
        if isinstance(turn, Exception):
            raise turn
        return turn

    return await on_record(work, at.line)


async def test_it_is_recorded_once_with_the_proofs_that_came_with_it():
    at, error = governing(False), refusal()
    with pytest.raises(Unresolved) as caught:
        await raising(at, error)
    assert caught.value is error
    (what,) = at.recorded
    assert (what["asked"], what["once"], what["prepared"]) == (ASKED, ONCE, None)
    assert error.decision
    assert error.reasons == ("unknown_scope",)


async def test_a_version_that_knows_the_name_by_now_is_asked_instead():
    at = governing(True)
    assert await raising(at, refusal(), "a token") == "a token"
    assert at.recorded == [], "nothing that was refused stands there as granted"
    with pytest.raises(MintwardenError) as caught:
        await raising(at, *(refusal() for _ in range(ATTEMPTS)))
    assert caught.value.kind is ErrorKind.UNAVAILABLE


async def test_what_cannot_be_recorded_is_not_answered():
    at = governing(False, fails=MintwardenError(ErrorKind.OVERLOADED, "too many wait"))
    with pytest.raises(MintwardenError) as caught:
        await raising(at, refusal())
    assert caught.value.kind is ErrorKind.OVERLOADED


async def test_a_refusal_that_nobody_put_into_a_question_is_a_fault_of_ours():
    with pytest.raises(MintwardenError) as caught:
        await raising(governing(False), refusal(asked=None))
    assert caught.value.kind is ErrorKind.INTERNAL


async def test_a_store_that_moved_on_is_followed():
    at = governing(False)
    assert await raising(at, EpochMoved(7), "a token") == "a token"
    assert at.refreshed == [7]


@pytest.mark.parametrize(("method", "entries"), [("none", 0), ("private_key_jwt", 1)])
async def test_what_begins_in_the_name_of_a_client_that_proved_nothing_leaves_no_entry(method: str, entries: int):
    at, request = governing(False), TokenRequest(unverified_form={}, received_at=1)
    caller: Any = SimpleNamespace(method=method, once=ONCE, binding=None, registered=None)
    client: Any = SimpleNamespace(id="web", principal="Workload", environments=("production",))
    await record_begun(refusal(), "device_code", request, caller, client, at.line)
    assert [what["once"] for what in at.recorded] == [()] * entries, "its proofs were claimed already"
    if entries:
        with pytest.raises(MintwardenError) as caught:
            await record_begun(refusal(), "device_code", request, caller, client, governing(True).line)
        assert caught.value.kind is ErrorKind.UNAVAILABLE

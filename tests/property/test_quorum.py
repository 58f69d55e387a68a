"""Fewer than a quorum change nothing of what any caller is issued, whatever they do in whatever order."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mintwarden.govern.ports import Activation
from mintwarden.model.exception import ExceptionGrant
from mintwarden.model.values import EntityUid
from mintwarden.policy.approve.signed import Signed
from mintwarden.store import open_store
from tests.property.quorum import (
    ASKED,
    CHANGES,
    HOUR,
    PEOPLE,
    REASON,
    SELF,
    Stage,
    attempt,
    change_of,
    store_of,
    version,
)
from tests.unit.policy.approve.signing import ISSUER

CHANGE = st.sampled_from(sorted(CHANGES))
ACT = st.sampled_from(["author", "approve", "break_glass", "rollback"])
DOOR = st.sampled_from(["activate", "activate", "hand over", "rollback", "break_glass"])
NAME = st.sampled_from([*PEOPLE, "Eve", "ann"])
PRINCIPAL = st.sampled_from([asked.subject for asked in ASKED] + [EntityUid("Agent", "helper")])
SCOPE = st.sampled_from(["payments:read", "payments:write"])


class Company(RuleBasedStateMachine):
    """Honest people change the policy by their quorum; an adversary with one key fewer tries everything else.

    The adversary holds the keys of an author and of `quorum - 1` approvers and one that nobody knows, has seen every
    signature that was ever handed in, and may call whatever there is to call, as any user.
    """

    quorum = 2

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory(prefix="mintwarden-quorum-")
        self.held = (*PEOPLE[: self.quorum - 1], "Dan", "Eve")
        self.seen: list[Signed] = []
        self.words: list[str] = []
        self.requests: list[str] = []
        self.grants: list[ExceptionGrant] = []
        self.base, self.until, self.emergency = "as it is", 0, ""
        self.ever = ["as it is"]

    @initialize()
    def begin(self) -> None:
        self.store = self.runner.run(open_store(store_of(Path(self.folder.name)), create=True))
        self.stage = Stage(self.store, self.quorum)
        self.runner.run(self.stage.begin())

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.runner.run(self.store.close())
        self.runner.close()
        self.folder.cleanup()

    # -- what must govern ----------------------------------------------------------------------------------------------

    @property
    def governs(self) -> str:
        """The version that must govern now, by what it changes."""
        return self.emergency if self.emergency and self.stage.now < self.until else self.base

    @invariant()
    def everybody_is_issued_what_they_should(self) -> None:
        if not hasattr(self, "stage"):
            return
        bundle = self.stage.bundle(self.governs)
        grants = [one for one in self.grants if one.starts_at <= self.stage.now < one.expires_at]
        for node in self.stage.nodes:
            for asked in ASKED:
                issued = self.runner.run(node.issued(asked))
                assert issued == self.stage.expected(bundle, grants, asked), (self.governs, asked)

    # -- what honest people do -----------------------------------------------------------------------------------------

    @property
    def honest(self) -> tuple[str, ...]:
        return PEOPLE[1 : 1 + self.quorum]

    @rule(change=CHANGE)
    def a_quorum_changes_the_policy(self, change: str) -> None:
        if change in (self.governs, "one is enough"):
            return
        self.seen += self.runner.run(self.stage.hand_in(change, self.honest))
        done = self._do(
            self.stage.versions.activate(
                self.stage.digest(change),
                by="op",
                now=self.stage.now,
                hand_over=self._owner(change) != self._owner(self.governs),
            )
        )
        assert isinstance(done, Activation), done
        self.base, self.emergency = change, ""
        self.ever.append(change)

    @precondition(lambda self: not self.emergency or self.stage.now >= self.until)
    @rule(change=CHANGE, hours=st.integers(1, 4))
    def a_quorum_breaks_the_glass(self, change: str, hours: int) -> None:
        if change in (self.governs, "one is enough") or self._owner(change) != self._owner(self.governs):
            return
        for finding in self.runner.run(self.store.versions.findings()):  # so that the whole time is theirs again
            self._do(self.stage.versions.close(finding.id, by="reviewer", note="looked at", now=self.stage.now))
        self.seen += self.runner.run(self.stage.hand_in(change, self.honest, "break_glass"))
        done = self._do(
            self.stage.versions.break_glass(
                self.stage.digest(change), by="op", reason=REASON, seconds=hours * 3600, now=self.stage.now
            )
        )
        assert isinstance(done, Activation), done
        self.emergency, self.until = change, self.stage.now + hours * HOUR

    @rule(principal=PRINCIPAL, scope=SCOPE, hours=st.integers(1, 40))
    def a_quorum_approves_an_exception(self, principal: EntityUid, scope: str, hours: int) -> None:
        known = self._do(self._requested(principal, scope, hours, "rita"))
        for name in self.honest:
            text = self.stage.approval(known.request, name)
            self.words.append(text)
            known = self._do(self._approved(known.request.id, text))
        assert known.counts, known
        self.grants.append(known.request.grant(self.quorum))

    @rule(minutes=st.integers(1, 600))
    def time_passes(self, minutes: int) -> None:
        self.stage.clock.advance(seconds=60 * minutes)
        self.stage.observed = self.stage.now
        self.runner.run(self.stage.push())

    # -- what the adversary does ---------------------------------------------------------------------------------------

    @rule(change=CHANGE, act=ACT, name=NAME, held=st.integers(0, 9), back=st.integers(0, 3), late=st.integers(-3, 3))
    def signs(self, change: str, act: str, name: str, held: int, back: int, late: int) -> None:
        """One statement of whatever kind, kept for later."""
        active = self.runner.run(self.store.versions.active())
        values: dict[str, Any] = {"at": self.stage.now // 1000 + late * 3600}
        if back:
            values |= {
                "after": max(0, active.number - back),
                "base": self.stage.digest(self.ever[-back % len(self.ever)]),
            }
        key = self.held[held % len(self.held)]
        self.seen.append(self.runner.run(self.stage.word(change, act, name, key=key, **values)))

    @rule(change=CHANGE, door=DOOR, replayed=st.booleans(), by=st.sampled_from(["eve", "ann", "root"]))
    def attacks(self, change: str, door: str, replayed: bool, by: str) -> None:
        """Everything that the held keys can say for a version, in every name, and what was ever said; then the door."""
        act = {"activate": "approve", "hand over": "approve"}.get(door, door)
        words = [
            self.runner.run(self.stage.word(change, said, name, key=key))
            for key in self.held
            for said, names in (("author", ("Dan",)), (act, (key, *PEOPLE[:-1])))
            for name in names
        ]
        old = [one for one in self.seen if one.statement.digest == self.stage.digest(change)] if replayed else []
        self._do(self.stage.versions.submit(version(change, self.quorum)[0], [*words, *old[-20:]], now=self.stage.now))
        done = self._do(self._through(door, self.stage.digest(change), by))
        assert not isinstance(done, Activation), f"{change} governs by fewer than {self.quorum}: {done}"

    @rule(change=CHANGE, door=DOOR)
    def tries_what_is_there(self, change: str, door: str) -> None:
        """By the signatures that are in the store already, some of honest people for another moment."""
        done = self._do(self._through(door, self.stage.digest(change), "eve"))
        assert not isinstance(done, Activation), f"{change} governs by fewer than {self.quorum}: {done}"

    @rule(seconds=st.sampled_from([0, -5, 10**9]))
    def breaks_the_glass_for_good(self, seconds: int) -> None:
        digest = self.stage.digest(self.ever[-1])
        done = self._do(
            self.stage.versions.break_glass(digest, by="eve", reason=REASON, seconds=seconds, now=self.stage.now)
        )
        assert not isinstance(done, Activation)

    @rule()
    def lets_the_service_tidy_up(self) -> None:
        """Ends of emergencies and of exceptions are recorded, whoever has it done."""

        async def tidy() -> None:
            await self.stage.versions.lapse(self.stage.now)
            await (await self.stage.exceptions()).settle(SELF)

        self._do(tidy())

    @rule(number=st.integers(0, 6), by=st.sampled_from(["eve", "op"]))
    def closes_findings(self, number: int, by: str) -> None:
        self._do(self.stage.versions.close(f"break-glass-{number}", by=by, note="nothing to see", now=self.stage.now))

    @rule(principal=PRINCIPAL, scope=SCOPE, hours=st.integers(1, 49), requester=st.sampled_from(["eve", "ann", "bob"]))
    def asks_for_an_exception(self, principal: EntityUid, scope: str, hours: int, requester: str) -> None:
        known = self._do(self._requested(principal, scope, hours, requester))
        if not isinstance(known, Exception):
            self.requests.append(known.request.id)

    @rule(which=st.integers(0, 50), name=NAME, held=st.integers(0, 9), replayed=st.booleans())
    def approves_an_exception(self, which: int, name: str, held: int, replayed: bool) -> None:
        if not self.requests:
            return
        wanted = self.requests[which % len(self.requests)]
        if replayed and self.words:
            self._do(self._approved(wanted, self.words[which % len(self.words)]))
            return
        acts = self.runner.run(self.stage.exceptions())
        known = self._do(acts.known(wanted))
        text = self.stage.approval(known.request, name, key=self.held[held % len(self.held)])
        self._do(self._approved(wanted, text))

    # -- how -----------------------------------------------------------------------------------------------------------

    def _do(self, call: Any) -> Any:
        return self.runner.run(attempt(call))

    async def _through(self, door: str, digest: str, by: str) -> Activation:
        versions, now = self.stage.versions, self.stage.now
        if door == "rollback":
            return await versions.rollback(digest, by=by, reason=REASON, now=now)
        if door == "break_glass":
            return await versions.break_glass(digest, by=by, reason=REASON, seconds=3600, now=now)
        return await versions.activate(digest, by=by, now=now, hand_over=door == "hand over")

    def _owner(self, change: str) -> str:
        return self.stage.bundle(change).catalogue.owner

    async def _requested(self, principal: EntityUid, scope: str, hours: int, requester: str) -> Any:
        acts = await self.stage.exceptions()
        wanted = self.stage.wanted(principal, scope, hours * HOUR)
        return await acts.request(wanted, EntityUid("User", requester), endangered=lambda _bundle, _request: ())

    async def _approved(self, exception: str, text: str) -> Any:
        return await (await self.stage.exceptions()).approve(exception, text)


class LargerCompany(Company):
    """The same where it takes three and the adversary holds two."""

    quorum = 3


@pytest.mark.parametrize("machine", [Company, LargerCompany], ids=["one of two", "two of three"])
def test_fewer_than_a_quorum_change_nothing(machine: type[Company]):
    steps = settings(stateful_step_count=25, max_examples=settings.get_profile("default").max_examples // 12)
    run_state_machine_as_test(machine, settings=steps)


@pytest.mark.parametrize("machine", [Company, LargerCompany], ids=["two of two", "three of three"])
def test_one_key_more_and_each_door_opens(machine: type[Company]):
    """The machine is worth something only if its attacks fail for want of that one key."""
    for door, change in (
        ("activate", "no second factor"),
        ("hand over", "another owner"),
        ("break_glass", "everybody reads"),
    ):
        company = machine()
        try:
            company.begin()
            company.held = (*PEOPLE[: company.quorum], "Dan", "Eve")
            with pytest.raises(AssertionError, match=f"governs by fewer than {company.quorum}"):
                company.attacks(change=change, door=door, replayed=False, by="eve")
        finally:
            company.teardown()


def test_the_versions_differ():
    assert {ISSUER} == {version(change, 2)[1].catalogue.issuer for change in CHANGES}
    assert len({version(change, 2)[1].digest for change in CHANGES}) == len(CHANGES)
    assert change_of(version("no second factor", 2)[1].digest, 2) == "no second factor"

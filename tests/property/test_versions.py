"""No sequence of acts by fewer than a quorum changes which version governs."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mintwarden.model.errors import MintwardenError
from mintwarden.policy.approve.risk import risk
from tests.unit.govern.policy import REASON, Office, office
from tests.unit.policy.approve.small import team

KEYS = team()
P = "audiences/payments.toml"
CHANGES: tuple[tuple[tuple[str, str, str], ...], ...] = (
    (),
    ((P, 'description = "Payments"', 'description = "Payments of the company"'),),
    ((P, 'description = "Payments"', 'description = "All payments"'),),
    (("rules/all.cedar", '@require_amr("mfa")\n', ""),),
    (("bundle.toml", "required = 2", "required = 1"),),
    (("bundle.toml", KEYS["Bob"].text, KEYS["Dan"].text), ("bundle.toml", f'[[authors]]\nname = "Dan"\nkeys = ["{KEYS["Dan"].text}"]\n', "")),
)  # fmt: skip
PEOPLE = st.sampled_from(sorted(KEYS))
CHANGE = st.integers(0, len(CHANGES) - 1)


class Company(RuleBasedStateMachine):
    """People sign and operators act as they like; a model counts who has really said what about the present moment."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = contextlib.AsyncExitStack()
        self.folder = tempfile.TemporaryDirectory()
        self.desk: Office = self.run(self.stack.enter_async_context(office(Path(self.folder.name), keys=KEYS)))
        self.said: set[tuple[str, str, str, int]] = set()  # who said what about which version, after which activation
        self.governed: list[str] = []
        self.glass: tuple[str, int] | None = None

    def run(self, call: Any) -> Any:
        return self.loop.run_until_complete(call)

    def teardown(self) -> None:
        self.run(self.stack.aclose())
        self.loop.close()
        self.folder.cleanup()

    @initialize()
    def begin(self) -> None:
        done = self.run(self.desk.first())
        self.governed.append(done.digest)

    @rule(change=CHANGE, who=PEOPLE, act=st.sampled_from(["author", "approve", "break_glass", "rollback"]),
          stale=st.booleans(), key=PEOPLE)  # fmt: skip
    def sign(self, change: int, who: str, act: str, stale: bool, key: str) -> None:
        """Anybody signs anything, sometimes in another's name or for an earlier moment."""
        self.run(self._sign(change, who, act, stale, key))

    @rule(change=CHANGE, names=st.sets(PEOPLE, min_size=1), act=st.sampled_from(["approve", "rollback", "break_glass"]))
    def agree(self, change: int, names: set[str], act: str) -> None:
        """Several sign the same in earnest, somebody as the author."""
        self.run(self._sign(change, "Dan" if change != 5 else "Cem", "author", False, "Dan" if change != 5 else "Cem"))
        for name in sorted(names):
            self.run(self._sign(change, name, act, False, name))
        self.run(self._act(change, "activate" if act == "approve" else act, 2))

    async def _sign(self, change: int, who: str, act: str, stale: bool, key: str) -> None:
        try:
            texts = self.desk.texts(*CHANGES[change])
            digest = await self.desk.hand_in(texts, author="")
            after = len(self.governed) - stale
            word = await self.desk.word(digest, who, act, key=key, after=after)
            await self.desk.versions.submit(texts, [word], now=self.desk.now)
        except MintwardenError:
            return
        if key == who:
            self.said.add((who, act, digest, after))

    @rule(change=CHANGE, kind=st.sampled_from(["activate", "rollback", "break_glass"]), hours=st.integers(1, 4))
    def act(self, change: int, kind: str, hours: int) -> None:
        """An operator tries."""
        self.run(self._act(change, kind, hours))

    async def _act(self, change: int, kind: str, hours: int) -> None:
        desk, versions = self.desk, self.desk.versions
        state = await versions.state(desk.now)
        assert state.authority is not None
        await self._follow()
        try:
            digest = await desk.hand_in(desk.texts(*CHANGES[change]), author="")
            if kind == "activate":
                await versions.activate(digest, by="op", now=desk.now)
            elif kind == "rollback":
                await versions.rollback(digest, by="op", reason=REASON, now=desk.now)
            else:
                await versions.break_glass(digest, by="op", reason=REASON, seconds=hours * 3600, now=desk.now)
        except MintwardenError:
            return
        new, after = await versions.bundle(digest), len(self.governed)
        word = "approve" if kind == "activate" else kind
        known = {one.name for one in state.authority.approvals.approvers}
        authors = {who for who, act, about, when in self.said if (act, about, when) == ("author", digest, after)}
        said = {who for who, act, about, when in self.said if (act, about, when) == (word, digest, after)}
        counting = (said & known) - (authors if kind != "rollback" else set())
        level = risk(state.authority, new).level
        quorums = state.authority.approvals
        needed = quorums.higher_risk.required if level == "higher" else quorums.required
        if kind == "break_glass":
            needed = 1
            assert new.approvals == state.authority.approvals
            self.glass = (state.base, desk.now + hours * 3_600_000)
        elif kind == "rollback":
            assert digest in self.governed
            needed = min(needed, 1)
            self.glass = None
        else:
            self.glass = None
        assert len(counting) >= needed
        assert kind == "rollback" or authors
        self.governed.append(digest)
        event(kind)

    @rule(minutes=st.integers(1, 90))
    def wait(self, minutes: int) -> None:
        self.desk.clock.advance(seconds=minutes * 60)
        self.run(self.desk.versions.lapse(self.desk.now))
        self.run(self._follow())

    async def _follow(self) -> None:
        """An emergency whose time is over has ended, and in no other way does anything change by itself."""
        if self.glass is not None and self.desk.now >= self.glass[1]:
            self.governed.append(self.glass[0])
            self.glass = None

    @precondition(lambda self: self.governed)
    @invariant()
    def what_governs_is_what_was_agreed(self) -> None:
        active = self.run(self.desk.store.versions.active())
        assert (active.number, active.digest) == (len(self.governed), self.governed[-1])


TestCompany = Company.TestCase
TestCompany.settings = settings(
    max_examples=max(8, settings.default.max_examples // 10), stateful_step_count=16, deadline=None
)

"""Whatever is requested, signed, copied and revoked in whatever order: only a quorum of others puts one in force."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle as Names
from hypothesis.stateful import RuleBasedStateMachine, consumes, initialize, invariant, rule

from mintwarden.govern.exceptions import Known
from mintwarden.model.errors import MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.policy.approve.refusal import SignatureRefused
from mintwarden.store import open_store
from tests.conftest import FrozenClock
from tests.unit.govern.exceptional import HOUR, PEOPLE, RITA, SELF, company, office, signed

SCOPES = {"pay:read": 1, "pay:write": 2}


class Quorum(RuleBasedStateMachine):
    """A model that only counts: who has signed what, and which of them may."""

    requests: Names = Names("requests")
    signatures: Names = Names("signatures")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.clock = FrozenClock()
        self.signed: dict[str, set[str]] = {}
        self.over: set[str] = set()
        self.known: dict[str, Known] = {}

    @initialize()
    def open(self) -> None:
        self.store = self.runner.run(open_store(f"sqlite:///{self.folder}/x.db", create=True))
        self.office = office(self.store, company(self.folder / "bundle"), self.clock)

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    @rule(
        target=requests,
        requester=st.sampled_from(PEOPLE),
        whom=st.sampled_from(PEOPLE),
        scope=st.sampled_from(list(SCOPES)),
        hours=st.integers(1, 3),
    )
    def request(self, requester: str, whom: str, scope: str, hours: int) -> str:
        made = self.runner.run(
            self.office.request(
                EntityUid("User", requester),
                principal=EntityUid("User", whom),
                scope=scope,
                expires_at=self.clock.now() + hours * HOUR,
            )
        )
        name = made.request.id
        self.known[name], self.signed[name] = made, set()
        return name

    @rule(target=signatures, name=requests, person=st.sampled_from(PEOPLE), key=st.sampled_from((*PEOPLE, "", "", "")))
    def sign(self, name: str, person: str, key: str) -> tuple[str, str, str]:
        text = signed(self.known[name].request, person, self.clock.now(), key=key)
        return text, name, person if key in ("", person) else ""

    @rule(signature=signatures, name=requests)
    def approve(self, signature: tuple[str, str, str], name: str) -> None:
        """Any signature for any request, as often as one likes."""
        text, about, person = signature
        request = self.known[name].request
        try:
            self.runner.run(self.office.exceptions.approve(name, text))
        except (SignatureRefused, MintwardenError):
            return
        assert about == name
        assert person
        assert EntityUid("User", person) not in (request.requester, request.principal)
        self.signed[name].add(person)

    @rule(name=consumes(requests))
    def revoke(self, name: str) -> None:
        with contextlib.suppress(MintwardenError):
            self.runner.run(self.office.exceptions.revoke(name, RITA, "enough"))
        self.over.add(name)

    @rule(seconds=st.integers(-5_000, 5_000))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)
        self.office.elapsed[0] += abs(seconds)

    @rule()
    def settle(self) -> None:
        self.runner.run(self.office.exceptions.settle(SELF))

    @invariant()
    def only_a_quorum_of_others(self) -> None:
        if not hasattr(self, "office"):
            return
        for name in self.runner.run(self.office.ids_in_force()):
            request = self.known[name].request
            assert len(self.signed[name]) >= SCOPES[request.scope]
            assert name not in self.over


Quorum.TestCase.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
TestQuorum = Quorum.TestCase

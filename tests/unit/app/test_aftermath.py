"""What follows from an approval that counts once: who used it up, and who came too late."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from mintwarden.app.aftermath import Endings, with_aftermath
from mintwarden.authn.shelf import Shelf
from mintwarden.context.approvals import GivenApproval
from mintwarden.issue.approval_requests import GIVEN
from mintwarden.issue.memory import Memory
from mintwarden.ledger.record import ProofReplayed
from mintwarden.mint.master import LocalMasterKey
from mintwarden.model.asked import Asked
from mintwarden.model.caller import OnceKey
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.store import Store
from tests.conftest import FrozenClock

SEAL = LocalMasterKey(bytes(32), random_bytes=os.urandom)
FIRST, OTHER = "01" * 16, "02" * 16
ASKED = Asked(
    grant="ciba",
    grant_id="g1",
    client_id="till",
    subject=EntityUid("User", "alice"),
    audience="pay",
    scopes=("pay:write", "pay:close"),
)


class Node:
    """A node whose ledger knows what was claimed, and two approvals that count once."""

    def __init__(self, store: Store, clock: FrozenClock) -> None:
        self.clock = clock
        self.memory = Memory(states=store.states, seal=SEAL, revocations=store.revocations)
        self.given = Shelf(GIVEN, GivenApproval, states=store.states, seal=SEAL)
        self.claimed: set[bytes] = set()
        base = cast("Any", SimpleNamespace(clock=clock))
        self.record = with_aftermath(cast("Any", self.write), self.endings(base), cast("Any", None))

    def endings(self, base: Any) -> Endings:
        return Endings(base, self.memory, cast("Any", SimpleNamespace(on=False)))

    async def write(self, *, once: tuple[OnceKey, ...], **_what: object) -> Any:
        for key in once:
            if key.digest in self.claimed:
                raise ProofReplayed(key.digest, key.proof)
        self.claimed.update(key.digest for key in once)
        return "written"

    async def approve(self) -> tuple[OnceKey, ...]:
        ends = self.clock.now() + 600_000
        made = [GivenApproval(id=name, element=f"lead:{name}", ends=ends, once=True) for name in (FIRST, OTHER)]
        for one in made:
            await self.given.add(one.id, one, ends=ends, owner="c")
        return tuple(one.claim for one in made)

    async def recorded(self, asked: Asked, once: tuple[OnceKey, ...]) -> Any:
        return await self.record(
            decision_id=b"", decision=cast("Any", None), asked=asked, facts=cast("Any", None),
            prepared=cast("Any", "token"), id_token=None, once=once, key=None,
        )  # fmt: skip

    async def counting(self, grant_id: str = "") -> set[str]:
        return {one.id for one in await self.memory.approvals.in_force("c", self.clock.now(), grant_id)}


async def test_what_is_sent_anew_finds_what_the_first_used_up(store: Store, clock: FrozenClock) -> None:
    node = Node(store, clock)
    once = await node.approve()
    assert await node.recorded(ASKED, once) == "written"
    assert (await node.counting(), await node.counting("g2")) == (set(), set())
    assert await node.counting("g1") == {FIRST, OTHER}


async def test_what_is_sent_once_leaves_nothing(store: Store, clock: FrozenClock) -> None:
    node = Node(store, clock)
    once = await node.approve()
    assert await node.recorded(replace(ASKED, grant="token_exchange"), once[:1]) == "written"
    assert (await node.counting(), await node.counting("g1")) == ({OTHER}, {OTHER})


@pytest.mark.parametrize("grant", ["ciba", "token_exchange"])
async def test_who_comes_too_late_uses_nothing_up_and_takes_nothing_away(
    store: Store, clock: FrozenClock, grant: str
) -> None:
    """It was faster than the note of who was first; what else it wanted was used by nobody."""
    node = Node(store, clock)
    once = await node.approve()
    node.claimed.add(once[0].digest)  # the first one's, on its way to noting it
    late = replace(ASKED, grant=grant, grant_id="g2")
    with pytest.raises(MintwardenError, match="used up meanwhile") as caught:
        await node.recorded(late, once)
    assert caught.value.kind is ErrorKind.UNAVAILABLE
    assert (await node.counting(), await node.counting("g2")) == ({OTHER}, {OTHER})
    await node.memory.approvals.used_up(FIRST, "g1", clock.now())
    assert await node.counting("g1") == {FIRST, OTHER}

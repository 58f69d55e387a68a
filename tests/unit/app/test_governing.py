"""What governs on one node: swapped as a whole, never ahead of or behind its epoch, and emergencies that end."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mintwarden.app.governing import GRACE, KEPT, SLACK, Governing, Government, Library
from mintwarden.authn.registry import ActivationMoved, Registry
from mintwarden.govern.content import content_of
from mintwarden.govern.ports import Activation, StoredVersion
from mintwarden.govern.versions import SELF
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import decision_id
from mintwarden.policy.bundle.load import build_bundle
from tests.unit.govern.policy import REASON, Office, office
from tests.unit.policy.approve.signing import soft

RISKY = ("rules/all.cedar", '@require_amr("mfa")\n', "")
WORDS = ("audiences/payments.toml", 'description = "Payments"', 'description = "Payments of the company"')
HOUR = 3_600_000


class Node:
    """One node's `Governing` over the office's store, with clocks that the test moves."""

    def __init__(self, desk: Office) -> None:
        self.desk, self.monotonic = desk, 1_000.0
        self.closed: list[str] = []
        self.told: list[tuple[str, bool]] = []
        self.library = Library(desk.store.versions)
        self.between: Any = None
        base = SimpleNamespace(store=desk.store, clock=desk.clock, bundle=build_bundle(desk.texts()))
        self.governing = Governing(
            cast("Any", base), library=self.library, make=self.make, monotonic=lambda: self.monotonic,
            swapped=lambda new, emergency: self.told.append((new.bundle.digest, emergency is not None)),
        )  # fmt: skip

    async def make(self, base: Any, bundle: Any, number: int) -> Government:
        between, self.between = self.between, None
        if between is not None:
            await between()
        sources = contextlib.AsyncExitStack()
        sources.callback(self.closed.append, bundle.digest)
        registry = Registry(clients={}, credentials=self.desk.store.credentials, activation=number)
        nothing = dict.fromkeys(Government.__struct_fields__)
        values: dict[str, Any] = nothing | {
            "number": number,
            "base": SimpleNamespace(bundle=bundle),
            "authenticator": registry,
            "regime": (number, bundle.digest),
            "sources": sources,
        }
        return Government(**values)

    @property
    def regime(self) -> tuple[int, str]:
        return cast("tuple[int, str]", self.governing.regime())


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Office]:
    async with office(tmp_path) as opened:
        await opened.first()
        yield opened


async def glass(desk: Office, seconds: int = 3600) -> Activation:
    digest = await desk.hand_in(desk.texts(RISKY), approvers=("Ann",), act="break_glass")
    return await desk.versions.break_glass(digest, by="op", reason=REASON, seconds=seconds, now=desk.now)


async def sequenced(desk: Office) -> None:
    await desk.store.tree.sequence(1000)


async def test_before_the_first_activation_the_folder_governs_as_number_0(tmp_path):
    async with office(tmp_path) as desk:
        node = Node(desk)
        with pytest.raises(MintwardenError):
            node.regime  # noqa: B018 - nothing yet
        await node.governing.refresh()
        assert node.regime[0] == 0
        done = await desk.first()
        await node.governing.refresh()
        assert node.regime == (1, done.digest)


async def test_an_activation_swaps_everything_and_what_it_replaced_is_closed_later(desk):
    node = Node(desk)
    await node.governing.refresh()
    old = node.regime[1]
    digest = await desk.hand_in(desk.texts(WORDS), approvers=("Ann",))
    await desk.versions.activate(digest, by="op", now=desk.now)
    assert node.regime == (1, old), "nothing changes before somebody looks"
    await node.governing.refresh()
    assert (node.regime, node.told) == ((2, digest), [(old, False), (digest, False)])
    assert node.governing.epoch == await desk.store.epoch()
    await node.governing.let_go()
    assert node.closed == []
    node.monotonic += GRACE
    await node.governing.let_go()
    assert node.closed == [old]
    await node.governing.let_go(everything=True)
    assert node.closed == [old, digest]


async def test_secrets_of_a_later_activation_are_never_taken_for_an_earlier_version(desk):
    node = Node(desk)
    await node.governing.refresh()
    registry = node.governing.current.authenticator
    before = registry.epoch
    await desk.versions.activate(await desk.hand_in(desk.texts(WORDS), approvers=("Ann",)), by="op", now=desk.now)
    with pytest.raises(ActivationMoved):
        await registry.refresh()
    assert registry.epoch == before < await desk.store.epoch()


async def test_an_activation_while_another_is_taken_in_is_not_missed(desk):
    """The version read first is of number 2; before its secrets are read, number 3 governs."""
    node = Node(desk)
    await node.governing.refresh()
    first = node.regime[1]
    await desk.versions.activate(await desk.hand_in(desk.texts(WORDS), approvers=("Ann",)), by="op", now=desk.now)

    async def meanwhile() -> None:
        await desk.versions.submit(desk.texts(), [await desk.word(first, "Ann", "rollback")], now=desk.now)
        await desk.versions.rollback("", by="op", reason=REASON, now=desk.now)

    node.between = meanwhile
    await node.governing.refresh()
    assert node.regime == (3, first)
    assert [digest for digest, _ in node.told] == [first, first], "number 2 never governed here"


async def test_an_emergency_ends_to_the_millisecond_recorded_or_not(desk):
    node, first = Node(desk), await desk.active()
    done = await glass(desk)
    await node.governing.refresh()
    assert (node.regime, node.told) == ((2, done.digest), [(done.digest, True)])
    desk.clock.advance(millis=HOUR - 1)
    assert node.regime == (2, done.digest)
    desk.clock.advance(millis=1)
    assert node.regime == (2, first)
    assert node.told[-1] == (first, False)
    assert node.governing.emergency == done
    await desk.versions.lapse(desk.now)
    await node.governing.refresh()
    assert node.regime == (3, first)
    assert vars(node.governing)["emergency"] is None


async def test_an_emergency_that_has_ended_does_not_come_back_when_the_clock_steps_back(desk):
    node, first = Node(desk), await desk.active()
    await glass(desk)
    await node.governing.refresh()
    desk.clock.advance(millis=HOUR)
    assert node.regime[1] == first
    desk.clock.advance(millis=-HOUR // 2)
    await node.governing.refresh()
    assert node.regime[1] == first


async def test_a_clock_that_steps_back_does_not_prolong_an_emergency(desk):
    node, first = Node(desk), await desk.active()
    done = await glass(desk)
    await node.governing.refresh()
    desk.clock.advance(millis=-SLACK)
    assert node.regime[1] == done.digest, "nodes' clocks may differ a little"
    node.monotonic += 3600 + SLACK / 1000
    assert node.regime[1] == first, "as many seconds have passed"


async def test_a_clock_before_the_beginning_of_an_emergency_ends_it(desk):
    node, first = Node(desk), await desk.active()
    await glass(desk)
    await node.governing.refresh()
    desk.clock.advance(millis=-SLACK - 1)
    assert node.regime[1] == first


async def test_a_restart_with_a_clock_that_was_set_back_does_not_prolong_it_either(desk):
    """The newest ledger entry says what time it cannot be before."""
    first = await desk.active()
    await glass(desk)
    desk.clock.advance(millis=HOUR - 1000)
    await desk.hand_in(desk.texts(WORDS), author="Dan")  # its approval is recorded now
    await sequenced(desk)
    desk.clock.advance(millis=-HOUR // 2)
    node = Node(desk)
    await node.governing.refresh()
    node.monotonic += 1 + SLACK / 1000
    assert node.regime[1] == first


async def test_a_restart_after_its_time_never_decides_under_it(desk):
    first = await desk.active()
    done = await glass(desk)
    desk.clock.advance(millis=HOUR)
    node = Node(desk)
    await node.governing.refresh()
    assert node.regime[1] == first
    assert (done.digest, True) not in node.told


async def test_an_activation_that_the_ledger_does_not_have_governs_nothing(desk):
    node = Node(desk)
    await node.governing.refresh()
    digest = await desk.hand_in(desk.texts(RISKY))
    forged = Activation(
        number=2, digest=digest, previous=await desk.active(), kind="activate", at=desk.now, entry_id=b"x" * 16
    )
    assert await desk.store.versions.activate(forged)
    with pytest.raises(MintwardenError) as raised:
        await node.governing.refresh()
    assert raised.value.kind is ErrorKind.STORE
    assert node.governing.trouble is raised.value
    with pytest.raises(ActivationMoved):
        await node.governing.current.authenticator.refresh()


async def forged(desk: Office, **values: Any) -> Activation:
    """An activation that somebody wrote into the store together with its ledger entry, past every check."""
    active = await desk.store.versions.active()
    assert active is not None
    entry = decision_id(desk.now, active.number.to_bytes(10, "big"))
    members: dict[str, Any] = {
        "number": active.number + 1, "previous": active.digest, "kind": "activate", "at": desk.now, "entry_id": entry,
    } | values  # fmt: skip
    new = Activation(**members)
    await desk.recorder.record_act(
        entry_id=entry, kind="policy_activation", at=desk.now, actor=SELF,
        detail={"number": new.number, "bundle": new.digest},
    )  # fmt: skip
    assert await desk.store.versions.activate(new)
    return new


async def test_who_writes_to_the_store_and_the_ledger_makes_nothing_govern_without_the_signatures(desk):
    running = Node(desk)
    await running.governing.refresh()
    await forged(desk, digest=await desk.hand_in(desk.texts(RISKY), approvers=("Ann",)))
    for node in (running, Node(desk)):
        with pytest.raises(MintwardenError, match="activation 2 does not have the signatures"):
            await node.governing.refresh()


async def test_a_running_node_follows_every_step_since_it_last_looked(desk):
    """Two forged steps, the second with the quorum of the first: people who came to power by themselves."""
    node = Node(desk)
    await node.governing.refresh()
    mine = Office(desk.store, keys={**desk.keys, "Ann": soft(), "Bob": soft()})
    coup = await mine.hand_in(mine.texts(), approvers=("Ann", "Bob"))
    await forged(desk, digest=coup)
    second = await mine.hand_in(mine.texts(WORDS), approvers=("Ann",))
    await mine.versions.activate(second, by="eve", now=mine.now)
    with pytest.raises(MintwardenError, match="activation 2 does not have the signatures"):
        await node.governing.refresh()


async def test_who_rewrites_what_governs_chooses_nobody_who_approves_the_next(desk, tmp_path):
    """The step that a node took is made another's, so that those people's signatures carry the next step."""
    node = Node(desk)
    await node.governing.refresh()
    before = node.regime
    mine = Office(desk.store, keys={**desk.keys, "Ann": soft(), "Bob": soft()})
    coup = await mine.hand_in(mine.texts())
    with contextlib.closing(sqlite3.connect(tmp_path / "mintwarden.db")) as connection, connection:
        connection.execute("UPDATE activations SET digest = ?", (coup,))
    second = await mine.hand_in(mine.texts(WORDS), approvers=("Ann",))
    await mine.versions.activate(second, by="eve", now=mine.now)
    with pytest.raises(MintwardenError, match="activation 2 does not have the signatures"):
        await node.governing.refresh()
    assert node.regime == before


@pytest.mark.parametrize("kind", ["return", "rollback", "break_glass"])
async def test_no_kind_of_activation_goes_without_its_signatures(desk, kind):
    node = Node(desk)
    await node.governing.refresh()
    digest = await desk.hand_in(desk.texts(WORDS))
    until = {"until": desk.now + 1000, "returns_to": await desk.active()} if kind == "break_glass" else {}
    await forged(desk, digest=digest, kind=kind, **until)
    with pytest.raises(MintwardenError, match="does not have the signatures"):
        await node.governing.refresh()


async def test_an_emergency_cannot_be_made_longer_in_the_store(desk):
    node = Node(desk)
    await node.governing.refresh()
    digest = await desk.hand_in(desk.texts(RISKY), approvers=("Ann",), act="break_glass")
    await forged(desk, digest=digest, kind="break_glass", until=desk.now + 5 * HOUR, returns_to=await desk.active())
    with pytest.raises(MintwardenError, match="does not have the signatures"):
        await node.governing.refresh()


async def test_an_activation_is_not_undone_by_taking_it_out_of_the_store(desk, tmp_path):
    digest = await desk.hand_in(desk.texts(WORDS), approvers=("Ann",))
    await desk.versions.activate(digest, by="op", now=desk.now)
    node = Node(desk)
    await node.governing.refresh()
    with contextlib.closing(sqlite3.connect(tmp_path / "mintwarden.db", isolation_level=None)) as database:
        database.execute("DELETE FROM activations WHERE number = 2")
        database.execute("UPDATE meta SET epoch = epoch + 1")
    with pytest.raises(MintwardenError, match="activation 2 is gone from the store"):
        await node.governing.refresh()


async def test_calling_a_version_ones_own_work_afterwards_undoes_nothing(desk):
    digest = await desk.hand_in(desk.texts(WORDS), approvers=("Ann",))
    word = await desk.word(digest, "Ann", "author")
    await desk.versions.activate(digest, by="op", now=desk.now)
    desk.clock.advance(seconds=1)
    await desk.versions.submit(desk.texts(WORDS), [word], now=desk.now)
    node = Node(desk)
    await node.governing.refresh()
    assert node.regime == (2, digest)


async def test_versions_are_loaded_before_they_are_needed_and_few_are_kept(desk):
    node = Node(desk)
    digests = [
        await desk.hand_in(desk.texts((WORDS[0], WORDS[1], f'description = "Version {n}"'))) for n in range(KEPT + 2)
    ]
    await node.library.preload((digests[0],))
    built = await node.library.get(digests[0])
    assert await node.library.get(digests[0]) is built
    for digest in digests[1:]:
        await node.library.get(digest)
    assert await node.library.get(digests[0]) is not built
    with pytest.raises(MintwardenError):
        await node.library.get("sha256:none")


async def test_a_version_that_cannot_be_loaded_is_told_once(desk):
    node = Node(desk)
    await desk.store.versions.put_version(StoredVersion("sha256:forged", content_of(desk.texts()), desk.now + 1), [])
    with pytest.raises(MintwardenError, match="not stored as it was approved"):
        await node.library.preload(())
    await node.library.preload(())

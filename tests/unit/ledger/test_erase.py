"""Erasure and revealing: one person is forgotten, the log stays whole, and it says so."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from mintwarden.ledger.erase import erase
from mintwarden.ledger.reveal import read_entry, reveal
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from tests.unit.ledger import samples
from tests.unit.ledger.memory import MemoryStore
from tests.unit.ledger.test_audit import audit
from tests.unit.ledger.test_sequencer import sequencer

PERSON = EntityUid("User", "person-3")
CLERK = EntityUid("User", "clerk")


async def erased() -> tuple[MemoryStore, list[bytes], bytes]:
    store = MemoryStore()
    ids = await samples.fill(store, 14)
    await sequencer(store).run_once()
    entry_id = next(itertools.islice(samples.ids(samples.NOW + 99), 1))
    await erase(
        PERSON,
        keys=store,
        recorder=samples.recorder(store),
        entry_id=entry_id,
        at=samples.NOW + 99,
        actor=CLERK,
        ticket="GDPR-7 for person-3",
    )
    await sequencer(store).run_once()
    return store, ids, entry_id


async def reveal_one(store: MemoryStore, raw_id: bytes):
    stored = await store.by_decision(raw_id)
    assert stored is not None
    return await reveal(stored, keys=store, sealer=samples.sealer())


async def test_an_open_decision_is_revealed_whole():
    store, ids, _ = await erased()
    found = await reveal_one(store, ids[4])
    assert found.state == "open"
    assert found.subject == "User:person-4"
    assert found.decision is not None
    assert found.decision.facts == samples.facts(EntityUid("User", "person-4"))
    assert found.decision.asked == samples.asked(EntityUid("User", "person-4"))
    assert found.entry["kind"] == "decision"


async def test_an_erased_decision_is_not_replayable_and_names_nobody():
    store, ids, _ = await erased()
    for raw_id in (ids[3], ids[10]):
        found = await reveal_one(store, raw_id)
        assert (found.state, found.subject, found.decision) == ("erased", "", None)
        assert found.entry["granted"] is True


async def test_the_erasure_itself_is_recorded_without_saying_whom():
    store, _, entry_id = await erased()
    stored = await store.by_decision(entry_id)
    assert stored is not None
    assert b"person" not in stored.entry
    assert b"clerk" not in stored.entry
    found = await reveal_one(store, entry_id)
    assert found.entry["kind"] == "erasure"
    assert found.entry["detail"] == {"key": 4}
    assert found.subject == "User:clerk"
    assert found.private == {"actor": ["User", "clerk"], "private": {"ticket": "GDPR-7 for person-3"}}


async def test_the_log_stays_whole():
    store, _, _ = await erased()
    report = await audit(store)
    assert report.ok
    assert (report.size, report.opened, report.erased) == (15, 13, 2)


async def test_a_later_decision_starts_a_new_key():
    store, _, _ = await erased()
    later = await samples.fill(store, 4, start=14 * 7)
    assert (await reveal_one(store, later[3])).state == "open"


async def test_erasing_twice_says_that_nothing_is_there():
    store, _, _ = await erased()
    with pytest.raises(MintwardenError) as caught:
        await erase(
            PERSON,
            keys=store,
            recorder=samples.recorder(store),
            entry_id=b"x" * 16,
            at=samples.NOW,
            actor=EntityUid("Workload", "admin"),
        )
    assert caught.value.kind is ErrorKind.NOT_FOUND


async def test_the_key_stays_when_the_erasure_cannot_be_recorded():
    store = MemoryStore()
    await samples.fill(store, 7)
    store.failure = MintwardenError(ErrorKind.UNAVAILABLE, "the disk is full")
    with pytest.raises(MintwardenError, match="disk is full"):
        await erase(
            PERSON,
            keys=store,
            recorder=samples.recorder(store),
            entry_id=b"x" * 16,
            at=samples.NOW,
            actor=EntityUid("Workload", "admin"),
        )
    assert await store.get("User:person-3") is not None


@pytest.mark.parametrize("entry", [b"nonsense", b"[]", b'{"kind":"decision","v":2}', b'{"kind":1,"v":1}', b'{"v":1}'])
def test_unknown_entries_are_refused(entry):
    with pytest.raises(MintwardenError):
        read_entry(entry)


@pytest.mark.parametrize("facts", ["zz", 7])
async def test_a_malformed_commitment_is_refused(facts):
    store, ids, _ = await erased()
    stored = await store.by_decision(ids[0])
    assert stored is not None
    entry = msgspec.json.encode({**read_entry(stored.entry), "facts": facts}, order="deterministic")
    with pytest.raises(MintwardenError, match="malformed"):
        await reveal(msgspec.structs.replace(stored, entry=entry), keys=store, sealer=samples.sealer())

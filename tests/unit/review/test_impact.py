"""Replay over a real store: what was recorded comes out byte for byte, what was damaged is said to be."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mintwarden.app.impact import Work, run_ranges
from mintwarden.ledger.entry import DecisionEntry
from mintwarden.ledger.tree import leaf_hash
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from mintwarden.review.cause import Cause
from mintwarden.review.hypothesis import Hypothesis
from mintwarden.review.impact import state as states
from mintwarden.review.impact.examples import Show, examples
from mintwarden.review.impact.kinds import changes_of
from mintwarden.review.impact.report import leaves_of
from mintwarden.review.impact.state import State, begin, read_state, resume, write_state
from mintwarden.review.impact.tally import MAX_CAUSES, MAX_NAMES, Names, Seen, Tally
from mintwarden.review.impact.walk import SLACK, Filters, first_leaf, walk
from mintwarden.review.replay import Replayer, read_decision
from mintwarden.store import Store, open_store
from tests.property.replay_cases import EDITS, FILES, NOW, bundle_of
from tests.sizes import FULL_SIZE
from tests.unit.review.past import KEYS, SECRET, Past, sealer

MANY = 100_000 if FULL_SIZE else 4_000
LESS_RISK = frozenset({0, 1})
"""Edits of rules only: whatever was recorded can be replayed."""


def made(edits: frozenset[int] = frozenset()) -> Bundle:
    bundle = bundle_of(edits)
    assert bundle is not None
    return bundle


def texts(edits: frozenset[int] = frozenset()) -> dict[str, str]:
    found = dict(FILES)
    for index in edits:
        file, old, new = EDITS[index]
        found[file] = found[file].replace(old, new)
    return found


def replayer(candidate: Bundle, *others: Bundle, hypothesis: Hypothesis | None = None, keys=KEYS) -> Replayer:
    known = {bundle.digest: bundle for bundle in others}
    return Replayer(candidate, known.get, sealer=sealer(), keys=keys, hypothesis=hypothesis)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await open_store(f"sqlite:///{tmp_path}/mintwarden.db", create=True)
    yield opened
    await opened.close()


async def whole(store: Store, replayer: Replayer, filters: Filters | None = None) -> Tally:
    end = await store.entries.sequenced()
    return await walk(
        0, end, entries=store.entries, keys=store.subject_keys, replayer=replayer, filters=filters or Filters()
    )


# -- byte for byte --------------------------------------------------------------------------------------------------


async def test_every_decision_comes_out_byte_for_byte_under_its_own_bundle(store):
    """100,000 of them in `make scale`, 4,000 in every other run."""
    past = Past(store)
    await past.record(made(), MANY)
    tally = await whole(store, replayer(made()))
    assert (tally.entries, tally.replayed, tally.same, tally.unchanged) == (MANY, MANY, MANY, MANY)
    assert tally.not_replayed == tally.different.count == 0


async def test_decisions_of_cedar_alone_come_out_byte_for_byte(store):
    past = Past(store)
    await past.record(made(), 60, evaluator="cedar")
    tally = await whole(store, replayer(made()))
    assert (tally.same, tally.not_replayed) == (60, 0)


async def test_a_token_whose_key_is_not_known_is_the_one_member_left_out(store):
    past = Past(store)
    await past.record(made(), 300)
    tally = await whole(store, replayer(made(), keys=()))
    assert tally.same_but_token > 20
    assert tally.same + tally.same_but_token == 300
    assert tally.different.count == 0


async def test_an_evaluator_that_decides_otherwise_is_told_of(store):
    past = Past(store)
    await past.record(made(), 300)
    own, other = made(), made(LESS_RISK)
    wrong = own.with_rules(other.rules)
    tally = await whole(store, replayer(wrong))
    assert tally.different.count > 0
    assert tally.members["scopes"] > 0
    assert tally.kinds["lost"].count > 0


# -- what changes ---------------------------------------------------------------------------------------------------


async def test_the_verdict_is_that_of_the_whole_truth(store):
    """Whatever is said to be replayed is what the candidate decides over all facts, dropped ones included."""
    past = Past(store)
    await past.record(made(), 600)
    candidate = made(LESS_RISK)
    tally = await whole(store, replayer(candidate, made()))
    assert (tally.replayed, tally.not_replayed) == (600, 0)
    expected = Tally()
    for index, stored in enumerate(await store.entries.by_index(0, 600)):
        was, truth = read_decision(stored), past.by_id[stored.decision_id]
        assert isinstance(was, DecisionEntry)
        at = was.at
        now = decide(candidate, truth.asked, truth.facts, at)
        claims = {claim.name: claim.value for claim in decide(made(), truth.asked, truth.facts, at).claims}
        for change in changes_of(was, claims, now):
            expected.kinds[change.kind].add(index)
    assert tally.kinds == expected.kinds
    assert tally.kinds["lost"].count > 0


async def test_a_bundle_that_is_not_at_hand_is_a_cause(store):
    past = Past(store)
    await past.record(made(), 20)
    tally = await whole(store, replayer(made(LESS_RISK)))
    assert {text.partition(": ")[0]: seen.count for text, seen in tally.causes.items()} == {"bundle_unknown": 20}


async def test_facts_that_were_not_kept_are_listed_by_path(store):
    past = Past(store)
    await past.record(made(), 200)
    edit = next(i for i, (_, _, new) in enumerate(EDITS) if new.startswith("context has device"))
    tally = await whole(store, replayer(made(frozenset({edit})), made()))
    assert "facts_not_recorded: context.device.compliant" in ";".join(tally.causes)
    assert tally.replayed > 0


async def test_filters_leave_out_what_is_not_asked_about(store):
    past = Past(store)
    await past.record(made(), 200)
    await past.act()
    under = replayer(made())
    middle = NOW + 100_000
    tally = await whole(store, under, Filters(since=middle, until=middle + 50_000))
    assert (tally.decisions, tally.outside, tally.others, tally.entries) == (50, 150, 1, 201)
    by_client = [await whole(store, under, Filters(clients=frozenset({name}))) for name in ("app", "bot", "tool", "no")]
    assert [tally.decisions > 0 for tally in by_client] == [True, True, True, False]
    assert sum(tally.decisions for tally in by_client) == 200
    assert (await whole(store, under, Filters(audiences=frozenset({"legacy"})))).decisions < 200
    scoped = await whole(store, under, Filters(scopes=frozenset({"pay:write"})))
    assert 0 < scoped.decisions < 200


@pytest.mark.parametrize("hypothesis", [Hypothesis(without_groups=("finance",)), Hypothesis(sources_down=("risk",))])
async def test_what_is_supposed_changes_what_is_decided(store, hypothesis):
    past = Past(store)
    await past.record(made(), 200)
    tally = await whole(store, replayer(made(), hypothesis=hypothesis))
    assert tally.same == 0
    assert tally.kinds["lost"].count > 0
    assert tally.kinds["gained"].count == 0


@pytest.mark.parametrize("name", ["nowhere"])
def test_an_unknown_source_cannot_be_supposed_to_be_down(name):
    with pytest.raises(MintwardenError, match="no source"):
        replayer(made(), hypothesis=Hypothesis(sources_down=(name,)))


# -- hostile --------------------------------------------------------------------------------------------------------


def edit(tmp_path: Path, change: Callable[[sqlite3.Connection], None]) -> None:
    with sqlite3.connect(tmp_path / "mintwarden.db") as connection:
        change(connection)
    connection.close()


def _cut(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE entries SET sealed = substr(sealed, 1, 40) WHERE leaf = 3")


def _gone(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE entries SET sealed = NULL WHERE leaf = 3")


def _moved(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE entries SET sealed = (SELECT sealed FROM entries WHERE leaf = 4) WHERE leaf = 3")


def _entry(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE entries SET entry = replace(CAST(entry AS TEXT), 'payments', 'payment5') WHERE leaf = 3")
    connection.execute("UPDATE entries SET entry = X'00' || entry WHERE leaf = 3")


def _another_key(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE entries SET key_id = (SELECT key_id FROM entries WHERE leaf = 4) WHERE leaf = 3")


@pytest.mark.parametrize("change", [_cut, _gone, _moved, _entry, _another_key])
async def test_what_was_damaged_is_counted_as_damaged(store, tmp_path, change):
    past = Past(store)
    await past.record(made(), 10, different=10)
    edit(tmp_path, change)
    tally = await whole(store, replayer(made()))
    assert tally.same == 9
    assert [text.partition(": ")[0] for text in tally.causes] == ["damaged"]
    assert next(iter(tally.causes.values())) == Seen(1, 3, 3)


@pytest.mark.parametrize("entry", [b"", b"null", b"{", b"[" * 5000, b'{"kind":"decision","v":1,"at":"x"}', b'{"kind":"decision","v":2}', b"\xff"])  # fmt: skip
async def test_an_entry_of_no_known_form_is_a_cause(store, tmp_path, entry):
    past = Past(store)
    await past.record(made(), 5, different=5)

    def change(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE entries SET entry = ?, leaf_hash = ? WHERE leaf = 2", (entry, leaf_hash(entry)))

    edit(tmp_path, change)
    tally = await whole(store, replayer(made()))
    assert (tally.same, tally.not_replayed) == (4, 1)
    assert next(iter(tally.causes)).startswith("unknown_form")


async def test_those_who_were_erased_are_counted_as_erased(store):
    past = Past(store)
    await past.record(made(), 50, different=25)
    erased = next(truth.asked.subject for truth in past.truths if truth.asked.subject.type == "User")
    await store.subject_keys.erase(f"User:{erased.id}")
    tally = await whole(store, replayer(made()))
    assert {text: seen.count for text, seen in tally.causes.items()} == {"subject_erased": 2}
    assert tally.same == 48


# -- the run --------------------------------------------------------------------------------------------------------


def work_of(tmp_path: Path, edits: frozenset[int] = LESS_RISK) -> Work:
    return Work(
        store=f"sqlite:///{tmp_path}/mintwarden.db", secret=SECRET, candidate=texts(edits),
        others={made().digest: texts()}, keys=KEYS, filters=Filters(), hypothesis=Hypothesis(),
    )  # fmt: skip


async def test_a_run_that_was_killed_ends_with_what_an_uninterrupted_one_ends_with(store, tmp_path):
    past = Past(store)
    await past.record(made(), 900, different=300)
    expected = await whole(store, replayer(made(LESS_RISK), made()))
    state = await begin(store.entries, question="q", filters=Filters())
    for start, end in list(state.left(100))[3:6]:  # some ranges, not the first
        part = await walk(
            start, end, entries=store.entries, keys=store.subject_keys, replayer=replayer(made(LESS_RISK), made()), filters=Filters()
        )  # fmt: skip
        state.add(start, end, part)
    file = tmp_path / "state.json"
    write_state(file, state)
    assert file.stat().st_mode & 0o777 == 0o600
    again = read_state(file)
    assert again is not None
    again = await resume(again, store.entries, question="q")
    assert again.leaves_done == 300
    for start, end in reversed(list(again.left(128))):
        again.add(start, end, await walk(
            start, end, entries=store.entries, keys=store.subject_keys, replayer=replayer(made(LESS_RISK), made()), filters=Filters()
        ))  # fmt: skip
    assert again.done == [(0, 900)]
    assert again.tally == expected
    # the ledger grows: the run goes on with what is new
    await past.record(made(), 50)
    longer = await resume(again, store.entries, question="q")
    assert list(longer.left()) == [(900, 950)]


async def test_a_state_of_another_question_or_ledger_is_refused(store, tmp_path):
    past = Past(store)
    await past.record(made(), 10)
    state = await begin(store.entries, question="q", filters=Filters())
    with pytest.raises(MintwardenError, match="another question") as refused:
        await resume(state, store.entries, question="p")
    assert refused.value.kind is ErrorKind.CONFLICT
    other = await open_store(f"sqlite:///{tmp_path}/other.db", create=True)
    await Past(other, seed=2).record(made(), 20)
    with pytest.raises(MintwardenError, match="another ledger"):
        await resume(state, other.entries, question="q")
    await other.close()


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"\xff", b'{"v":99,"question":"","since":0,"until":0,"first":0,"end":0,"ends":["",""]}'],
)
def test_a_file_that_is_no_state_is_refused(tmp_path, content):
    file = tmp_path / "state.json"
    file.write_bytes(content)
    with pytest.raises(MintwardenError, match="the state to resume is"):
        read_state(file)
    assert read_state(tmp_path / "none") is None


async def test_several_workers_find_what_one_finds(store, tmp_path):
    past = Past(store)
    await past.record(made(), 500, different=200)
    expected = await whole(store, replayer(made(LESS_RISK), made()))
    state = await begin(store.entries, question="q", filters=Filters())
    heard: list[int] = []

    def run() -> None:
        run_ranges(work_of(tmp_path), state, workers=2, each=lambda state: heard.append(state.leaves_done))

    await asyncio.to_thread(run)
    assert state.tally == expected
    assert heard == [500]


async def test_the_first_leaf_of_a_time_is_found_though_times_are_out_of_order(store):
    past = Past(store)
    order = random.Random(5)

    class Entries:
        found: list[Any]

        async def by_index(self, start, count):
            return self.found[start : start + count]

    await past.record(made(), 1)
    sample = (await store.entries.by_index(0, 1))[0]
    times = [1_000_000_000 + index * 60_000 + order.randrange(-SLACK // 2, SLACK // 2) for index in range(700)]
    entries: Any = Entries()
    entries.found = [
        msgspec.structs.replace(
            sample, index=index, entry=b"damaged" if index % 7 == 0 else msgspec.json.encode({"at": at})
        )
        for index, at in enumerate(times)
    ]
    for index in (0, 1, 77, 350, 699):
        first = await first_leaf(entries, 700, times[index])
        assert all(times[leaf] < times[index] for leaf in range(first) if leaf % 7)
        assert first >= index - 70
    assert await first_leaf(entries, 0, 5) == 0


# -- counting -------------------------------------------------------------------------------------------------------


def test_counting_is_bounded_and_does_not_depend_on_the_order():
    names = [f"t{index}" for index in range(3 * MAX_NAMES)]
    orders = [random.Random(seed).sample(names * 2, 2 * len(names)) for seed in range(3)]
    found = []
    for order in orders:
        parts = [Names() for _ in range(4)]
        for index, name in enumerate(order):
            parts[index % 4].add(name, 0)
        whole = Names()
        for part in parts:
            whole.merge(part)
        found.append(whole)
        assert len(whole.counts) == MAX_NAMES
        assert all(counts[0] == 2 for counts in whole.counts.values())
        assert whole.rest[0] == 4 * MAX_NAMES
    assert found[0] == found[1] == found[2]


def test_causes_are_bounded():
    tally = Tally()
    for index in range(3 * MAX_CAUSES):
        tally.put_cause(index, Cause("bundle_unknown", f"b{index}"))
    tally.trim()
    assert len(tally.causes) == MAX_CAUSES
    assert tally.not_replayed == 3 * MAX_CAUSES


def test_ranges_that_are_left_are_those_that_are_not_done():
    state = State(question="", since=0, until=0, first=10, end=100, ends=("", ""))
    assert list(state.left(40)) == [(10, 50), (50, 90), (90, 100)]
    state.add(50, 90, Tally())
    assert list(state.left(30)) == [(10, 40), (40, 50), (90, 100)]
    state.add(10, 50, Tally())
    state.add(90, 100, Tally())
    assert (state.done, list(state.left())) == ([(10, 100)], [])
    assert states.RANGE > 0


# -- people ---------------------------------------------------------------------------------------------------------


async def test_examples_name_nobody_and_show_no_value_unless_told_to(store):
    past = Past(store)
    await past.record(made(), 300)
    under = replayer(made(frozenset({0, 1, 25})), made())
    tally = await whole(store, under)
    leaves = leaves_of(tally)
    assert leaves

    async def told(show: Show) -> str:
        found = await examples(leaves, entries=store.entries, keys=store.subject_keys, replayer=under, show=show)
        assert set(found) == set(leaves)
        assert all(example.before is not None and example.after is not None for example in found.values())
        return msgspec.json.encode(list(found.values())).decode()

    ids = [(await store.entries.by_index(leaf, 1))[0].decision_id for leaf in leaves]
    subjects = [past.by_id[one].asked.subject for one in ids]
    people = [f'User:{subject.id}"' for subject in subjects if subject.type == "User"]
    plain, named = await told(Show()), await told(Show(subjects=True))
    assert not any(name in plain for name in people)
    assert all(name in named for name in people)
    assert '"value":null' in plain
    assert '"value":"' not in plain
    assert '"value":"' in await told(Show(values=True))

"""Exceptions from request to end: who may approve, what is recorded before what, and what a crash or a clock can do."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from mintwarden.context.exceptions import Ended, HeldExceptions, Ratchet
from mintwarden.govern.exception_ports import StoredApproval, StoredException
from mintwarden.govern.exceptions import end_id
from mintwarden.ledger.reveal import reveal
from mintwarden.ledger.seal import Sealer
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.policy.approve.refusal import SignatureRefused
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.exception_request import ExceptionRequest, quorum, read_request
from tests.conftest import FrozenClock
from tests.unit.govern.exceptional import (
    ALICE,
    DAY,
    HIGH,
    HOUR,
    RITA,
    SELF,
    Office,
    company,
    office,
    opened,
    signed,
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return company(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
async def here(tmp_path: Path, bundle: Bundle, clock: FrozenClock) -> AsyncIterator[Office]:
    async with opened(tmp_path, bundle, clock) as made:
        yield made


async def refusal(call: Any) -> str:
    with pytest.raises(MintwardenError) as caught:
        await call
    return caught.value.public


async def why(call: Any) -> str:
    with pytest.raises(SignatureRefused) as caught:
        await call
    return caught.value.why


# -- the usual way --------------------------------------------------------------------------------------------------


async def test_it_begins_with_the_last_approval_that_is_needed(here: Office):
    known = await here.request(scope="pay:write")
    assert (known.stored.state, known.needed, known.names) == ("requested", 2, ())
    assert known.ends_at == known.request.expires_at
    known = await here.approve(known, "ann")
    assert (known.stored.state, known.names, known.counts) == ("requested", ("ann",), False)
    assert await here.ids_in_force() == []
    known = await here.approve(known, "ben")
    assert (known.stored.state, known.names, known.counts) == ("active", ("ann", "ben"), True)
    (grant,) = (await here.exceptions.in_force()).grants
    assert (grant.id, grant.principal, grant.scope, grant.approvals) == (known.request.id, ALICE, "pay:write", 2)
    assert (grant.starts_at, grant.expires_at) == (here.clock.now(), here.clock.now() + HOUR)
    assert await here.told() == [("exception", change) for change in ("requested", "approved", "approved", "began")]


async def test_a_lower_tier_takes_one(here: Office):
    assert (await here.approve(await here.request(), "ann")).stored.state == "active"


async def test_revoking_ends_it_and_withdrawing_ends_a_request(here: Office):
    active, waiting = await here.active(), await here.request()
    assert (await here.exceptions.revoke(active.request.id, RITA, "misused")).stored.state == "revoked"
    assert (await here.exceptions.revoke(waiting.request.id, RITA, "not needed")).stored.state == "withdrawn"
    assert await here.ids_in_force() == []
    assert (await here.told())[-2:] == [("exception_end", "revoked"), ("exception_end", "withdrawn")]
    for known in (active, waiting):
        assert "already" in await refusal(here.exceptions.revoke(known.request.id, RITA, "again"))
    assert "waits for no approval" in await refusal(here.approve(waiting, "ann"))


async def test_the_ledger_tells_everything_public_and_nobody(here: Office, tmp_path: Path):
    known = await here.active(scope="pay:write")
    entries = await here.store.entries.by_index(0, 100)
    public = b"\n".join(stored.entry for stored in entries)
    for secret in (b"alice", b"rita", b"ann", b"ben", b"OPS-7", b"migration", b"reviewed daily"):
        assert secret not in public.lower()
    assert known.request.id.encode() in public
    assert b'"scope":"pay:write"' in public
    sealer = Sealer(secret=b"s" * 32, random_bytes=bytes)
    told = await reveal(entries[0], keys=here.store.subject_keys, sealer=sealer)
    assert told.private["private"] == {
        "principal": "User:alice",
        "reason": "the migration of the batch is late",
        "ticket": "OPS-7",
        "control": "its tokens are reviewed daily",
    }


async def test_it_ends_by_itself_and_that_is_recorded(here: Office):
    known = await here.active()
    here.clock.advance(seconds=3599)
    assert await here.exceptions.settle(SELF) == 0
    here.clock.advance(seconds=1)
    assert await here.exceptions.settle(SELF) == 1
    assert (await here.exceptions.known(known.request.id)).stored.state == "ended"
    assert (await here.told())[-1] == ("exception_end", "ended")
    assert await here.exceptions.settle(SELF) == 0


async def test_a_request_whose_time_passes_lapses(here: Office):
    known = await here.request()
    here.clock.advance(seconds=3600)
    assert "its time is over" in await refusal(here.approve(known, "ann"))
    assert await here.exceptions.settle(SELF) == 1
    assert (await here.exceptions.known(known.request.id)).stored.state == "lapsed"


# -- who may approve, and what ------------------------------------------------------------------------------------


async def test_nobody_approves_what_they_ask_for(here: Office):
    known = await here.request(requester=RITA)
    assert await why(here.approve(known, "rita")) == "own_work"


async def test_nobody_approves_what_is_for_themselves(here: Office):
    known = await here.request(principal=ALICE)
    assert await why(here.approve(known, "alice")) == "own_work"


async def test_one_person_counts_once(here: Office):
    known = await here.approve(await here.request(scope="pay:write"), "ann")
    known = await here.approve(known, "ann")
    here.clock.advance(seconds=5)
    known = await here.approve(known, "ann")
    assert (known.stored.state, known.names) == ("requested", ("ann",))


async def test_an_approval_is_for_one_request(here: Office):
    one, other = await here.request(), await here.request()
    text = signed(one.request, "ann", here.clock.now())
    assert await why(here.exceptions.approve(other.request.id, text)) == "bad_signature"


async def test_an_approval_is_for_its_end(here: Office):
    known = await here.request()
    longer = replace(known.request, expires_at=known.request.expires_at + 1000)
    assert (
        await why(here.exceptions.approve(known.request.id, signed(longer, "ann", here.clock.now()))) == "bad_signature"
    )


async def test_signed_with_anothers_key_or_under_anothers_name(here: Office):
    known, now = await here.request(), here.clock.now()
    other_key = signed(known.request, "ann", now, key="rita")
    assert await why(here.exceptions.approve(known.request.id, other_key)) == "wrong_key"
    stranger = signed(known.request, "ann", now, name="Zoe")
    assert await why(here.exceptions.approve(known.request.id, stranger)) == "not_an_approver"
    text = signed(known.request, "ann", now)
    changed = text.replace("name: Ann", "name: Ben")
    assert await why(here.exceptions.approve(known.request.id, changed)) == "bad_signature"
    assert await why(here.exceptions.approve(known.request.id, "approved")) == "malformed"


async def test_signed_before_the_request_or_after_now(here: Office):
    known, now = await here.request(), here.clock.now()
    early, late = signed(known.request, "ann", now - 120_000), signed(known.request, "ann", now + 120_000)
    assert await why(here.exceptions.approve(known.request.id, early)) == "too_old"
    assert await why(here.exceptions.approve(known.request.id, late)) == "from_the_future"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"scope": "pay:everything"}, "there is no scope"),
        ({"principal": EntityUid("Group", "staff")}, "no such kind of principal"),
        ({"principal": EntityUid("User", "a\nscope: pay:write")}, "no such kind of principal"),
        ({"environment": "staging"}, "is not in `staging`"),
        ({"client": "nobody"}, "no client `nobody` may ever have"),
        ({"waives": ("max_ttl",)}, "is no obligation"),
        ({"reason": " "}, "the reason has 1 characters"),
        ({"ticket": ""}, "the ticket has 0 characters"),
        ({"control": "x" * 2001}, "the control has 2001 characters"),
        ({"starts_at": 1}, "begins before it was requested"),
    ],
    ids=str,
)
async def test_what_cannot_be_an_exception(here: Office, changes: dict[str, Any], told: str):
    assert told in await refusal(here.request(**changes))
    assert await here.told() == [], "nothing is recorded of what is refused"


async def test_its_life_is_limited_by_the_tier(here: Office):
    now = here.clock.now()
    assert "the tier `high` allows 1d" in await refusal(here.request(scope="pay:write", expires_at=now + DAY + 1000))
    assert (await here.request(scope="pay:write", expires_at=now + DAY)).stored.state == "requested"
    assert "ends before it begins" in await refusal(here.request(expires_at=now + 999))


async def test_a_tier_that_says_nothing_allows_none(tmp_path: Path, clock: FrozenClock):
    async with opened(tmp_path, company(tmp_path / "bundle", high=""), clock) as made:
        assert "there are no exceptions for the tier `high`" in await refusal(made.request(scope="pay:write"))


async def test_where_too_few_could_approve_nobody_is_left_waiting(tmp_path: Path, clock: FrozenClock):
    async with opened(tmp_path, company(tmp_path / "bundle", people=("ann", "rita")), clock) as made:
        told = await refusal(made.request(scope="pay:write", requester=RITA))
        assert told == "2 people must approve it, and only 1 could"


ASSERTION = """[[assertion]]
id = "no-strangers"
says = "nobody outside finance and without an entitlement reads payments"
[assertion.never]
types = ["User"]
scopes = ["pay:read"]
unless = 'principal in Group::"finance" || principal.entitlements.contains("reader")'
"""


async def test_what_might_break_an_assertion_says_so_and_takes_two(tmp_path: Path, clock: FrozenClock):
    async with opened(tmp_path, company(tmp_path / "bundle", assertions=ASSERTION), clock) as made:
        known = await made.request()
        assert (known.request.against, known.needed) == (("no-strangers",), 2)
        assert "against: no-strangers" in signed(known.request, "ann", clock.now())
        assert (await made.approve(known, "ann")).stored.state == "requested"
        assert (await made.approve(known, "ben")).counts
        agent = await made.request(principal=EntityUid("Agent", "bot"), action="act")
        assert agent.request.against == (), "an actor may act for whom the rules let have it"


OTHERS = """[[assertion]]
id = "broken-already"
says = "nobody reads payments"
[assertion.never]
scopes = ["pay:read"]
[[assertion]]
id = "of-another-scope"
says = "nobody outside finance writes"
[assertion.never]
types = ["User"]
scopes = ["pay:write"]
unless = 'principal in Group::"finance" || principal.entitlements.contains("writer")'
[[assertion]]
id = "of-another-client"
says = "the bot reads nothing for strangers"
[assertion.never]
types = ["User"]
scopes = ["pay:read"]
clients = ["bot"]
unless = 'principal in Group::"finance" || principal.entitlements.contains("reader")'
[[assertion]]
id = "duties"
says = "nobody without an entitlement both reads and books"
[assertion.never]
types = ["User"]
scopes = ["pay:read", "book:read"]
together = true
unless = 'principal in Group::"finance" || principal.entitlements.contains("reader")'
"""


async def test_an_exception_answers_only_for_assertions_that_it_breaks(tmp_path: Path, clock: FrozenClock):
    async with opened(tmp_path, company(tmp_path / "bundle", assertions=OTHERS), clock) as made:
        assert (await made.request(client="app")).request.against == ("duties",)
        assert (await made.request()).request.against == ("of-another-client", "duties")


# -- what is in the store is not believed -------------------------------------------------------------------------


def tamper(folder: Path, statement: str, *parameters: object) -> None:
    with contextlib.closing(sqlite3.connect(folder / "exceptions.db", isolation_level=None)) as connection:
        assert connection.execute(statement, parameters).rowcount == 1


def changed(request: ExceptionRequest, **changes: Any) -> bytes:
    return replace(request, **changes).document


async def test_an_end_that_was_moved_in_the_store_ends_it(here: Office, tmp_path: Path):
    known = await here.active()
    longer = changed(known.request, expires_at=known.request.expires_at + DAY)
    tamper(tmp_path, "UPDATE exceptions SET document = ?", longer)
    assert await here.ids_in_force() == []


async def test_a_state_that_was_set_in_the_store_begins_nothing(here: Office, tmp_path: Path):
    known = await here.request(scope="pay:write")
    known = await here.approve(known, "ann")
    tamper(tmp_path, "UPDATE exceptions SET state = 'active'")
    assert await here.ids_in_force() == [], "one approval is not two"
    await here.store.exceptions.move(known.request.id, "active", "requested", 1)
    ben = StoredApproval(approver="Ben", signature=signed(known.request, "ben", here.clock.now()).encode(), at=1)
    await here.store.exceptions.approve(known.request.id, ben)
    tamper(tmp_path, "UPDATE exceptions SET state = 'active'")
    assert await here.ids_in_force() == [], "the ledger does not say that it began"


async def test_a_revocation_that_was_undone_in_the_store_stays(here: Office, tmp_path: Path):
    known = await here.active()
    await here.exceptions.revoke(known.request.id, RITA, "misused")
    tamper(tmp_path, "UPDATE exceptions SET state = 'active'")
    assert await here.ids_in_force() == []
    assert await here.exceptions.settle(SELF) == 1
    assert (await here.exceptions.known(known.request.id)).stored.state == "revoked"


@pytest.mark.parametrize("chosen", ["NULL", "start_entry", "x'00'", "zeroblob(16)"])
async def test_an_end_that_the_store_was_made_to_forget_stands_in_the_ledger(
    here: Office, bundle: Bundle, clock: FrozenClock, tmp_path: Path, chosen: str
):
    known = await here.active()
    await here.exceptions.revoke(known.request.id, RITA, "misused")
    tamper(tmp_path, f"UPDATE exceptions SET state = 'active', end_entry = {chosen}")
    assert await office(here.store, bundle, clock).ids_in_force() == [], "whoever reads it anew"
    assert (await here.exceptions.revoke(known.request.id, RITA, "again")).stored.state == "revoked"
    tamper(tmp_path, f"UPDATE exceptions SET state = 'active', end_entry = {chosen}")
    assert await here.exceptions.settle(SELF) == 1
    assert (await here.exceptions.known(known.request.id)).stored.state == "revoked"
    assert (await here.told()).count(("exception_end", "revoked")) == 1


async def test_an_exception_whose_id_is_none_disturbs_nobody(here: Office):
    kept = await here.active()
    forged = replace(kept.request, id="zz")
    for state in ("active", "requested"):
        await here.store.exceptions.add(StoredException(id="zz", document=forged.document, state=state, changed_at=1))
        assert await here.exceptions.settle(SELF) == 0
    assert await here.exceptions.damaged() == ["zz"]
    assert await here.ids_in_force() == [kept.request.id]


async def test_what_is_no_request_counts_as_nothing_and_disturbs_nobody(here: Office, tmp_path: Path):
    kept = await here.active()
    for number, document in enumerate((b"", b"{}", b"\xff", kept.request.document + b" ", kept.request.document)):
        await here.store.exceptions.add(
            StoredException(id=f"zz-{number}", document=document, state="active", changed_at=1)
        )
    assert await here.ids_in_force() == [kept.request.id]
    assert await here.exceptions.settle(SELF) == 0
    found, damaged = await here.exceptions.all(), await here.exceptions.damaged()
    assert ([one.request.id for one in found], damaged) == ([kept.request.id], [f"zz-{n}" for n in range(5)])
    with pytest.raises(MintwardenError) as caught:
        read_request(kept.request.document.replace(b'"v":1', b'"v":2'))
    assert caught.value.kind is ErrorKind.STORE


async def test_what_an_exception_continues_is_found_one_by_one(here: Office, tmp_path: Path):
    first = (await here.active()).request.id
    second = (await here.request(renews=first)).request.id
    third = (await here.request(renews=second)).request.id
    await here.request()
    assert await here.exceptions.chain(third) == [third, second, first]
    assert await here.exceptions.chain(first) == [first]
    assert "no exception" in await refusal(here.exceptions.chain("nobody"))
    tamper(tmp_path, "UPDATE exceptions SET document = ? WHERE id = ?", b"{}", second)
    assert await here.exceptions.chain(third) == [third], "it ends at what is not as it was requested"
    tamper(tmp_path, "DELETE FROM exceptions WHERE id = ?", second)
    assert await here.exceptions.chain(third) == [third], "and at what is not there"


async def test_a_page_goes_on_behind_what_is_left_out(here: Office):
    """What is not stored as it was requested is left out, and takes nothing that comes after it with it."""
    first, second = await here.active(), await here.request()
    for name in ("zy-1", "zy-2"):
        await here.store.exceptions.add(StoredException(id=name, document=b"{}", state="active", changed_at=1))
    pages, after = [], ""
    while True:
        found, after = await here.exceptions.page(1, after, still_open=True)
        pages.append([one.request.id for one in found])
        if not after:
            break
    one, other = sorted((first.request.id, second.request.id))  # of one moment: nothing says which comes first
    assert pages == [[one], [other], [], []]
    await here.exceptions.revoke(first.request.id, RITA, "done")
    found, after = await here.exceptions.page(2)
    assert ([one.request.id for one in found], after) == ([one, other], other)
    found, after = await here.exceptions.page(9, still_open=True)
    assert ([one.request.id for one in found], after) == ([second.request.id], "")


async def test_the_bundle_in_force_counts(here: Office, tmp_path: Path, clock: FrozenClock):
    known = await here.active(scope="pay:write")
    changes: tuple[dict[str, Any], ...] = (
        {"high": ""},
        {"high": HIGH.replace("1d", "1s")},
        {"high": HIGH.replace("= 2", "= 3")},
        {"people": ("ben", "cem")},
        {"high": "", "low": HIGH},
    )
    for number, how in enumerate(changes):
        later = office(here.store, company(tmp_path / f"bundle-{number}", **how), clock)
        known = await later.exceptions.known(known.request.id)
        clock.advance(seconds=2)
        assert known.ends_at <= clock.now() or not known.counts
        clock.advance(seconds=-2)
    same = office(here.store, company(tmp_path / "bundle-same"), clock)
    assert (await same.exceptions.known(known.request.id)).counts


async def test_what_the_bundle_allows_no_longer_ends_for_good(here: Office, tmp_path: Path, clock: FrozenClock):
    known = await here.active(scope="pay:write")
    later = office(here.store, company(tmp_path / "later", high=""), clock)
    assert await later.exceptions.settle(SELF) == 1
    assert (await here.exceptions.known(known.request.id)).stored.state == "ended"


# -- crashes --------------------------------------------------------------------------------------------------------


async def test_a_crash_between_the_record_of_an_end_and_the_end(here: Office):
    """The process that revoked died once the ledger had it: it counts for nobody who reads, and is finished."""
    known = await here.active()
    await here.store.exceptions.plan(known.request.id, "end", here.exceptions._new_id())
    assert await here.ids_in_force() == [known.request.id], "a plan is nothing yet"
    detail = {"change": "revoked", "exception": known.request.id}
    await here.exceptions._record(end_id(known.request.id), "exception_end", RITA, detail, {})
    assert await here.ids_in_force() == []
    assert await here.exceptions.settle(SELF) == 1
    assert (await here.exceptions.known(known.request.id)).stored.state == "revoked"
    assert (await here.told()).count(("exception_end", "revoked")) == 1


async def test_a_crash_between_the_record_of_a_beginning_and_the_beginning(here: Office):
    known = await here.request(scope="pay:write")
    for person in ("ann", "ben"):
        text = signed(known.request, person, here.clock.now())
        await here.store.exceptions.approve(
            known.request.id, StoredApproval(approver=person.title(), signature=text.encode(), at=1)
        )
    planned = await here.store.exceptions.plan(known.request.id, "start", here.exceptions._new_id())
    assert await here.exceptions.settle(SELF) == 0, "nothing was recorded"
    assert planned is not None
    await here.exceptions._record(planned, "exception", RITA, {"change": "began"}, {})
    assert await here.ids_in_force() == []
    assert await here.exceptions.settle(SELF) == 1
    assert await here.ids_in_force() == [known.request.id]


async def test_a_plan_of_somebody_who_crashed_is_taken_over(here: Office):
    known = await here.active()
    await here.store.exceptions.plan(known.request.id, "end", here.exceptions._new_id())
    here.clock.advance(seconds=11)
    assert (await here.exceptions.revoke(known.request.id, RITA, "misused")).stored.state == "revoked"
    assert (await here.told())[-1] == ("exception_end", "revoked")


async def test_approving_again_finishes_what_was_half_done(here: Office):
    known = await here.request(scope="pay:write")
    for person in ("ann", "ben"):
        text = signed(known.request, person, here.clock.now())
        await here.store.exceptions.approve(
            known.request.id, StoredApproval(approver=person.title(), signature=text.encode(), at=1)
        )
    assert (await here.approve(known, "ben")).counts


async def test_two_who_revoke_at_once_leave_one_entry(here: Office, bundle: Bundle, clock: FrozenClock):
    known, other = await here.active(), office(here.store, bundle, clock)
    answers = await asyncio.gather(
        *(one.exceptions.revoke(known.request.id, RITA, "misused") for one in (here, other)), return_exceptions=True
    )
    assert any(not isinstance(answer, BaseException) for answer in answers)
    assert (await here.told()).count(("exception_end", "revoked")) == 1


# -- clocks, and a store that lost something --------------------------------------------------------------------------


def held(here: Office) -> tuple[HeldExceptions, Ended, list[float]]:
    elapsed = [0.0]
    ended = Ended(Ratchet(lambda: elapsed[0]))
    return HeldExceptions(here.exceptions, ended), ended, elapsed


async def test_a_clock_that_is_set_back_revives_nothing(here: Office):
    known = await here.active()
    holder, _, _ = held(here)
    await holder.follow(await here.store.epoch())
    now = here.clock.now()

    def found(at: int) -> list[str]:
        return [grant.id for grant in holder.concerning((ALICE,), ("pay:read",), at)]

    assert found(now) == [known.request.id]
    assert found(now + HOUR - 1) == [known.request.id]
    assert found(now + HOUR) == []
    assert found(now) == [], "a clock that went back an hour"
    assert found(now - DAY) == []


async def test_a_clock_that_stands_still_does_not_lengthen_it(here: Office):
    known = await here.active()
    holder, _, elapsed = held(here)
    await holder.follow(await here.store.epoch())
    now = here.clock.now()
    for passed, count in ((0.0, 1), (3599.9, 1), (3600.0, 0), (1e6, 0)):
        elapsed[0] = passed
        assert len(holder.concerning((ALICE,), ("pay:read",), now - DAY if passed else now)) == count
    assert known.counts


async def test_the_end_is_recorded_by_a_node_whose_clock_was_set_back(here: Office):
    known = await here.active()
    assert await here.exceptions.settle(SELF) == 0
    here.clock.advance(seconds=-86_400)
    here.elapsed[0] = 3_601.0
    assert await here.exceptions.settle(SELF) == 1
    assert (await here.exceptions.known(known.request.id)).stored.state == "ended"


async def test_what_this_process_saw_end_stays_ended_whatever_the_store_says(here: Office, tmp_path: Path):
    """A database that failed over to a copy without the revocation, ledger included."""
    known = await here.active()
    holder, ended, _ = held(here)
    await holder.follow(await here.store.epoch())
    await here.exceptions.revoke(known.request.id, RITA, "misused")
    await holder.follow(await here.store.epoch())
    assert (ended.ids, holder.grants) == ({known.request.id}, ())
    tamper(tmp_path, "UPDATE exceptions SET state = 'active', end_entry = NULL")
    tamper(tmp_path, "DELETE FROM entries WHERE decision_id = ?", end_id(known.request.id))
    assert await here.ids_in_force() == [known.request.id], "all that the store knew is lost"
    await here.store.bump_epoch()
    await holder.follow(await here.store.epoch())
    assert holder.grants == ()


async def test_after_a_store_fell_back_no_exception_counts_in_this_process(here: Office, tmp_path: Path):
    known = await here.active()
    holder, ended, _ = held(here)
    await holder.follow(await here.store.epoch())
    assert holder.concerning((ALICE,), ("pay:read",), here.clock.now())
    before = ended.epoch
    tamper(tmp_path, "UPDATE meta SET epoch = epoch - 1")
    ended.see(await here.store.epoch(), before)
    assert holder.concerning((ALICE,), ("pay:read",), here.clock.now()) == ()
    assert known.counts


async def test_an_epoch_is_followed_once_by_all_who_notice(here: Office):
    holder, ended, _ = held(here)
    await here.active()
    epoch = await here.store.epoch()
    await asyncio.gather(*(holder.follow(epoch) for _ in range(5)))
    assert (len(holder.grants), ended.fell) == (1, False)
    assert quorum(here.exceptions._bundle, (await here.exceptions.all())[0].request) == 1

"""Approval, activation, going back and emergencies: what is done, and a named test for what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mintwarden.govern.content import content_of, texts_of
from mintwarden.govern.ports import Activation, StoredVersion
from mintwarden.govern.standing import NotApproved
from mintwarden.govern.versions import MAX_SIGNATURES, Refused
from mintwarden.model.errors import ErrorKind, MintwardenError
from tests.unit.govern.policy import REASON, Office, digest_of, office
from tests.unit.policy.approve.signing import soft
from tests.unit.policy.approve.small import ASSERTION

WORDS = ("audiences/payments.toml", 'description = "Payments"', 'description = "Payments of the company"')
MORE = ("audiences/payments.toml", 'description = "Payments"', 'description = "All payments"')
RISKY = ("rules/all.cedar", '@require_amr("mfa")\n', "")
HOUR = 3600


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Office]:
    async with office(tmp_path) as opened:
        await opened.first()
        yield opened


async def refused(call: Any, kind: ErrorKind = ErrorKind.CONFLICT, words: str = "") -> Any:
    with pytest.raises(MintwardenError) as raised:
        await call
    assert raised.value.kind is kind, raised.value
    assert words in f"{raised.value.public} {raised.value.hint}"
    assert raised.value.hint
    return raised.value


async def entries(desk, kind="policy_activation"):
    found = [msgspec.json.decode(stored.entry) for stored in await desk.store.entries.by_index(0, 1000)]
    return [entry for entry in found if entry["kind"] == kind]


async def test_the_first_version_is_judged_by_its_own_quorum_and_recorded_as_such(tmp_path):
    async with office(tmp_path) as desk:
        digest = await desk.hand_in(desk.texts(), approvers=("Ann",))
        await refused(
            desk.versions.activate(digest, by="op", now=desk.now), words="1 more approval is needed (first: 2)"
        )
        assert await desk.active() == ""
        await desk.hand_in(desk.texts(), approvers=("Bob",))
        done = await desk.versions.activate(digest, by="op", now=desk.now)
        assert (done.number, done.previous, done.kind, await desk.active()) == (1, "", "activate", digest)
        detail = (await entries(desk))[0]["detail"]
        assert (detail["quorum"], detail["required"], detail["counted"], detail["number"]) == ("first", 2, 2, 1)


async def test_an_ordinary_change_takes_the_quorum_and_one_of_higher_risk_the_larger(desk):
    plain = await desk.hand_in(desk.texts(WORDS), approvers=("Ann",))
    risky = await desk.hand_in(desk.texts(RISKY), approvers=("Ann",))
    error = await refused(desk.versions.activate(risky, by="op", now=desk.now), words="(higher: 2)")
    assert isinstance(error, NotApproved)
    assert [str(r) for r in error.standing.risk.reasons] == [
        "rule `staff-write` is changed and is about the high-tier scope `payments:write`"
    ]
    assert error.standing.count.missing == ("Bob", "Cem")
    done = await desk.versions.activate(plain, by="op", now=desk.now)
    assert (await desk.active(), done.number) == (plain, 2)


async def test_without_its_authors_signature_nothing_governs(desk):
    digest = await desk.hand_in(desk.texts(WORDS), author="", approvers=("Ann", "Bob", "Cem"))
    await refused(desk.versions.activate(digest, by="op", now=desk.now), words="its author has not signed it")


async def test_nobody_approves_themselves_into_power(desk):
    """The people of the new version do not count before it governs."""
    mine = {**desk.keys, "Ann": soft(), "Bob": soft()}
    theirs = Office(desk.store, keys=mine)
    digest = await theirs.hand_in(theirs.texts(), approvers=("Ann", "Bob"))
    error = await refused(theirs.versions.activate(digest, by="op", now=desk.now))
    assert {(one.name, one.why) for one in error.standing.count.refused} == {("Ann", "wrong_key"), ("Bob", "wrong_key")}


async def test_signatures_from_before_another_activation_are_stale(desk):
    late = await desk.hand_in(desk.texts(MORE), approvers=("Ann",))
    await desk.versions.activate(await desk.hand_in(desk.texts(WORDS), approvers=("Ann",)), by="op", now=desk.now)
    error = await refused(desk.versions.activate(late, by="op", now=desk.now))
    assert {one.why for one in error.standing.count.refused} == {"stale"}


async def test_what_was_rolled_back_does_not_come_again_by_its_old_approvals(desk):
    first = await desk.active()
    digest = await desk.hand_in(desk.texts(RISKY), approvers=("Ann", "Bob"))
    await desk.versions.activate(digest, by="op", now=desk.now)
    await desk.versions.submit(desk.texts(), [await desk.word(first, "Cem", "rollback")], now=desk.now)
    done = await desk.versions.rollback("", by="op", reason=REASON, now=desk.now)
    assert (done.kind, done.digest, done.reason) == ("rollback", first, REASON)
    await refused(desk.versions.activate(digest, by="op", now=desk.now), words="its author has not signed it")
    await desk.versions.submit(desk.texts(RISKY), [await desk.word(digest, "Cem", "rollback")], now=desk.now)
    await refused(desk.versions.rollback(digest, by="op", reason=REASON, now=desk.now), words="(higher: 2)")


async def test_going_back_takes_one_approver_for_a_day_and_the_full_quorum_later(desk):
    first = await desk.active()
    digest = await desk.hand_in(desk.texts(RISKY), approvers=("Ann", "Bob"))
    await desk.versions.activate(digest, by="op", now=desk.now)
    await refused(desk.versions.rollback("", by="op", reason=REASON, now=desk.now), words="(undo: 1)")
    desk.clock.advance(seconds=24 * HOUR + 1)
    await desk.versions.submit(desk.texts(), [await desk.word(first, "Cem", "rollback")], now=desk.now)
    await refused(desk.versions.rollback("", by="op", reason=REASON, now=desk.now), words="(higher: 2)")
    await desk.versions.submit(desk.texts(), [await desk.word(first, "Ann", "rollback")], now=desk.now)
    assert (await desk.versions.rollback("", by="op", reason=REASON, now=desk.now)).digest == first


async def test_nobody_goes_back_to_what_never_governed(desk):
    digest = await desk.hand_in(desk.texts(WORDS), author="", approvers=("Ann",), act="rollback")
    call = desk.versions.rollback(digest, by="op", reason=REASON, now=desk.now)
    await refused(call, ErrorKind.NOT_FOUND, "never governed")
    await refused(desk.versions.rollback("", by="op", reason=REASON, now=desk.now), ErrorKind.NOT_FOUND, "no other")


SCENARIO = """
[[scenario]]
id = "batch"
why = "it reads"
[scenario.given]
client = "batch"
method = "client_secret_basic"
grant = "client_credentials"
audience = "payments"
scopes = ["payments:read"]
now = "2026-11-24T02:30:00Z"
[scenario.expect]
granted = []
refused = { "payments:read" = "no_route" }
"""
NEVER = """
@id("x") @owner("o") @reason("r")
permit (principal is User, action == Action::"issue", resource == Scope::"payments:read")
when { principal has score && principal.score > 5 && principal.score < 3 };
"""


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (("tests/a.toml", "", SCENARIO), "scenario: tests/a.toml:2: `batch` comes out otherwise"),
        (("rules/all.cedar", "", NEVER), "lint: rules/all.cedar:"),
        (("assertions/a.toml", "", ASSERTION), "assertion: assertions/a.toml:2: `batch-never-writes` is violated"),
    ],
)
async def test_a_version_that_fails_a_check_does_not_govern(tmp_path, change, check):
    async with office(tmp_path, prover=lambda bundle: [one.id for one in bundle.assertions]) as desk:
        before = (await desk.first()).digest
        digest = await desk.hand_in(desk.texts(change), approvers=("Ann", "Bob"))
        with pytest.raises(Refused, match="must not govern") as raised:
            await desk.versions.activate(digest, by="op", now=desk.now)
        assert str(raised.value.failing[0]).startswith(check)
        emergency = await desk.hand_in(desk.texts(change), approvers=("Ann",), act="break_glass")
        with pytest.raises(Refused):
            await desk.versions.break_glass(emergency, by="op", reason=REASON, seconds=9, now=desk.now)
        assert await desk.active() == before


async def test_a_second_bundle_another_issuer_and_a_second_owner_are_refused(desk):
    for old, new, words in (
        ('name = "small"', 'name = "other"', "the bundle `small` governs this issuer already"),
        ("https://tokens.example.com", "https://other.example.com", "is for the issuer `https://other.example.com`"),
    ):
        await refused(desk.versions.submit(desk.texts(("bundle.toml", old, new)), [], now=desk.now), words=words)
    owner = ("bundle.toml", 'name = "Token Governance"', 'name = "Somebody"')
    digest = await desk.hand_in(desk.texts(owner), approvers=("Ann", "Bob"))
    await refused(desk.versions.activate(digest, by="op", now=desk.now), words="--hand-over")
    assert (await desk.versions.activate(digest, by="op", now=desk.now, hand_over=True)).digest == digest


async def test_a_hand_over_takes_the_larger_quorum(desk):
    owner = ("bundle.toml", 'name = "Token Governance"', 'name = "Somebody"')
    digest = await desk.hand_in(desk.texts(owner), approvers=("Ann",))
    await refused(desk.versions.activate(digest, by="op", now=desk.now, hand_over=True), words="(higher: 2)")


async def test_a_version_that_was_changed_in_the_store_does_not_govern(desk):
    digest = await desk.hand_in(desk.texts(WORDS), approvers=("Ann",))
    other = Office(desk.store, keys=desk.keys)  # has not built it yet

    class Forging:
        def __getattr__(self, name):
            return getattr(desk.store.versions, name)

        async def version(self, wanted):
            found = await desk.store.versions.version(wanted)
            return found if wanted != digest else StoredVersion(digest, content_of(desk.texts(RISKY)), 0)

    other.versions._store = Forging()
    await refused(
        other.versions.activate(digest, by="op", now=desk.now), ErrorKind.STORE, "not stored as it was approved"
    )


async def test_somebody_else_was_first(desk):
    digest = await desk.hand_in(desk.texts(WORDS), approvers=("Ann",))
    rival = await desk.hand_in(desk.texts(MORE), approvers=("Ann",))

    class Slow:
        def __getattr__(self, name):
            return getattr(desk.store.versions, name)

        async def activate(self, activation, finding=None):
            await Office(desk.store, keys=desk.keys).versions.activate(rival, by="x", now=desk.now)
            return await desk.store.versions.activate(activation, finding)

    other = Office(desk.store, keys=desk.keys)
    other.versions._store = Slow()
    await refused(other.versions.activate(digest, by="op", now=desk.now + 1), words="activated meanwhile")
    assert await desk.active() == rival
    assert [one.digest for one in await desk.store.versions.abandoned(9)] == [digest]


@pytest.mark.parametrize("point", ["intend", "record", "activate"])
async def test_a_crash_in_between_is_harmless_and_visible(desk, point):
    """Nothing governs that was not recorded, whatever is cut off; doing it again does it."""
    before = await desk.active()
    digest = await desk.hand_in(desk.texts(WORDS), approvers=("Ann",))

    class Crash(Exception): ...

    class Dying:
        def __getattr__(self, name):
            return getattr(desk.store.versions, name)

        async def intend(self, intent):
            await desk.store.versions.intend(intent)
            if point == "intend":
                raise Crash

        async def activate(self, activation, finding=None):
            if point == "record":
                raise Crash
            await desk.store.versions.activate(activation, finding)
            raise Crash

    dying = Office(desk.store, keys=desk.keys)
    dying.versions._store = Dying()
    dying.clock.advance(seconds=1)
    with pytest.raises(Crash):
        await dying.versions.activate(digest, by="op", now=dying.now)
    recorded = {entry["detail"]["number"] for entry in await entries(desk)}
    assert await desk.active() == (digest if point == "activate" else before)
    assert recorded == ({1} if point == "intend" else {1, 2})
    left = [one.digest for one in await desk.store.versions.abandoned(9)]
    assert left == ([] if point == "activate" else [digest])
    if point != "activate":
        assert (await desk.versions.activate(digest, by="op", now=desk.now + 2000)).number == 2


async def glass(desk, *names, change=RISKY, seconds=HOUR, by="op"):
    digest = await desk.hand_in(desk.texts(change), approvers=names, act="break_glass")
    return await desk.versions.break_glass(digest, by=by, reason=REASON, seconds=seconds, now=desk.now)


async def test_break_glass_takes_fewer_approvals_ends_by_itself_and_opens_a_finding(desk):
    first = await desk.active()
    done = await glass(desk, "Ann")
    assert (done.kind, done.until, done.returns_to) == ("break_glass", desk.now + HOUR * 1000, first)
    assert [(one.id, one.about) for one in await desk.store.versions.findings()] == [("break-glass-2", "2")]
    detail = (await entries(desk))[-1]["detail"]
    assert (detail["kind"], detail["until"], detail["quorum"]) == ("break_glass", done.until, "break_glass")
    desk.clock.advance(seconds=HOUR, millis=-1)
    assert await desk.versions.lapse(desk.now) is None
    desk.clock.advance(millis=1)
    back = await desk.versions.lapse(desk.now)
    assert (back.kind, back.digest, back.number) == ("return", first, 3)
    assert await desk.versions.lapse(desk.now) is None
    assert len(await desk.store.versions.findings()) == 1


async def test_an_emergency_changes_neither_who_approves_nor_the_owner(desk):
    people = ("bundle.toml", "required = 2", "required = 1")
    await refused(glass(desk, "Ann", change=people), words="an emergency does not change who approves")
    owner = ("bundle.toml", 'name = "Token Governance"', 'name = "Somebody"')
    await refused(glass(desk, "Ann", change=owner), words="the owner is")


async def test_nobody_comes_to_power_through_an_emergency(desk):
    """While an emergency version governs, the quorums of the one before it count."""
    emergency = await glass(desk, "Ann")
    digest = await desk.hand_in(desk.texts(RISKY, WORDS), approvers=("Ann",))
    error = await refused(desk.versions.activate(digest, by="op", now=desk.now), words="(higher: 2)")
    assert error.standing.base == emergency.digest
    await desk.hand_in(desk.texts(RISKY, WORDS), approvers=("Bob",))
    assert (await desk.versions.activate(digest, by="op", now=desk.now)).previous == emergency.digest


async def test_break_glass_has_its_limits(desk):
    await refused(glass(desk), words="1 more approval is needed (break_glass: 1)")
    await refused(glass(desk, "Ann", seconds=4 * HOUR + 1), words="at most 4h here")
    await refused(glass(desk, "Ann", seconds=0))
    digest = await desk.hand_in(desk.texts(RISKY), approvers=("Ann",), act="break_glass")
    call = desk.versions.break_glass(digest, by="op", reason=" ", seconds=9, now=desk.now)
    await refused(call, ErrorKind.INVALID_REQUEST, "a reason is needed")
    await glass(desk, "Ann")
    await refused(glass(desk, "Ann", change=WORDS), words="an emergency version governs already")


async def test_no_row_of_emergencies_outlasts_the_limit_of_one(desk):
    """One approver breaks the glass again as soon as it is over, whatever the version is called by then."""
    await glass(desk, "Ann", seconds=3 * HOUR)
    desk.clock.advance(seconds=3 * HOUR)
    await desk.versions.lapse(desk.now)
    await refused(glass(desk, "Ann", seconds=HOUR + 1), words="leave 1h of 4h")
    await glass(desk, "Ann", change=WORDS, seconds=HOUR)
    desk.clock.advance(seconds=HOUR // 2)
    first = desk.texts()
    await desk.versions.submit(
        first, [await desk.word(digest_of(tuple(sorted(first.items()))), "Ann", "rollback")], now=desk.now
    )
    await desk.versions.rollback("", by="op", reason=REASON, now=desk.now)
    await refused(glass(desk, "Ann", seconds=HOUR), words="leave 30m of 4h")
    for finding in ("break-glass-2", "break-glass-4"):
        await desk.versions.close(finding, by="rev", note="looked at", now=desk.now)
    assert (await glass(desk, "Ann", seconds=4 * HOUR)).kind == "break_glass"


async def test_an_ordinary_approval_breaks_no_glass_and_the_other_way_round(desk):
    digest = await desk.hand_in(desk.texts(RISKY), approvers=("Ann", "Bob"))
    call = desk.versions.break_glass(digest, by="op", reason=REASON, seconds=9, now=desk.now)
    error = await refused(call)
    assert {one.why for one in error.standing.count.refused} == {"other_act"}


async def test_where_the_active_bundle_knows_no_break_glass_there_is_none(tmp_path):
    none = ("bundle.toml", '[approvals.break_glass]\nrequired = 1\nmax = "4h"\n', "")
    async with office(tmp_path) as desk:
        await desk.versions.activate(
            await desk.hand_in(desk.texts(none), approvers=("Ann", "Bob")), by="o", now=desk.now
        )
        await refused(glass(desk, "Ann", change=none), words="knows no break-glass")


async def test_an_emergency_is_ended_by_one_approver(desk):
    first = await desk.active()
    await glass(desk, "Ann")
    await desk.versions.submit(desk.texts(), [await desk.word(first, "Bob", "rollback")], now=desk.now)
    done = await desk.versions.rollback("", by="op", reason=REASON, now=desk.now)
    assert (done.kind, done.digest, await desk.active()) == ("rollback", first, first)


async def test_a_finding_is_closed_by_somebody_else_with_a_reason(desk):
    await glass(desk, "Ann", by="op")
    close = desk.versions.close
    for behind in ("op", "Ann", "ann", "OP", "Dan"):  # who did it, who approved it, whose work it is
        await refused(close("break-glass-2", by=behind, note="fine", now=desk.now), words="does not review it")
    await refused(close("break-glass-2", by="rev", note="", now=desk.now), ErrorKind.INVALID_REQUEST)
    await refused(close("nothing", by="rev", note="x", now=desk.now), ErrorKind.NOT_FOUND)
    assert (await close("break-glass-2", by="rev", note="looked at", now=desk.now)).id == "break-glass-2"
    assert await desk.store.versions.findings() == []
    assert (await entries(desk, "policy_approval"))[-1]["detail"]["act"] == "review"


async def test_the_ledger_names_no_person_in_clear(desk):
    await glass(desk, "Ann")
    text = b"".join(stored.entry for stored in await desk.store.entries.by_index(0, 1000))
    assert not [name for name in (b"Ann", b"Bob", b"Dan", b'"op"', REASON.encode()) if name in text]


async def test_a_heap_of_signatures_that_do_not_count_keeps_no_approver_out(desk):
    """Whoever may hand in versions fills the places of one that others are about to approve."""
    digest = await desk.hand_in(desk.texts(WORDS))
    heap = [await desk.word(digest, "Ann", key="Dan", at=desk.now // 1000 + n) for n in range(MAX_SIGNATURES - 1)]
    await desk.versions.submit(desk.texts(WORDS), heap, now=desk.now)
    stray = await desk.word(digest, "Bob", key="Dan")
    mine, again = await desk.word(digest, "Ann"), await desk.word(digest, "Ann", at=desk.now // 1000 - 1)
    await refused(desk.versions.submit(desk.texts(WORDS), [mine, stray], now=desk.now), ErrorKind.TOO_LARGE)
    assert (await desk.versions.submit(desk.texts(WORDS), [mine], now=desk.now)).added == 1
    await refused(desk.versions.submit(desk.texts(WORDS), [again], now=desk.now), ErrorKind.TOO_LARGE)
    assert (await desk.versions.activate(digest, by="op", now=desk.now)).number == 2


async def test_signatures_are_bounded(desk):
    digest = await desk.hand_in(desk.texts(WORDS))
    many = [await desk.word(digest, "Ann", at=desk.now // 1000 - n) for n in range(MAX_SIGNATURES)]
    call = desk.versions.submit(desk.texts(WORDS), many, now=desk.now)
    await refused(call, ErrorKind.TOO_LARGE)


async def test_content_is_the_same_bytes_whatever_the_line_ends(desk):
    plain = desk.texts()
    assert texts_of(content_of(plain)) == plain
    assert content_of({path: text.replace("\n", "\r\n") for path, text in reversed(plain.items())}) == content_of(plain)
    for junk in (b"", b"[]", b'{"a":1}', b"\xff"):
        with pytest.raises(MintwardenError):
            texts_of(junk)


async def test_others_stand_behind_what_governs_governed_or_has_its_quorum(desk):
    first, now = await desk.active(), desk.now
    assert await desk.versions.vouched(first, now)
    assert not await desk.versions.vouched("sha256:" + "0" * 64, now)
    digest = await desk.hand_in(desk.texts(RISKY), approvers=("Ann",))
    assert not await desk.versions.vouched(digest, now), "one approval of two"
    await desk.hand_in(desk.texts(RISKY), approvers=("Bob",))
    other = await desk.hand_in(desk.texts(WORDS), author="", approvers=("Ann", "Bob", "Cem"))
    assert not await desk.versions.vouched(other, now), "its author does not stand behind it"
    assert await desk.versions.vouched(digest, now)
    await desk.versions.activate(digest, by="op", now=now)
    assert await desk.versions.vouched(digest, now)
    assert await desk.versions.vouched(first, now), "it governed"


async def test_nobody_stands_behind_a_version_by_people_of_its_own(desk, tmp_path):
    mine = {**desk.keys, "Ann": soft(), "Bob": soft()}
    theirs = Office(desk.store, keys=mine)
    assert not await desk.versions.vouched(await theirs.hand_in(theirs.texts(), approvers=("Ann", "Bob")), desk.now)
    async with office(tmp_path / "new") as new:
        digest = await new.hand_in(new.texts(), approvers=("Ann", "Bob", "Cem"))
        assert not await new.versions.vouched(digest, new.now), "nothing governs yet"


async def test_what_governed_in_an_emergency_is_only_as_good_as_its_own_approvals_afterwards(desk):
    digest = await desk.hand_in(desk.texts(RISKY), approvers=("Ann",), act="break_glass")
    await desk.versions.break_glass(digest, by="op", reason=REASON, seconds=HOUR, now=desk.now)
    assert await desk.versions.vouched(digest, desk.now)
    desk.clock.advance(seconds=HOUR)
    assert not await desk.versions.vouched(digest, desk.now)


async def test_activating_what_governs_is_refused(desk):
    await refused(desk.versions.activate(await desk.active(), by="op", now=desk.now), words="governs already")


async def test_an_activation_of_the_store_says_by_whom_and_when(desk):
    found = await desk.store.versions.active()
    assert isinstance(found, Activation)
    assert (found.by, found.at) == ("op", desk.now)

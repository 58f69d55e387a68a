"""Exceptions as acts: asked for, approved, revoked, ended; and which of them count now.

INVARIANT: a change is in the ledger before it takes effect. The id of its entry is known first (that of a beginning is
chosen and stored, that of an end follows from the exception's), so that after a crash anybody can tell what was
recorded, and finish it: `settle` does.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.context.exceptions import GrantsInForce, Ratchet
from mintwarden.govern.exception_ports import (
    OPEN,
    ExceptionState,
    ExceptionStore,
    PlannedAct,
    StoredApproval,
    StoredException,
)
from mintwarden.ledger.entry import GovernanceKind
from mintwarden.ledger.ports import EntryReader, SubjectKeys
from mintwarden.ledger.record import Recorder
from mintwarden.ledger.reveal import read_entry
from mintwarden.ledger.seal import SealKey
from mintwarden.model.clock import Clock
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.exception import ExceptionGrant
from mintwarden.model.ids import decision_bytes, decision_id, decision_text, entity_key
from mintwarden.model.values import EntityUid
from mintwarden.policy.approve.refusal import SignatureRefused
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.exception_request import (
    AHEAD,
    VERSION,
    ExceptionRequest,
    believe,
    check_request,
    counted,
    quorum,
    read_approval,
    read_request,
)
from mintwarden.policy.exceptions import end_of

ABANDONED = 10.0
"""Seconds after which somebody who chose an entry's id and did not write it is taken to have crashed."""

_ENDED: tuple[ExceptionState, ...] = ("ended", "revoked", "lapsed", "withdrawn")
Progress = Literal["approved", "active"]


class Wanted(Struct, frozen=True, kw_only=True):
    """What somebody asks for; see `ExceptionRequest`."""

    principal: EntityUid
    scope: str
    expires_at: int
    reason: str
    ticket: str
    control: str
    action: Literal["issue", "act"] = "issue"
    starts_at: int | None = None
    client: str = ""
    environment: str = ""
    waives: tuple[str, ...] = ()
    renews: str = ""
    used: int = 0


class Known(Struct, frozen=True, kw_only=True):
    """An exception, and how it stands.

    Attributes:
        names: users whose approval counts under the bundle in force.
        needed: how many of them it takes.
        ends_at: when it ends under the tier of now, `Millis`.
        counts: decisions take it into account, given that it is within its time.
    """

    stored: StoredException
    request: ExceptionRequest
    names: tuple[str, ...]
    needed: int
    ends_at: int
    counts: bool


class Exceptions:
    """Everything that is done to exceptions, under one bundle. Also an `ExceptionSource`."""

    def __init__(
        self,
        *,
        bundle: Bundle,
        store: ExceptionStore,
        entries: EntryReader,
        recorder: Recorder,
        keys: SubjectKeys,
        clock: Clock,
        new_id: Callable[[], bytes],
        ratchet: Ratchet | None = None,
    ) -> None:
        self._bundle = bundle
        self._store = store
        self._entries = entries
        self._recorder = recorder
        self._keys = keys
        self._clock = clock
        self._new_id = new_id
        self._ratchet = ratchet or Ratchet(time.monotonic)

    # -- what is there -------------------------------------------------------------------------------------------------

    async def known(self, exception_id: str) -> Known:
        """One exception; raises `NOT_FOUND`."""
        stored = await self._store.get(exception_id)
        if stored is None:
            raise MintwardenError(
                ErrorKind.NOT_FOUND, f"there is no exception `{exception_id}`", hint="see `mintwarden exception list`"
            )
        return await self._known(stored)

    async def all(self) -> list[Known]:
        """All there are, oldest first, save those that are not stored as they were requested."""
        tried = [await self._try(stored) for stored in await self._store.find()]
        return [known for known in tried if known is not None]

    async def chain(self, exception_id: str) -> list[str]:
        """Ids of the exception and of those that it continues, the latest first; raises `NOT_FOUND`.

        Reads these alone. It ends at one that is not there, or not stored as it was requested.
        """
        known: Known | None = await self.known(exception_id)
        found: list[str] = []
        while known is not None and known.request.id not in found:
            found.append(known.request.id)
            stored = await self._store.get(known.request.renews) if known.request.renews else None
            known = None if stored is None else await self._try(stored)
        return found

    async def page(self, limit: int, after: str = "", *, still_open: bool = False) -> tuple[list[Known], str]:
        """Up to `limit` of all there are, or of those that are open, oldest first: the first behind the id `after`.

        The second is behind which id there are more, empty at the end. Those that are not stored as they were requested
        are left out, so that there may be fewer. Costs what it answers, however many there are and were.
        """
        found = await self._store.page(limit + 1, after, still_open=still_open)
        tried = [await self._try(stored) for stored in found[:limit]]
        return [known for known in tried if known is not None], found[limit - 1].id if len(found) > limit else ""

    async def damaged(self) -> list[str]:
        """Ids of those that are not stored as they were requested. They never count."""
        return [stored.id for stored in await self._store.find() if await self._try(stored) is None]

    async def in_force(self) -> GrantsInForce:
        """Those that count.

        INVARIANT: what the store says is not believed: the request must be as its approvers signed it, enough of them
        must be approvers of the bundle in force, the ledger must say that it began, and must not say that it ended.
        Whoever can write to the store can neither make an exception nor lengthen one.
        """
        found = await self._store.in_force()
        grants: list[ExceptionGrant] = []
        for stored in found.exceptions:
            known = await self._try(stored)
            if known is not None and known.counts:
                grants.append(known.request.grant(len(known.names)))
        return GrantsInForce(found.epoch, tuple(grants))

    async def _try(self, stored: StoredException) -> Known | None:
        """None for one that is not stored as it was requested."""
        try:
            return await self._known(stored)
        except MintwardenError as error:
            if error.kind is not ErrorKind.STORE:
                raise
            return None

    async def _known(self, stored: StoredException) -> Known:
        request = read_request(stored.document)
        if request.id != stored.id:
            raise MintwardenError(ErrorKind.STORE, "an exception is stored under another id", hint="audit the ledger")
        end = end_id(request.id)
        names = counted(self._bundle, request, [one.signature.decode(errors="replace") for one in stored.approvals])
        needed, tier = quorum(self._bundle, request), self._bundle.catalogue.tiers.get(request.tier)
        counts = (
            stored.state == "active"
            and tier is not None
            and len(names) >= needed
            and await self._recorded(stored.start_entry) is not None
            and await self._recorded(end) is None
        )
        approvals = max(needed, len(names)) if stored.state == "requested" else len(names)
        ends_at = request.starts_at if tier is None else end_of(request.grant(approvals), tier)
        if stored.state in _ENDED:
            ends_at = min(ends_at, stored.changed_at)
        return Known(stored=stored, request=request, names=names, needed=needed, ends_at=ends_at, counts=counts)

    # -- what people do ------------------------------------------------------------------------------------------------

    async def request(
        self,
        wanted: Wanted,
        requester: EntityUid,
        *,
        endangered: Callable[[Bundle, ExceptionRequest], tuple[str, ...]],
    ) -> Known:
        """Ask for an exception. Raises `INVALID_REQUEST` for what cannot be one under the bundle in force.

        `endangered` finds the assertions that it might break (`policy.exception_proof`): it needs a solver, which has
        no business where tokens are issued.
        """
        now, catalogue = self._clock.now(), self._bundle.catalogue
        scope = catalogue.scopes.get(wanted.scope)
        request = ExceptionRequest(
            v=VERSION,
            id=decision_text(self._new_id()),
            issuer=catalogue.issuer,
            bundle=catalogue.name,
            principal=wanted.principal,
            action=wanted.action,
            scope=wanted.scope,
            audience=scope.audience if scope else "",
            tier=scope.tier if scope else "",
            starts_at=now if wanted.starts_at is None else wanted.starts_at,
            expires_at=wanted.expires_at,
            reason=wanted.reason,
            ticket=wanted.ticket,
            control=wanted.control,
            requester=requester,
            requested_at=now,
            client=wanted.client,
            environment=wanted.environment,
            waives=tuple(sorted(set(wanted.waives))),
            renews=wanted.renews,
            used=wanted.used,
        )
        check_request(self._bundle, request, now)
        against = await asyncio.to_thread(endangered, self._bundle, request)
        if against:
            request = replace(request, against=against)
            check_request(self._bundle, request, now)
        await self._record(self._new_id(), "exception", requester, _public("requested", request), _private(request))
        stored = StoredException(id=request.id, document=request.document, state="requested", changed_at=now)
        if not await self._store.add(stored):
            raise MintwardenError(ErrorKind.CONFLICT, "there is an exception of that id already", hint="try again")
        return await self._known(stored)

    async def approve(self, exception_id: str, text: str) -> Known:
        """Take a signed statement; with the last one that is needed, the exception begins.

        Raises `SignatureRefused` for an approval that does not count, `CONFLICT` for an exception that waits for none,
        `INVALID_REQUEST` for one that the bundle in force does not allow any more.
        """
        known, now = await self.known(exception_id), self._clock.now()
        if known.stored.state != "requested":
            what = f"the exception is {known.stored.state}: it waits for no approval"
            raise MintwardenError(ErrorKind.CONFLICT, what, hint="make a new request")
        check_request(self._bundle, known.request, self._ratchet.at(now))
        approval = read_approval(text)
        approver = believe(self._bundle, known.request, approval)
        if approval.at * 1000 > now + AHEAD:
            raise SignatureRefused("from_the_future", "it was signed at a time that is still to come")
        if approval.at * 1000 < known.request.requested_at - AHEAD:
            raise SignatureRefused("too_old", "it was signed before the exception was requested")
        if approver.user not in known.names:
            person = EntityUid("User", approver.user)
            detail = _public("approved", known.request) | {"approvals": len(known.names) + 1, "needed": known.needed}
            await self._record(self._new_id(), "exception", person, detail, {"name": approver.name})
            kept = StoredApproval(
                approver=approver.name, signature=f"{approval.text}\n{approval.armor}".encode(), at=now
            )
            await self._store.approve(exception_id, kept)
            known = await self.known(exception_id)
        if known.stored.state == "requested" and len(known.names) >= known.needed:
            await self._begin(known, EntityUid("User", approver.user))
            known = await self.known(exception_id)
        return known

    async def revoke(self, exception_id: str, by: EntityUid, reason: str) -> Known:
        """End it at once, on every node; withdraw a request that waits. Raises `CONFLICT` for what is over already."""
        known = await self.known(exception_id)
        if known.stored.state not in OPEN:
            raise MintwardenError(ErrorKind.CONFLICT, f"the exception is {known.stored.state} already")
        after: ExceptionState = "revoked" if known.stored.state == "active" else "withdrawn"
        await self._end(known, after, by, {"reason": reason})
        known = await self.known(exception_id)
        if known.stored.state in OPEN:  # it began while its request was being withdrawn
            return await self.revoke(exception_id, by, reason)
        return known

    # -- what happens by itself ----------------------------------------------------------------------------------------

    async def settle(self, by: EntityUid) -> int:
        """End what is over, and finish what a crash left half done; how many changed.

        Decisions do not depend on it: an exception ends by its own time, and by the ledger's word.
        """
        changed = 0
        for stored in await self._store.find(OPEN):
            known = await self._try(stored)
            if known is not None:  # what was changed never counts; whoever looks for it is told
                changed += await self._settle(known, by)
        return changed

    async def _settle(self, known: Known, by: EntityUid) -> bool:
        stored, now = known.stored, self._ratchet.at(self._clock.now())
        recorded = await self._recorded(end_id(stored.id))
        if recorded is not None:
            return await self._move(known, _state_of(recorded))
        if stored.state == "active":
            return known.ends_at <= now and await self._end(known, "ended", by, {})
        if await self._recorded(stored.start_entry) is not None and len(known.names) >= known.needed:
            return await self._move(known, "active")
        return known.request.expires_at <= now and await self._end(known, "lapsed", by, {})

    # -- one change ----------------------------------------------------------------------------------------------------

    async def _begin(self, known: Known, by: EntityUid) -> None:
        detail = _public("began", known.request) | {"approvals": len(known.names)}
        await self._write_once(known, "start", "exception", by, detail, {})
        await self._move(known, "active")

    async def _end(self, known: Known, after: ExceptionState, by: EntityUid, private: Mapping[str, object]) -> bool:
        written = await self._write_once(known, "end", "exception_end", by, _public(after, known.request), private)
        return await self._move(known, _state_of(written) if written else after)

    async def _move(self, known: Known, after: ExceptionState) -> bool:
        return await self._store.move(known.stored.id, known.stored.state, after, self._clock.now())

    async def _write_once(
        self,
        known: Known,
        act: PlannedAct,
        kind: GovernanceKind,
        by: EntityUid,
        detail: Mapping[str, object],
        private: Mapping[str, object],
    ) -> Mapping[str, object] | None:
        """Write the one entry that says that it began or ended; the entry if somebody else wrote it."""
        ours = self._new_id()
        standing = await self._store.plan(known.stored.id, act, ours)
        if standing is None:
            raise MintwardenError(ErrorKind.NOT_FOUND, f"there is no exception `{known.stored.id}`")
        entry_id = standing if act == "start" else end_id(known.stored.id)
        deadline = time.monotonic() + ABANDONED
        while True:
            written = await self._recorded(entry_id)
            if written is not None:
                return written
            if standing == ours or time.monotonic() >= deadline or _age(standing, ours) >= ABANDONED * 1000:
                break
            await asyncio.sleep(0.1)
        await self._record(entry_id, kind, by, detail, private)
        return None

    async def _recorded(self, entry_id: bytes | None) -> Mapping[str, object] | None:
        """The entry of that id, if it is in the ledger."""
        if entry_id is None:
            return None
        stored = await self._entries.by_decision(entry_id)
        return None if stored is None else read_entry(stored.entry)

    async def _record(
        self,
        entry_id: bytes,
        kind: GovernanceKind,
        by: EntityUid,
        detail: Mapping[str, object],
        private: Mapping[str, object],
    ) -> None:
        own = await self._keys.get(entity_key(by))
        await self._recorder.record_act(
            entry_id=entry_id,
            kind=kind,
            at=self._clock.now(),
            actor=by,
            detail=detail,
            private=private,
            key=SealKey(*own) if own else None,
        )


def end_id(exception_id: str) -> bytes:
    """The id of the ledger entry that says that an exception ended.

    INVARIANT: it follows from the exception's own id, which its approvers signed. Whoever can write to the store cannot
    make anybody look for the end under another id, or nowhere. Raises `STORE` for what is no id.
    """
    try:
        raw = decision_bytes(exception_id)
    except ValueError:
        raise MintwardenError(ErrorKind.STORE, "an exception has an id that is none", hint="audit the ledger") from None
    return decision_id(int.from_bytes(raw[:6], "big"), hashlib.sha256(b"mintwarden exception end\0" + raw).digest())


def _age(standing: bytes, ours: bytes) -> int:
    """Milliseconds between two chosen ids (UUIDv7)."""
    return int.from_bytes(ours[:6], "big") - int.from_bytes(standing[:6], "big")


def _state_of(entry: Mapping[str, object]) -> ExceptionState:
    """The state that an `exception_end` entry speaks of."""
    detail = entry.get("detail")
    change = detail.get("change") if isinstance(detail, Mapping) else None
    return next((state for state in _ENDED if state == change), "ended")


def _public(change: str, request: ExceptionRequest) -> dict[str, object]:
    """What everybody may read: no person, no reason."""
    detail: dict[str, object] = {
        "change": change,
        "exception": request.id,
        "request": request.digest,
        "scope": request.scope,
        "audience": request.audience,
        "tier": request.tier,
        "action": request.action,
        "principal_type": request.principal.type,
        "starts_at": request.starts_at,
        "expires_at": request.expires_at,
    }
    if request.principal.type != "User":
        detail["principal"] = request.principal.id
    if request.renews:
        detail["renews"] = request.renews
    if request.against:
        detail["against"] = list(request.against)
    return detail


def _private(request: ExceptionRequest) -> dict[str, object]:
    return {
        "principal": entity_key(request.principal),
        "reason": request.reason,
        "ticket": request.ticket,
        "control": request.control,
    }

"""Approvals that rules demand: asked for, looked at, given or refused, used up, revoked.

INVARIANT: a request is known by a digest of what it asks for, and nothing of that ever changes. Whoever answers says
what they saw (`seen`), the terms of the bundle included; where that is not what stands now, the answer counts for
nothing. INVARIANT: nobody approves what they asked for, or what is done for them or by them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from mintwarden.authn.ports import Place
from mintwarden.authn.shelf import Held, Shelf
from mintwarden.context.approvals import FACT, SOMEBODY, Circumstances, GivenApproval, circumstances_of
from mintwarden.issue.holder import audiences_of
from mintwarden.model.asked import Asked
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.decision import Decision
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.model.terms import ApprovalKind
from mintwarden.model.values import EntityUid
from mintwarden.policy.bundle.model import Bundle

REQUEST: Final = "approval_request"
GIVEN: Final = "approval"
CROWD: Final = "approval_crowd"
"""The kinds of their shelves; the last is of what waits, as it is found by who asked."""

MOST_WAITING: Final = 10
MOST_OF_A_CLIENT: Final = 100
"""Requests of a client that may wait for the same subject, and for all of them: nobody's queue is filled up."""
LOOKED_AT: Final = 1_000
"""Requests for approvals of a kind that one look for what waits reads: those that end first."""
DEMAND: Final = "require_approval"

_ATTEMPTS = 5
_CLOCKS = 60_000

Answered = Literal["approved", "refused", "revoked"]
Beyond = tuple[str, Place]
"""A kind of approval, and a place among the requests for approvals of that kind."""
Record = Callable[[EntityUid, Mapping[str, object], Mapping[str, object]], Awaitable[object]]
"""Writes down, durably, what somebody did; the last is sealed."""


class Wanted(Struct, frozen=True, kw_only=True):
    """What one request asks for: `approval` of the scope or detail type `name`."""

    approval: str
    name: str
    circumstances: Circumstances

    @property
    def id(self) -> str:
        """By which it is known: the same question is one request."""
        return hashlib.sha256(b"approval:" + msgspec.json.encode(self, order="deterministic")).hexdigest()[:40]

    @property
    def element(self) -> str:
        """What rules look for."""
        return f"{self.approval}:{self.name}"


class ApprovalRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request.

    Attributes:
        wanted: what for.
        client: the principal that asked.
        message: what the client says about it, one line.
        address: where it came from, as text.
        began_at, ends: `Millis`; of one that was approved, when the approval ends.
        state: what came of it; `asking` while it is being written down, and nobody sees it.
        by: entity key of whoever answered.
        given: the id of the approval.
    """

    wanted: Wanted
    client: EntityUid
    began_at: int
    ends: int
    message: str = ""
    address: str = ""
    state: Literal["asking", "pending", "approved", "refused", "revoked"] = "pending"
    by: str = ""
    given: str = ""

    def seen(self, kind: ApprovalKind, meaning: str) -> str:
        """A digest of what somebody sees who looks at it under the terms of now; `meaning` is the catalogue's."""
        shown = (self.wanted, self.client, self.message, self.address, self.began_at, kind, meaning)
        return hashlib.sha256(b"seen:" + msgspec.json.encode(shown, order="deterministic")).hexdigest()


class Shown(Struct, frozen=True, kw_only=True):
    """A request as somebody sees it who may answer it: with the terms of now, and what its client is called."""

    request: ApprovalRequest
    kind: ApprovalKind
    catalogue: Catalogue
    client_name: str
    client_owner: str


class Person(Struct, frozen=True, kw_only=True):
    """Who answers: as whom, at which level they signed in, the groups that they are in now, and who acts for them.

    `client`: the one that answers for them, or empty where they do in their browser. `known`: the sources of groups
    know them, where there are any. Whoever left, or of whom nothing can be said now, approves nothing.
    """

    uid: EntityUid
    acr: str
    groups: frozenset[str]
    actors: tuple[EntityUid, ...] = ()
    client: str = ""
    known: bool = True


def approval_kinds(catalogue: Catalogue) -> Mapping[str, ApprovalKind]:
    """Every kind of approval that is given here, by name."""
    return next((source.approvers for source in catalogue.sources.values() if source.approvers), {})


def meaning_of(catalogue: Catalogue, name: str) -> str:
    """What the catalogue says of a scope or a type of detail."""
    there = catalogue.scopes.get(name) or catalogue.details.get(name)
    return "" if there is None else there.meaning


def lacking(asked: Asked, decision: Decision, kinds: Mapping[str, ApprovalKind]) -> tuple[Wanted, ...]:
    """The approvals for want of which alone something is refused, as far as they are given here."""
    found: dict[Wanted, None] = {}
    circumstances = circumstances_of(asked)
    for one in (*decision.scopes, *decision.details):
        # A key is proven with the request for the token, and not here.
        wanting = [demand for demand in one.unmet if demand.name != "require_binding"]
        if one.reason == "obligation_unmet" and all(d.name == DEMAND and d.value in kinds for d in wanting):
            for demand in wanting:
                found[Wanted(approval=demand.value, name=one.scope, circumstances=circumstances)] = None
    return tuple(found)


def demanding_approvals(bundle: Bundle) -> frozenset[str]:
    """The audiences of which a rule looks at approvals."""
    found: frozenset[str] = frozenset()
    for rule in bundle.rules.rules.values():
        if DEMAND in rule.annotations or f"principal.{FACT}" in rule.reads:
            found |= audiences_of(rule, bundle.catalogue)
    return found


def may_see(person: Person, kind: ApprovalKind) -> bool:
    """The bundle names them among those who give approvals of that kind."""
    named = person.uid.id in kind.users or not person.groups.isdisjoint(kind.groups)
    return named and person.known and person.uid.type == "User"


def require_apart(person: Person, request: ApprovalRequest) -> None:
    """Raise `ACCESS_DENIED` for whoever has a part in what is to be approved."""
    within = request.wanted.circumstances
    if person.actors:
        raise MintwardenError(ErrorKind.ACCESS_DENIED, "an approval is given by a person, not by whoever acts for one")
    if person.uid in (within.subject, *within.actors, request.client):
        raise MintwardenError(ErrorKind.ACCESS_DENIED, "nobody approves what they ask for themselves")
    if person.client == within.client_id:  # whose software asks does not answer, whoever it has a token of
        raise MintwardenError(ErrorKind.ACCESS_DENIED, "no client answers what it asked for itself")


class ApprovalRequests:
    """Keeps requests and approvals; `in_force` is what decisions read."""

    def __init__(self, *, requests: Shelf[ApprovalRequest], given: Shelf[GivenApproval], crowds: Shelf[str]) -> None:
        self._requests = requests
        self._given = given
        self._crowds = crowds

    async def in_force(self, digest: str, now: int, grant_id: str = "") -> Sequence[GivenApproval]:
        """See `context.approvals.ApprovalReader`."""
        found = [held.value for held in await self._given.owned(digest, now)]
        counting = (one for one in found if one.ends > now and one.counts_for(grant_id))
        return sorted(counting, key=lambda one: one.id)

    async def ask(
        self,
        wanted: Wanted,
        client: Client,
        *,
        kind: ApprovalKind,
        message: str,
        address: str,
        now: int,
        record: Record,
    ) -> ApprovalRequest:
        """The request that waits for an answer: the one that waits already, or a new one, written down first.

        INVARIANT: of all that ask the same at once, on however many nodes, one writes it down, and nobody sees it
        before. Whoever dies over it leaves it to the first who asks a minute later.

        Raises `APPROVAL_DENIED` for what was refused, until that request would have ended, and where too many wait.
        """
        principal = EntityUid(client.principal, client.id)
        made = ApprovalRequest(
            wanted=wanted,
            client=principal,
            message=message,
            address=address,
            began_at=now,
            ends=now + kind.waits * 1000,
        )
        for _ in range(_ATTEMPTS):
            held = await self._requests.get(wanted.id, now)
            known = None if held is None else held.value
            if known is not None and known.ends > now:
                if known.state == "pending":
                    return known
                if known.state == "refused":
                    raise MintwardenError(ErrorKind.APPROVAL_DENIED, "it was refused", hint="ask whoever refused it")
                if known.state == "asking" and now - known.began_at < _CLOCKS:
                    return replace(known, state="pending")
            if await self._is_crowded(made, now):
                raise _too_many()
            # One that is there was approved, and used up, revoked or over: the decision would not lack it otherwise.
            if not await self._begun(held, made):
                continue
            await self._join(made)
            # INVARIANT: those that come at once do not pass because none is there: each is, before it looks.
            if await self._is_crowded(made, now):
                await self._put_back(wanted.id, known, replace(made, state="asking"), now)
                raise _too_many()
            if await self._written(known, made, record, now):
                return made
        raise MintwardenError(ErrorKind.UNAVAILABLE, "the request keeps changing", hint="try again")

    async def _begun(self, held: Held[ApprovalRequest] | None, made: ApprovalRequest) -> bool:
        """Whether it is this one's to write it down."""
        asking, ends, wanted = replace(made, state="asking"), made.ends + _CLOCKS, made.wanted
        if held is not None:
            return await self._requests.replace(held, asking, ends=ends)
        return await self._requests.add(wanted.id, asking, ends=ends, owner=wanted.approval)

    async def _written(self, before: ApprovalRequest | None, made: ApprovalRequest, record: Record, now: int) -> bool:
        """Whether it waits from now on; where it could not be written down, everything is as it was `before`."""
        asking, name = replace(made, state="asking"), made.wanted.id
        try:
            await record(made.client, _told(made, "requested"), _private(made))
        except BaseException:
            await self._put_back(name, before, asking, now)
            raise
        held = await self._requests.get(name, now)
        return held is not None and held.value == asking and await self._requests.replace(held, made)

    async def of(self, kind: str, now: int) -> Sequence[ApprovalRequest]:
        """Requests for approvals of a kind that wait, or were approved and still count, oldest first; see `look`."""
        return (await self.look(kind, now))[0]

    async def look(self, kind: str, now: int) -> tuple[Sequence[ApprovalRequest], bool]:
        """The same, and whether there may be more: of `LOOKED_AT` that are kept, however many there are.

        What ends first is among them, and nothing that asks for longer comes before it: what is not seen is seen before
        it ends, once what was there first is answered, or has ended.
        """
        kept = await self._requests.lasting(kind, now, LOOKED_AT, (now + _CLOCKS + 1, b""), back=True)
        listed = (held.value for held in kept if held.value.state in ("pending", "approved"))
        return sorted(listed, key=lambda one: (one.began_at, one.wanted.id)), len(kept) == LOOKED_AT

    async def page(
        self, kinds: Iterable[str], now: int, limit: int, beyond: Beyond | None = None
    ) -> tuple[Sequence[ApprovalRequest], Beyond | None]:
        """What `of` tells of all these kinds, a page at a time: kind by kind by name, what ends first first.

        The second is where to go on, None at the end. Reads `limit` of what is kept and one more, however much there
        is. What was refused or taken back is left out, so that there may be fewer. Whatever is answered gets another
        end, and so another place: it may come again, or not.
        """
        begins, found = (now + _CLOCKS + 1, b""), list[tuple[str, Held[ApprovalRequest]]]()
        since = ("", begins) if beyond is None else beyond
        for kind in sorted(kind for kind in kinds if kind >= since[0]):
            behind = max(begins, since[1]) if kind == since[0] else begins
            ahead = await self._requests.lasting(kind, now, limit + 1 - len(found), behind, back=True)
            found += [(kind, held) for held in reversed(ahead)]
            if len(found) > limit:
                break
        listed = [held.value for _, held in found[:limit] if held.value.state in ("pending", "approved")]
        return listed, (found[limit - 1][0], found[limit - 1][1].place) if len(found) > limit else None

    async def named(self, name: str, now: int) -> Held[ApprovalRequest]:
        """The request of that id. Raises `NOT_FOUND`."""
        held = await self._requests.get(name, now)
        if held is None or held.value.ends <= now or held.value.state == "asking":
            raise MintwardenError(ErrorKind.NOT_FOUND, "there is no such request", hint="it was answered, or has ended")
        return held

    async def answer(
        self,
        name: str,
        person: Person,
        *,
        approve: bool,
        seen: str,
        catalogue: Catalogue,
        now: int,
        id_of: Callable[[], str],
        record: Record,
    ) -> ApprovalRequest:
        """What somebody said of a request that waits.

        INVARIANT: the first answer stands; it is written down before an approval counts; and one that cannot be written
        down is none.

        Raises `NOT_FOUND` for whoever may not see it, `ACCESS_DENIED` as `require_apart`,
        `UNMET_AUTHENTICATION_REQUIREMENTS` and `CONFLICT` where they saw something else or somebody was first.
        """
        held = await self.named(name, now)
        known = held.value
        kind = self.kind_for(known, person, catalogue)
        require_apart(person, known)
        if kind.acr and person.acr not in kind.acr:
            raise MintwardenError(
                ErrorKind.UNMET_AUTHENTICATION_REQUIREMENTS, "you did not sign in as this approval demands"
            )
        if known.state != "pending" or seen != known.seen(kind, meaning_of(catalogue, known.wanted.name)):
            raise MintwardenError(ErrorKind.CONFLICT, "this is not what you saw any more", hint="look again")
        given = GivenApproval(id=id_of(), element=known.wanted.element, ends=now + kind.lasts * 1000, once=kind.once)
        what: Answered = "approved" if approve else "refused"
        said = replace(known, state=what, by=entity_key(person.uid))
        if approve:
            said = replace(said, given=given.id, ends=given.ends)
        if not await self._requests.replace(held, said, ends=said.ends + _CLOCKS):
            raise MintwardenError(ErrorKind.CONFLICT, "somebody else answered first", hint="look again")
        try:
            await record(person.uid, _told(said, what), _private(said))
        except BaseException:
            await self._put_back(name, known, said, now)
            raise
        await self._leave(name)
        if approve:
            owner = known.wanted.circumstances.digest
            await self._given.add(given.id, given, ends=given.ends, owner=owner)
            after = await self._requests.get(name, now)
            if after is None or after.value != said:  # taken back, or forgotten, in the meantime
                await self.use_up(given.id, now)
        return said

    async def _put_back(self, name: str, known: ApprovalRequest | None, said: ApprovalRequest, now: int) -> None:
        held = await self._requests.get(name, now)
        if held is None or held.value != said:
            return
        if known is None or known.state != "pending":
            await self._leave(name)
        if known is None:
            await self._requests.remove(held)
        else:
            await self._requests.replace(held, known, ends=known.ends + _CLOCKS)

    async def revoke(self, name: str, by: EntityUid, reason: str, now: int, record: Record) -> ApprovalRequest:
        """Take an approval back: no decision from now on finds it. Raises `NOT_FOUND`, `CONFLICT`."""
        held = await self.named(name, now)
        known = held.value
        if known.state != "approved":
            raise MintwardenError(ErrorKind.CONFLICT, "there is no approval to take back")
        said = replace(known, state="revoked")
        await record(by, {**_told(said, "revoked"), "reason": reason}, _private(said))
        if not await self._requests.replace(held, said):
            raise MintwardenError(ErrorKind.CONFLICT, "it changed meanwhile", hint="look again")
        await self.use_up(known.given, now)
        return said

    async def forget(self, entity: str, kinds: Iterable[str]) -> None:
        """Forget whoever has that key: what is asked and was approved for them and by them, and what they answered."""
        for kind in kinds:
            for held in await self._requests.owned(kind, 0):
                known = held.value
                within = known.wanted.circumstances
                if entity in map(entity_key, (within.subject, *within.actors)):
                    await self.use_up(known.given, 0)
                    await self._requests.remove(held)
                    await self._leave(known.wanted.id)
                elif known.by == entity:
                    await self._requests.replace(held, replace(known, by=""))

    async def use_up(self, given: str, now: int) -> None:
        """Forget an approval, if it is there."""
        held = await self._given.get(given, now)
        if held is not None:
            await self._given.remove(held)

    async def used_up(self, given: str, by: str, now: int) -> None:
        """Note that the grant `by`, whose tokens may have to be sent anew, used up an approval; or `SOMEBODY` did.

        INVARIANT: whoever knows is believed: who came too late takes it from nobody.
        """
        for _ in range(_ATTEMPTS):
            held = await self._given.get(given, now)
            if held is None or held.value.used_by == by or (by == SOMEBODY and held.value.used_by):
                return
            if await self._given.replace(held, replace(held.value, used_by=by)):
                return

    def kind_for(self, request: ApprovalRequest, person: Person, catalogue: Catalogue) -> ApprovalKind:
        """The terms of now, for somebody who may see the request. Raises `NOT_FOUND` for everybody else."""
        kind = approval_kinds(catalogue).get(request.wanted.approval)
        if kind is None or not may_see(person, kind):
            raise MintwardenError(ErrorKind.NOT_FOUND, "there is no such request", hint="it was answered, or has ended")
        return kind

    async def _is_crowded(self, made: ApprovalRequest, now: int) -> bool:
        """Do as many others of its client wait as may. Reads these alone, and no more than tell."""
        found = await self._crowds.lasting(_asker(made), now, MOST_OF_A_CLIENT + 1)
        own, subject = self._crowds.key(made.wanted.id), _subject(made)
        others = [held.value for held in found if held.state.key != own]
        return len(others) >= MOST_OF_A_CLIENT or others.count(subject) >= MOST_WAITING

    async def _join(self, made: ApprovalRequest) -> None:
        """Count it among what waits. Should a node end before it leaves, it is counted until the request ends."""
        name, subject = made.wanted.id, _subject(made)
        if not await self._crowds.add(name, subject, ends=made.ends, owner=_asker(made)):
            held = await self._crowds.get(name, 0)
            if held is not None:
                await self._crowds.replace(held, subject, ends=made.ends)

    async def _leave(self, name: str) -> None:
        """It was answered, or is gone."""
        held = await self._crowds.get(name, 0)
        if held is not None:
            await self._crowds.remove(held)


def _asker(request: ApprovalRequest) -> str:
    """By which the requests of a client for approvals of a kind are found; nobody's entity key."""
    said = msgspec.json.encode((request.wanted.approval, entity_key(request.client)))
    return hashlib.sha256(b"asker:" + said).hexdigest()


def _subject(request: ApprovalRequest) -> str:
    """Tells subjects apart without naming them."""
    key = entity_key(request.wanted.circumstances.subject)
    return hashlib.sha256(b"subject:" + key.encode()).hexdigest()


def _too_many() -> MintwardenError:
    return MintwardenError(ErrorKind.APPROVAL_DENIED, "too many requests wait", hint="wait for their answers")


def _told(request: ApprovalRequest, what: str) -> Mapping[str, object]:
    """What the ledger says of it to everybody; nothing personal."""
    wanted = request.wanted
    told: dict[str, object] = {
        "what": what,
        "how": "rule",
        "request": wanted.id,
        "approval": wanted.approval,
        "scope": wanted.name,
        "client": wanted.circumstances.client_id,
        "circumstances": wanted.circumstances.digest,
    }
    if what == "approved":
        told["ends"] = request.ends
    return told


def _private(request: ApprovalRequest) -> Mapping[str, object]:
    within = request.wanted.circumstances
    return {
        "subject": entity_key(within.subject),
        "actors": [entity_key(actor) for actor in within.actors],
        "purpose": within.purpose,
        "details": [detail.said for detail in within.details],
        "message": request.message,
    }

"""Approvals that rules demand: what waits, what was approved and still counts, answered and taken back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Literal, Protocol

from msgspec import Meta, Struct

from mintwarden.issue.approval_requests import ApprovalRequest, Beyond, meaning_of
from mintwarden.model.caller import Evidence
from mintwarden.model.catalogue import Catalogue
from mintwarden.model.ids import entity_key
from mintwarden.model.terms import ApprovalKind
from mintwarden.model.values import EntityUid
from mintwarden.web.admin.operation import Answer, Call, Operation, Paged, Strict
from mintwarden.web.admin.times import Time, shown

READ, DECIDE, REVOKE = "mintwarden:approvals.read", "mintwarden:approvals.decide", "mintwarden:approvals.revoke"

RequestId = Annotated[str, Meta(max_length=64, pattern=r"^[0-9a-f]+$")]
Digest = Annotated[str, Meta(min_length=64, max_length=64, pattern=r"^[0-9a-f]+$")]
Text = Annotated[str, Meta(min_length=1, max_length=2000)]

Listed = tuple[ApprovalRequest, ApprovalKind]


class Queue(Protocol):
    """What is done to them."""

    def page(
        self, now: int, limit: int, beyond: Beyond | None
    ) -> Awaitable[tuple[Sequence[Listed], Beyond | None]]: ...

    def answer_as(self, name: str, who: Evidence, *, approve: bool, seen: str, now: int) -> Awaitable[Listed]: ...

    def revoke(self, name: str, uid: EntityUid, reason: str, now: int) -> Awaitable[Listed]: ...


class ApprovalRequestTold(Struct, frozen=True, kw_only=True):
    """A request. `seen` is a digest of all of it and of the terms, to be sent with the answer. `expires_at`: of the
    request while it waits, of the approval once there is one. `impersonates`: the token would name no actor.
    """

    id: str
    state: str
    approval: str
    scope: str
    meaning: str
    subject: str
    actors: tuple[str, ...]
    client: str
    audience: str
    impersonates: bool
    purpose: str
    environment: str
    tenant: str
    workspace: str
    project: str
    details: tuple[dict[str, Any], ...]
    message: str
    address: str
    requested_at: Time
    expires_at: Time
    once: bool
    lasts: int
    seen: str


class ApprovalRequestPage(Struct, frozen=True, kw_only=True):
    """Some of them, by kind, what ends first first; `cursor` is where to go on, empty at the end.

    What was refused or taken back is left out, so that a page may hold less than was asked for. What is answered
    meanwhile ends at another time, so that it may come again, or not.
    """

    approval_requests: tuple[ApprovalRequestTold, ...]
    cursor: str


class ApprovalAnswer(Strict, frozen=True, kw_only=True):
    """What is said, by whom the token speaks of: a person whom the bundle names for this kind of approval."""

    decision: Literal["approve", "refuse"]
    seen: Digest


class ApprovalEnd(Strict, frozen=True, kw_only=True):
    """Why."""

    reason: Text


class ApprovalQueue:
    """The queue."""

    def __init__(self, *, queue: Callable[[], Queue], catalogue: Catalogue) -> None:
        self._queue = queue
        self._catalogue = catalogue

    async def list_requests(self, call: Call) -> Answer:
        """Requests that wait, and approvals that count. Costs what it answers, however many there are."""
        query = call.query
        beyond = _read(call.cursors.position(query.cursor)) if query.cursor else None
        listed, after = await self._queue().page(call.now, query.limit, beyond)
        return Answer(
            content=ApprovalRequestPage(
                approval_requests=tuple(self._told(one) for one in listed),
                cursor=call.cursors.make(_written(after)) if after is not None else "",
            )
        )

    async def answer(self, call: Call) -> Answer:
        """Approve or refuse one."""
        said: ApprovalAnswer = call.body
        answered = await self._queue().answer_as(
            call.path["request"],
            call.who,
            approve=said.decision == "approve",
            seen=said.seen,
            now=call.now,
        )
        return Answer(content=self._told(answered))

    async def revoke(self, call: Call) -> Answer:
        """Take an approval back."""
        ended = await self._queue().revoke(call.path["request"], call.who.principal, call.body.reason, call.now)
        return Answer(content=self._told(ended))

    def _told(self, one: Listed) -> ApprovalRequestTold:
        request, kind = one
        wanted = request.wanted
        within = wanted.circumstances
        meaning = meaning_of(self._catalogue, wanted.name)
        return ApprovalRequestTold(
            id=wanted.id,
            state=request.state,
            approval=wanted.approval,
            scope=wanted.name,
            meaning=meaning,
            subject=entity_key(within.subject),
            actors=tuple(entity_key(actor) for actor in within.actors),
            client=within.client_id,
            audience=within.audience,
            impersonates=within.impersonate,
            purpose=within.purpose,
            environment=within.environment,
            tenant=within.tenant,
            workspace=within.workspace,
            project=within.project,
            details=tuple(detail.said for detail in within.details),
            message=request.message,
            address=request.address,
            requested_at=shown(request.began_at),
            expires_at=shown(request.ends),
            once=kind.once,
            lasts=kind.lasts,
            seen=request.seen(kind, meaning),
        )


def _written(beyond: Beyond) -> str:
    kind, (ends, key) = beyond
    return f"{ends} {key.hex()} {kind}"


def _read(position: str) -> Beyond:
    ends, key, kind = position.split(" ", 2)
    return kind, (int(ends), bytes.fromhex(key))


_ONE: dict[str, Any] = {"of": ApprovalQueue, "parameters": {"request": RequestId}, "target": "request"}

LIST = Operation(
    id="approvals.list",
    method="GET",
    path="/approval-requests",
    summary="List approvals that are asked for, or were given and count",
    scopes=(READ,),
    of=ApprovalQueue,
    handler=ApprovalQueue.list_requests,
    query=Paged,
    answer=ApprovalRequestPage,
)
ANSWER = Operation(
    id="approvals.answer",
    method="POST",
    path="/approval-requests/{request}/answer",
    summary="Approve or refuse what is asked for",
    scopes=(DECIDE,),
    handler=ApprovalQueue.answer,
    body=ApprovalAnswer,
    answer=ApprovalRequestTold,
    problems=("conflict",),
    **_ONE,
)
REVOCATION = Operation(
    id="approvals.revoke",
    method="POST",
    path="/approval-requests/{request}/revocation",
    summary="Take an approval back: no decision from now on finds it",
    scopes=(REVOKE,),
    handler=ApprovalQueue.revoke,
    body=ApprovalEnd,
    answer=ApprovalRequestTold,
    problems=("conflict",),
    **_ONE,
)

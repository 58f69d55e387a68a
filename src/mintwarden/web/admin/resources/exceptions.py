"""Exceptions: requested, approved by signature, revoked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, Protocol

from msgspec import Meta, Struct

from mintwarden.govern.exceptions import Exceptions, Known, Wanted
from mintwarden.model.caller import Evidence
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.model.values import EntityUid
from mintwarden.policy.approve.refusal import SignatureRefused
from mintwarden.policy.exception_request import read_approval, statement
from mintwarden.web.admin.access import demand
from mintwarden.web.admin.operation import Answer, Call, Name, Operation, Paged, Strict
from mintwarden.web.admin.times import Time, millis, shown

READ, REQUEST = "mintwarden:exceptions.read", "mintwarden:exceptions.request"
APPROVE, REVOKE = "mintwarden:exceptions.approve", "mintwarden:exceptions.revoke"

ExceptionId = Annotated[str, Meta(max_length=100, pattern=r"^[0-9A-Za-z-]+$")]
Text = Annotated[str, Meta(min_length=1, max_length=2000)]
Signature = Annotated[str, Meta(min_length=1, max_length=32768)]

Ask = Callable[[Wanted, EntityUid], Awaitable[Known]]
"""Awaits a request: what is wanted, by whom."""


class Renewal(Protocol):
    """What goes on where an exception ends, with the use so far in view."""

    async def __call__(
        self, exception: str, ends: Callable[[int], int], *, reason: str, ticket: str, control: str
    ) -> Wanted: ...


class ExceptionQuery(Paged, frozen=True, kw_only=True):
    """Which exceptions: those that are open, or all."""

    all: bool = False


class ExceptionTold(Struct, frozen=True, kw_only=True):
    """An exception. `counts`: decisions take it into account, within its time. `ends_at`: under the tier of now.

    `used_before`: tokens minted under what it goes on with; null where it goes on with nothing.
    """

    id: str
    state: str
    counts: bool
    principal: str
    action: str
    scope: str
    audience: str
    tier: str
    client: str
    environment: str
    waives: tuple[str, ...]
    starts_at: Time
    expires_at: Time
    ends_at: Time
    reason: str
    ticket: str
    control: str
    requester: str
    requested_at: Time
    against: tuple[str, ...]
    renews: str
    approved_by: tuple[str, ...]
    needed: int
    request: str
    used_before: int | None = None


class ExceptionPage(Struct, frozen=True, kw_only=True):
    """Some of them, oldest first; `cursor` is where to go on, empty at the end."""

    exceptions: tuple[ExceptionTold, ...]
    cursor: str


class ExceptionRequested(Strict, frozen=True, kw_only=True):
    """What is asked for: one principal, one scope, an end, and why."""

    principal: Annotated[str, Meta(max_length=600, pattern=r"^(User|Workload|Agent):[^\x00-\x1f\x7f]+$")]
    scope: Name
    expires_at: Time
    reason: Text
    ticket: Text
    control: Text
    action: Literal["issue", "act"] = "issue"
    starts_at: Time | None = None
    client: Annotated[str, Meta(max_length=200)] = ""
    environment: Annotated[str, Meta(max_length=200)] = ""
    waives: Annotated[tuple[Name, ...], Meta(max_length=20)] = ()


class ExceptionRenewed(Strict, frozen=True, kw_only=True):
    """What goes on where another ends. Ticket and control are those of before where they are not given."""

    expires_at: Time
    reason: Text
    ticket: Annotated[str, Meta(max_length=2000)] = ""
    control: Annotated[str, Meta(max_length=2000)] = ""


class Approver(Strict, frozen=True, kw_only=True):
    """The approver's name in the bundle."""

    name: Name


class ExceptionStatement(Struct, frozen=True):
    """What an approver signs (`ssh-keygen -Y sign -n mintwarden-policy`)."""

    statement: str


class ExceptionApproval(Strict, frozen=True, kw_only=True):
    """The statement and, after an empty line, its signature. It counts by who signed it, not by who sends it."""

    approval: Signature


class Reasoned(Strict, frozen=True, kw_only=True):
    """Why."""

    reason: Text


class ExceptionDesk:
    """Everything that is done to exceptions."""

    def __init__(self, *, acts: Exceptions, ask: Ask, renewal: Renewal) -> None:
        self._acts = acts
        self._ask = ask
        self._renewal = renewal

    async def list_exceptions(self, call: Call) -> Answer:
        """Exceptions, oldest first. Costs what it answers, however many there are and were."""
        query = call.query
        after = call.cursors.position(query.cursor) if query.cursor else ""
        listed, last = await self._acts.page(query.limit, after, still_open=not query.all)
        return Answer(
            content=ExceptionPage(
                exceptions=tuple(_told(one, call.now) for one in listed),
                cursor=call.cursors.make(last) if last else "",
            )
        )

    async def show(self, call: Call) -> Answer:
        """One exception."""
        return Answer(content=_told(await self._acts.known(call.path["exception"]), call.now))

    async def request(self, call: Call) -> Answer:
        """Ask for one, in the name of whoever calls."""
        said: ExceptionRequested = call.body
        kind, _, name = said.principal.partition(":")
        known = await self._ask(
            Wanted(
                principal=EntityUid(kind, name),
                scope=said.scope,
                expires_at=millis(said.expires_at),
                reason=said.reason,
                ticket=said.ticket,
                control=said.control,
                action=said.action,
                starts_at=None if said.starts_at is None else millis(said.starts_at),
                client=said.client,
                environment=said.environment,
                waives=said.waives,
            ),
            call.who.principal,
        )
        return Answer(content=_told(known, call.now))

    async def renewal_guard(self, who: Evidence, _body: ExceptionRenewed) -> None:
        """What is renewed is told: it is read, too."""
        demand(who, READ)

    async def renew(self, call: Call) -> Answer:
        """Ask for one that goes on where another ends."""
        said: ExceptionRenewed = call.body
        wanted = await self._renewal(
            call.path["exception"],
            lambda _begins: millis(said.expires_at),
            reason=said.reason,
            ticket=said.ticket,
            control=said.control,
        )
        return Answer(content=_told(await self._ask(wanted, call.who.principal), call.now))

    async def statement(self, call: Call) -> Answer:
        """What an approver signs."""
        known = await self._acts.known(call.path["exception"])
        return Answer(content=ExceptionStatement(statement(known.request, call.query.name, call.now // 1000)))

    async def approve(self, call: Call) -> Answer:
        """Take a signed approval."""
        try:
            known = await self._acts.approve(call.path["exception"], call.body.approval)
        except SignatureRefused as refused:
            raise MintwardenError(
                ErrorKind.INVALID_REQUEST, f"the approval does not count: {refused.detail}", hint=refused.why
            ) from None
        return Answer(content=_told(known, call.now))

    async def revoke(self, call: Call) -> Answer:
        """End it at once."""
        known = await self._acts.revoke(call.path["exception"], call.who.principal, call.body.reason)
        return Answer(content=_told(known, call.now))


def _told(known: Known, now: int) -> ExceptionTold:
    request = known.request
    return ExceptionTold(
        id=request.id,
        state=known.stored.state,
        counts=known.counts and request.starts_at <= now < known.ends_at,
        principal=entity_key(request.principal),
        action=request.action,
        scope=request.scope,
        audience=request.audience,
        tier=request.tier,
        client=request.client,
        environment=request.environment,
        waives=request.waives,
        starts_at=shown(request.starts_at),
        expires_at=shown(request.expires_at),
        ends_at=shown(known.ends_at),
        reason=request.reason,
        ticket=request.ticket,
        control=request.control,
        requester=entity_key(request.requester),
        requested_at=shown(request.requested_at),
        against=request.against,
        renews=request.renews,
        approved_by=_approvers(known),
        needed=known.needed,
        request=request.digest,
        used_before=request.used if request.renews else None,
    )


def _approvers(known: Known) -> tuple[str, ...]:
    names = []
    for approval in known.stored.approvals:
        try:
            names.append(read_approval(approval.signature.decode(errors="replace")).name)
        except SignatureRefused:
            names.append("(not readable)")
    return tuple(names)


_ONE: dict[str, Any] = {"of": ExceptionDesk, "parameters": {"exception": ExceptionId}, "target": "exception"}

LIST = Operation(
    id="exceptions.list",
    method="GET",
    path="/exceptions",
    summary="List exceptions",
    scopes=(READ,),
    of=ExceptionDesk,
    handler=ExceptionDesk.list_exceptions,
    query=ExceptionQuery,
    answer=ExceptionPage,
)
ASK = Operation(
    id="exceptions.request",
    method="POST",
    path="/exceptions",
    summary="Ask for an exception",
    scopes=(REQUEST,),
    of=ExceptionDesk,
    handler=ExceptionDesk.request,
    body=ExceptionRequested,
    answer=ExceptionTold,
    status=201,
    slow=True,
    problems=("conflict",),
)
SHOW = Operation(
    id="exceptions.show",
    method="GET",
    path="/exceptions/{exception}",
    summary="Show an exception",
    scopes=(READ,),
    handler=ExceptionDesk.show,
    answer=ExceptionTold,
    **_ONE,
)
STATEMENT = Operation(
    id="exceptions.statement",
    method="GET",
    path="/exceptions/{exception}/statement",
    summary="Show what an approver signs",
    scopes=(READ, APPROVE),
    handler=ExceptionDesk.statement,
    query=Approver,
    answer=ExceptionStatement,
    **_ONE,
)
APPROVAL = Operation(
    id="exceptions.approve",
    method="POST",
    path="/exceptions/{exception}/approvals",
    summary="Hand in a signed approval",
    scopes=(APPROVE,),
    handler=ExceptionDesk.approve,
    body=ExceptionApproval,
    answer=ExceptionTold,
    problems=("conflict",),
    **_ONE,
)
RENEWAL = Operation(
    id="exceptions.renew",
    method="POST",
    path="/exceptions/{exception}/renewals",
    summary="Ask for an exception that goes on where this one ends",
    scopes=(REQUEST,),
    handler=ExceptionDesk.renew,
    body=ExceptionRenewed,
    answer=ExceptionTold,
    status=201,
    slow=True,
    guard=ExceptionDesk.renewal_guard,
    problems=("conflict",),
    **_ONE,
)
REVOCATION = Operation(
    id="exceptions.revoke",
    method="POST",
    path="/exceptions/{exception}/revocation",
    summary="End an exception at once, or withdraw its request",
    scopes=(REVOKE,),
    handler=ExceptionDesk.revoke,
    body=Reasoned,
    answer=ExceptionTold,
    problems=("conflict",),
    **_ONE,
)

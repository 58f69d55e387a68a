"""Findings: what reviews turned up, and what is said about each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Literal, Protocol

from msgspec import Meta, Struct
from msgspec.structs import replace

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.review.finding_states import FindingState
from mintwarden.review.findings import Finding, FindingKind
from mintwarden.web.admin.operation import Answer, Call, Operation, Paged, Strict
from mintwarden.web.admin.problem import AdminError
from mintwarden.web.admin.resources.versions import person
from mintwarden.web.admin.times import Time, millis, told

READ, WRITE = "mintwarden:findings.read", "mintwarden:findings.write"
FindingId = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]


class FindingQuery(Paged, frozen=True, kw_only=True):
    """Which findings: all, or those that are open, or not."""

    kind: FindingKind | None = None
    open: bool | None = None


class FindingTold(Struct, frozen=True, kw_only=True):
    """A finding, and what was said about it."""

    id: str
    kind: str
    about: str
    message: str
    severity: str
    remedy: str
    state: Literal["open", "acknowledged", "accepted"]
    ticket: str
    until: Time | None
    open: bool


class FindingPage(Struct, frozen=True, kw_only=True):
    """Some of them, by id; `cursor` is where to go on, empty at the end.

    What is not as `open` says is left out of its page, which then holds less than was asked for.
    """

    findings: tuple[FindingTold, ...]
    cursor: str


class Said(Strict, frozen=True, kw_only=True):
    """What is said: it is being worked on, accepted until a day, or nothing any more. The reason is in the ticket."""

    state: Literal["open", "acknowledged", "accepted"]
    ticket: Annotated[str, Meta(max_length=200)] = ""
    until: Time | None = None


class Found(Protocol):
    """What reviews turned up."""

    async def page(
        self, limit: int, after: str = "", *, kind: FindingKind | None = None
    ) -> tuple[Sequence[Finding], str]: ...

    async def one(self, name: str) -> Finding | None: ...


class Say(Protocol):
    """Keeps what is said, written down before; False when somebody was faster."""

    async def __call__(self, state: FindingState, actor: EntityUid) -> bool: ...


Close = Callable[[str, str, str], Awaitable[object]]
"""Awaits the end of a finding: which, by which person, and what they say."""


class Closing(Strict, frozen=True, kw_only=True):
    """What the person who closes it has seen."""

    note: Annotated[str, Meta(min_length=1, max_length=2000)]


class Findings:
    """Listing, and saying something."""

    def __init__(self, *, findings: Found, say: Say, close: Close) -> None:
        self._findings = findings
        self._say = say
        self._close = close

    async def list_findings(self, call: Call) -> Answer:
        """Findings in order of their ids."""
        query = call.query
        after = call.cursors.position(query.cursor) if query.cursor else ""
        found, last = await self._findings.page(query.limit, after, kind=query.kind)
        listed = (one for one in found if query.open in (None, one.is_open(call.now)))
        return Answer(
            content=FindingPage(
                findings=tuple(_told(one, call.now) for one in listed), cursor=call.cursors.make(last) if last else ""
            )
        )

    async def show(self, call: Call) -> Answer:
        """One finding."""
        finding = await self._one(call)
        return Answer(content=_told(finding, call.now), tag=_tag(finding))

    async def say(self, call: Call) -> Answer:
        """Keep what is said about a finding."""
        finding = await self._one(call)
        call.require_match(_tag(finding))
        said: Said = call.body
        if said.state == "accepted" and finding.kind == "break_glass":
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "an emergency is not accepted", hint="look, and close it")
        if said.state == "accepted" and (said.until is None or not said.ticket):
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "what is accepted has an end and a ticket")
        if said.until is not None and (said.state != "accepted" or millis(said.until) <= call.now):
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "`until` is the end, still to come, of what is accepted")
        state = FindingState(
            id=finding.id,
            state=said.state,
            ticket=said.ticket,
            until=None if said.until is None else millis(said.until),
            version=finding.state.version + 1,
            changed_at=call.now,
        )
        if not await self._say(state, call.who.principal):
            raise AdminError("precondition_failed", "it has changed since you looked", hint="look again")
        after = replace(finding, state=state)
        return Answer(content=_told(after, call.now), tag=_tag(after))

    async def close(self, call: Call) -> Answer:
        """Close what stays until a person has looked at it."""
        finding = await self._one(call)
        if finding.kind != "break_glass" or finding.closed:
            raise MintwardenError(
                ErrorKind.CONFLICT, "there is nothing to close", hint="mend it, or accept it until a day"
            )
        await self._close(finding.id, person(call.who), call.body.note)
        return Answer(content=_told(replace(finding, closed=True), call.now))

    async def _one(self, call: Call) -> Finding:
        found = await self._findings.one(call.path["finding"])
        if found is None:
            raise MintwardenError(ErrorKind.NOT_FOUND, "there is no such finding")
        return found


def _tag(finding: Finding) -> str:
    return f"finding-{finding.state.version}"


def _told(finding: Finding, now: int) -> FindingTold:
    return FindingTold(
        id=finding.id,
        kind=finding.kind,
        about=finding.about,
        message=finding.message,
        severity=finding.severity,
        remedy=finding.remedy,
        state=finding.state.state,
        ticket=finding.state.ticket,
        until=told(finding.state.until),
        open=finding.is_open(now),
    )


LIST = Operation(
    id="findings.list",
    method="GET",
    path="/findings",
    summary="List what reviews turned up",
    scopes=(READ,),
    of=Findings,
    handler=Findings.list_findings,
    query=FindingQuery,
    answer=FindingPage,
)
SHOW = Operation(
    id="findings.show",
    method="GET",
    path="/findings/{finding}",
    summary="Show a finding",
    scopes=(READ,),
    of=Findings,
    handler=Findings.show,
    parameters={"finding": FindingId},
    answer=FindingTold,
    tagged=True,
    target="finding",
)
SAY = Operation(
    id="findings.say",
    method="PUT",
    path="/findings/{finding}/state",
    summary="Say what is done about a finding",
    scopes=(WRITE,),
    of=Findings,
    handler=Findings.say,
    parameters={"finding": FindingId},
    body=Said,
    answer=FindingTold,
    tagged=True,
    conditional=True,
    target="finding",
)
CLOSE = Operation(
    id="findings.close",
    method="POST",
    path="/findings/{finding}/closure",
    summary="Close a finding that stays until a person has looked at it",
    scopes=(WRITE,),
    of=Findings,
    handler=Findings.close,
    parameters={"finding": FindingId},
    body=Closing,
    answer=FindingTold,
    target="finding",
    problems=("conflict",),
)

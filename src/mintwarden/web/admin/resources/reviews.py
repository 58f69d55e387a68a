"""Reviews: what can be known about a policy before it bites. Each is asked for, done behind the requests, and read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal, Protocol

from msgspec import Meta, Struct
from msgspec.structs import replace

from mintwarden.model.caller import Evidence
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.review.jobs import Found, Job
from mintwarden.web.admin.access import ScopeLacking, demand
from mintwarden.web.admin.operation import Answer, Call, EntityKey, Name, Operation, Paged, Strict
from mintwarden.web.admin.paged import page_of
from mintwarden.web.admin.problem import AdminError
from mintwarden.web.admin.times import Time, shown, told

POLICY, PROPOSE = "mintwarden:policy.read", "mintwarden:policy.propose"
IMPACT, REACH = "mintwarden:impact.read", "mintwarden:reach.read"
PROPOSALS, EXCEPTIONS = "mintwarden:proposals.read", "mintwarden:exceptions.read"
DECISIONS, FACTS = "mintwarden:decisions.read", "mintwarden:facts.read"
ALL = (POLICY, PROPOSE, IMPACT, REACH, EXCEPTIONS)
"""Any of them lets a review be looked at; which one it needs, and what beside, the review says."""

AT_ONCE = 4
"""Reviews that somebody may have asked for and that have not ended."""
MOST_LINES = 1000
MOST_SUPPOSED = 1024 * 1024
RETRY = b"5"
"""Seconds after which somebody who has asked for too many may look again."""

Version = Annotated[
    str,
    Meta(
        max_length=100,
        pattern=r"^(active|sha256:[0-9a-f]{64})$",
        description="`active`, or a version's digest. What looks at people or decisions under a version that has never "
        "governed and is not approved needs the scope `mintwarden:proposals.read` beside.",
    ),
]
Principal = Annotated[str, Meta(max_length=600, pattern=r"^(User|Workload|Agent):[^\x00-\x1f\x7f]+$")]
Only = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
When = Annotated[
    str, Meta(max_length=40, pattern=r"^[0-9A-Za-z:+.-]*$", description="`30d`, `12h`, or a time; empty for none.")
]
Names = Annotated[tuple[Name, ...], Meta(max_length=100)]
Principals = Annotated[tuple[Principal, ...], Meta(max_length=100)]
Supposed = Annotated[
    dict[EntityKey, dict[Name, dict[str, Any]]],
    Meta(max_length=10_000, description="Facts to suppose, by entity and source, as a scenario's `facts`."),
]
ReviewId = Annotated[str, Meta(max_length=100, pattern=r"^[0-9A-Za-z-]+$")]
Percent = Annotated[int, Meta(ge=0, le=100)]


class Asked(Strict, frozen=True, kw_only=True):
    """What is asked for. Names of versions are resolved when it is asked for, so that it stays about the same one.

    `of_facts`: the version's rules are applied to what people are. Then a version that nobody but its author stands
    behind needs `mintwarden:proposals.read` beside.
    """

    kind: ClassVar[str] = ""
    of_facts: ClassVar[bool] = False
    opened_by: ClassVar[str] = POLICY
    versioned: ClassVar[tuple[str, ...]] = ("version",)
    personal: ClassVar[bool] = False

    def needs(self) -> tuple[str, ...]:
        """Every scope that whoever asks, and whoever looks, must have."""
        return (self.opened_by,)


class LintAsked(Asked, frozen=True, kw_only=True):
    """`policy lint`. `exceptions`: also look at those in force; needs `mintwarden:exceptions.read` beside."""

    kind = "lint"
    version: Version = "active"
    exceptions: bool = False

    def needs(self) -> tuple[str, ...]:
        """See `Asked.needs`."""
        return (POLICY, EXCEPTIONS) if self.exceptions else (POLICY,)


class TestAsked(Asked, frozen=True, kw_only=True):
    """`policy test`, with coverage; `mutants` changes each rule in one place and sees who notices."""

    kind = "test"
    version: Version = "active"
    mutants: bool = False
    at_least: Percent = 0


class ProofAsked(Asked, frozen=True, kw_only=True):
    """`policy prove`."""

    kind = "prove"
    version: Version = "active"


class DiffAsked(Asked, frozen=True, kw_only=True):
    """`policy diff`: what `version` changes about `base`."""

    kind = "diff"
    versioned = ("base", "version")
    version: Version
    base: Version = "active"


class ImpactAsked(Asked, frozen=True, kw_only=True):
    """`policy impact`. To name people or show values needs `mintwarden:decisions.read` beside."""

    kind = "impact"
    opened_by = IMPACT
    personal = of_facts = True
    version: Version = "active"
    since: When = ""
    until: When = ""
    clients: Names = ()
    audiences: Names = ()
    scopes: Names = ()
    limit: Annotated[int, Meta(ge=0, le=2**53)] = 0
    without_groups: Names = ()
    sources_down: Names = ()
    fail_on: Annotated[tuple[Name, ...], Meta(max_length=20)] = ()
    show_subjects: bool = False
    show_values: bool = False

    def needs(self) -> tuple[str, ...]:
        """See `Asked.needs`."""
        return (IMPACT, DECISIONS) if self.show_subjects or self.show_values else (IMPACT,)


class _Reach(Asked, frozen=True, kw_only=True):
    """What questions about reach have in common. To show facts needs `mintwarden:facts.read` beside."""

    opened_by = REACH
    personal = of_facts = True
    version: Version = "active"
    at: Time | None = None
    suppose: Supposed | None = None
    facts: bool = False

    def needs(self) -> tuple[str, ...]:
        """See `Asked.needs`."""
        return (REACH, FACTS) if self.facts else (REACH,)


class _Circumstances(_Reach, frozen=True, kw_only=True):
    """What is held fixed; everything that is left out is tried in every way that the rules can tell apart."""

    client: Only = ""
    environment: Only = ""
    purpose: Only = ""
    acr: Only = ""
    tenant: Only = ""
    session: Only = ""
    device: Only = ""
    address: Only = ""


class WhoCanAsked(_Circumstances, frozen=True, kw_only=True):
    """`policy who-can`, a page of it: `after` is where to go on, as the last line of the page before says."""

    kind = "who-can"
    scope: Name
    act: bool = False
    subjects: Principals = ()
    actor: Principal | None = None
    amr: Annotated[tuple[Name, ...], Meta(max_length=20)] = ()
    workspace: Only = ""
    project: Only = ""
    hops: Annotated[int, Meta(ge=0, le=4)] = 1
    each_client: bool = False
    limit: Annotated[int, Meta(ge=1, le=MOST_LINES)] = 200
    after: Annotated[str, Meta(max_length=600, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""


class WhatCanAsked(_Circumstances, frozen=True, kw_only=True):
    """`policy what-can`."""

    kind = "what-can"
    principal: Principal
    audiences: Names = ()
    subjects: Principals = ()


class GroupsAsked(_Reach, frozen=True, kw_only=True):
    """`policy groups`."""

    kind = "groups"
    tried: Annotated[int, Meta(ge=0, le=10_000)] = 20
    unused: bool = False


class ReadinessAsked(Asked, frozen=True, kw_only=True):
    """`review readiness`. To name people needs `mintwarden:decisions.read` beside."""

    kind = "readiness"
    opened_by = IMPACT
    personal = of_facts = True
    version: Version = "active"
    audience: Name
    since: When = ""
    show_subjects: bool = False

    def needs(self) -> tuple[str, ...]:
        """See `Asked.needs`."""
        return (IMPACT, DECISIONS) if self.show_subjects else (IMPACT,)


class PromotionAsked(Asked, frozen=True, kw_only=True):
    """`policy promote`: the step is handed in as a version, for its author and approvers to sign."""

    kind = "promote"
    opened_by = PROPOSE
    of_facts = True
    version: Version = "active"
    audience: Name
    to: Literal["canary", "enforce"] | None = None
    despite: Annotated[str, Meta(max_length=1000)] = ""


class DebtAsked(Asked, frozen=True, kw_only=True):
    """`exception report`."""

    kind = "exception-report"
    opened_by = EXCEPTIONS
    versioned = ()
    personal = True


class ReviewTold(Struct, frozen=True, kw_only=True):
    """A review: where it stands, and at its end what came of it.

    `ok` is what the command's exit code says, null where it says nothing. `done` and `of` tell how far it is; `of` is 0
    where nobody knows how far that goes. `result` is what the command prints with `--json`; `renderings` are other
    forms of it by name: `sarif`, `junit`, `markdown`, `svg`. Both are null where there is nothing (any more).
    """

    id: str
    kind: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    asked_by: str
    versions: tuple[str, ...]
    asked_at: Time
    began_at: Time | None
    ended_at: Time | None
    forgotten_at: Time
    done: int
    of: int
    ok: bool | None
    failure: str
    hint: str
    result: Any = None
    renderings: Any = None


class ReviewPage(Struct, frozen=True, kw_only=True):
    """Some of what one asked for, oldest first, without what came of it.

    `cursor` is where to go on, empty at the end.
    """

    reviews: tuple[ReviewTold, ...]
    cursor: str


class Bench(Protocol):
    """Where reviews are done."""

    async def ask(
        self, asked: Asked, versions: Sequence[str], needs: Sequence[str], who: Evidence, now: int
    ) -> Job | None:
        """Begin one, which whoever looks at it `needs` those scopes for; None where `AT_ONCE` of theirs are open.

        Raises `OVERLOADED` when too many wait.
        """
        ...

    async def find(self, name: str, now: int) -> Job | None:
        """One by its id."""
        ...

    async def of(self, by: str, now: int) -> Sequence[Job]:
        """Those of somebody."""
        ...

    async def found(self, job: Job, now: int) -> Found | None:
        """What came of one."""
        ...

    async def end(self, job: Job, now: int) -> Job:
        """End one that is open, forget one that has ended; how it is then."""
        ...


class Reviews:
    """Asking, looking, ending.

    `known` gives the digest that a version's name means, and raises `NOT_FOUND`; `vouched` says whether others than
    its author stand behind a version, by its name, too.
    """

    def __init__(
        self,
        *,
        bench: Bench,
        known: Callable[[str], Awaitable[str]],
        vouched: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._bench = bench
        self._known = known
        self._vouched = vouched

    async def guard(self, who: Evidence, asked: Asked) -> None:
        """Raise `ScopeLacking` for what the token lacks for it."""
        _demand(who, await self._needs(asked))

    async def ask(self, call: Call) -> Answer:
        """Begin a review."""
        asked: Asked = call.body
        digests = {name: await self._known(getattr(asked, name)) for name in asked.versioned}
        asked = replace(asked, **digests)
        needs = await self._needs(asked)
        _demand(call.who, needs)
        job = await self._bench.ask(asked, tuple(digests.values()), needs, call.who, call.now)
        if job is None:
            what = f"{AT_ONCE} reviews that you asked for have not ended"
            raise AdminError("too_many_requests", what, (b"retry-after", RETRY), hint="wait for one, or end one")
        return Answer(content=_told(job), location=f"/reviews/{job.id}")

    async def list_reviews(self, call: Call) -> Answer:
        """Those that the caller asked for, as far as their token may look at them."""
        mine = await self._bench.of(entity_key(call.who.principal), call.now)
        seen = (job for job in mine if _may(call.who, job))
        listed, cursor = page_of(call, seen, lambda job: f"{job.asked_at:015} {job.id}")
        return Answer(content=ReviewPage(reviews=tuple(_told(job) for job in listed), cursor=cursor))

    async def show(self, call: Call) -> Answer:
        """One, with what came of it."""
        job = await self._one(call)
        found = await self._bench.found(job, call.now) if job.state == "done" else None
        return Answer(content=_told(job, found))

    async def end(self, call: Call) -> Answer:
        """End it; who did not ask for it finds nothing to end."""
        job = await self._one(call)
        if (job.by, job.client) != (entity_key(call.who.principal), call.who.client_id):
            raise MintwardenError(ErrorKind.NOT_FOUND, "you asked for no such review")
        return Answer(content=_told(await self._bench.end(job, call.now)))

    async def _needs(self, asked: Asked) -> tuple[str, ...]:
        # INVARIANT: whoever writes rules learns nothing of people by them that nobody else has looked at: a rule that
        # tests a fact tells by its answer of whom it holds.
        needs = asked.needs()
        if asked.of_facts and not all([await self._vouched(getattr(asked, name)) for name in asked.versioned]):
            return (*needs, PROPOSALS)
        return needs

    async def _one(self, call: Call) -> Job:
        job = await self._bench.find(call.path["review"], call.now)
        if job is None:
            raise MintwardenError(ErrorKind.NOT_FOUND, "there is no such review")
        _demand(call.who, job.needs)
        return job


def _demand(who: Evidence, needs: Sequence[str]) -> None:
    for scope in needs:
        demand(who, scope)


def _may(who: Evidence, job: Job) -> bool:
    try:
        _demand(who, job.needs)
    except ScopeLacking:
        return False
    return True


def _told(job: Job, found: Found | None = None) -> ReviewTold:
    return ReviewTold(
        id=job.id,
        kind=job.kind,
        state=job.state,
        asked_by=job.by,
        versions=job.versions,
        asked_at=shown(job.asked_at),
        began_at=told(job.began_at or None),
        ended_at=told(job.ended_at or None),
        forgotten_at=shown(job.ends),
        done=job.done,
        of=job.of,
        ok=job.ok,
        failure=job.failure,
        hint=job.hint,
        result=None if found is None else found.result,
        renderings=None if found is None else found.renderings,
    )


def _asking(body: type[Asked], summary: str, *, target: str = "version", **more: Any) -> Operation:
    # INVARIANT: the ledger says which version it is about: whoever writes rules could learn from it what people are.
    return Operation(
        id=f"reviews.{body.kind.replace('-', '_')}",
        method="POST",
        path=f"/reviews/{body.kind}",
        summary=summary,
        scopes=(body.opened_by,),
        of=Reviews,
        handler=Reviews.ask,
        body=body,
        answer=ReviewTold,
        status=202,
        located=True,
        guard=Reviews.guard,
        problems=("not_found",),
        target=target if target in body.__struct_fields__ else "",
        **more,
    )


ASKED: tuple[type[Asked], ...] = (
    LintAsked, TestAsked, ProofAsked, DiffAsked, ImpactAsked, WhoCanAsked, WhatCanAsked, GroupsAsked, ReadinessAsked,
    PromotionAsked, DebtAsked,
)  # fmt: skip
"""Everything that can be asked for."""

_ONE: dict[str, Any] = {"of": Reviews, "parameters": {"review": ReviewId}, "target": "review", "scopes": ALL}

LINT = _asking(LintAsked, "Find what is well formed in a version and probably not meant")
TEST = _asking(TestAsked, "Run a version's scenarios, and see what they would notice")
PROVE = _asking(ProofAsked, "Prove a version's assertions over all inputs")
DIFF = _asking(DiffAsked, "Compare two versions, as they are written and as they decide")
IMPACT_OF = _asking(ImpactAsked, "Replay the recorded decisions under a version, or with other facts supposed")
WHO_CAN = _asking(WhoCanAsked, "Tell who gets a scope, a page at a time", most=MOST_SUPPOSED)
WHAT_CAN = _asking(WhatCanAsked, "Tell what somebody gets", person="principal", most=MOST_SUPPOSED)
GROUPS = _asking(GroupsAsked, "Tell which groups carry which scopes, and which carry none", most=MOST_SUPPOSED)
READINESS = _asking(ReadinessAsked, "Tell whether an audience that observes may be enforced", target="audience")
PROMOTION = _asking(PromotionAsked, "Hand in an audience's next step towards enforcing", target="audience")
DEBT = _asking(DebtAsked, "Report exceptions as debt")
LIST = Operation(
    id="reviews.list",
    method="GET",
    path="/reviews",
    summary="List the reviews that one has asked for",
    scopes=ALL,
    of=Reviews,
    handler=Reviews.list_reviews,
    query=Paged,
    answer=ReviewPage,
)
SHOW = Operation(
    id="reviews.show",
    method="GET",
    path="/reviews/{review}",
    summary="Show a review, and what came of it",
    handler=Reviews.show,
    answer=ReviewTold,
    **_ONE,
)
END = Operation(
    id="reviews.end",
    method="DELETE",
    path="/reviews/{review}",
    summary="End a review that one has asked for, or forget it",
    handler=Reviews.end,
    answer=ReviewTold,
    **_ONE,
)
OPERATIONS = (
    LINT, TEST, PROVE, DIFF, IMPACT_OF, WHO_CAN, WHAT_CAN, GROUPS, READINESS, PROMOTION, DEBT, LIST, SHOW, END,
)  # fmt: skip
"""In reading order."""

"""Bundle versions: handed in, signed, judged, activated; and which ones have governed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from mintwarden.govern.ports import Activation, VersionName, VersionStore
from mintwarden.govern.standing import Standing
from mintwarden.govern.versions import Refused, Versions
from mintwarden.model.caller import Evidence
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.approve.refusal import SignatureRefused
from mintwarden.policy.approve.signed import Signed, read_signed
from mintwarden.policy.bundle.problem import BundleRefused
from mintwarden.web.admin.operation import Answer, Call, Operation, Paged, Strict
from mintwarden.web.admin.problem import AdminError
from mintwarden.web.admin.times import Time, shown, told

READ, PROPOSE = "mintwarden:policy.read", "mintwarden:policy.propose"
APPROVE, ACTIVATE = "mintwarden:policy.approve", "mintwarden:policy.activate"
MAX_VERSION = 4 * 1024 * 1024
SHOWN = 20

Digest = Annotated[str, Meta(max_length=100, pattern=r"^sha256:[0-9a-f]{64}$")]
Signature = Annotated[str, Meta(min_length=1, max_length=32768)]


class VersionTold(Struct, frozen=True, kw_only=True):
    """A version in the store."""

    digest: str
    added_at: Time
    active: bool


class VersionPage(Struct, frozen=True, kw_only=True):
    """Some versions, newest first; `cursor` is where to go on, empty at the end."""

    versions: tuple[VersionTold, ...]
    cursor: str


class VersionSubmitted(Strict, frozen=True, kw_only=True):
    """Every file of the bundle by its path, and signatures of it."""

    files: Annotated[dict[str, str], Meta(min_length=1, max_length=5000)]
    signatures: Annotated[tuple[Signature, ...], Meta(max_length=64)] = ()


class SignaturesSubmitted(Strict, frozen=True, kw_only=True):
    """Signed statements about the version. They count by who signed them, not by who sends them."""

    signatures: Annotated[tuple[Signature, ...], Meta(min_length=1, max_length=64)]


class VersionKept(Struct, frozen=True, kw_only=True):
    """The version, and how many of the signatures are new."""

    digest: str
    signatures_added: int


class ActQuery(Strict, frozen=True, kw_only=True):
    """What the approvers are asked for."""

    act: Literal["approve", "break_glass", "rollback"] = "approve"


class RiskReason(Struct, frozen=True, kw_only=True):
    """Why a change is of higher risk."""

    about: str
    name: str
    what: str


class SignatureTold(Struct, frozen=True, kw_only=True):
    """A signature that does not count, and why."""

    name: str
    why: str
    detail: str


class StandingTold(Struct, frozen=True, kw_only=True):
    """Where a version stands: its quorum, who has signed, who could still. `lacking` is what is missing."""

    digest: str
    name: str
    owner: str
    act: str
    base: str
    after: int
    quorum: str
    required: int
    risk: str
    reasons: tuple[RiskReason, ...]
    author: str
    approved_by: tuple[str, ...]
    missing: tuple[str, ...]
    refused: tuple[SignatureTold, ...]
    lacking: str


class ActivationTold(Struct, frozen=True, kw_only=True):
    """That a version began to govern. `entry` is the ledger's."""

    number: int
    digest: str
    previous: str
    kind: str
    at: Time
    until: Time | None
    returns_to: str
    reason: str
    by: str


class ActivationPage(Struct, frozen=True, kw_only=True):
    """Some activations, newest first; `cursor` is where to go on, empty at the end."""

    activations: tuple[ActivationTold, ...]
    cursor: str


class ActivationAsked(Strict, frozen=True, kw_only=True):
    """Which version is to govern, and how: by its quorum, back to an earlier one, or in an emergency for a while.

    `digest` may be left out when going back. `reason` is for going back and for emergencies, `seconds` for the latter.
    """

    kind: Literal["activate", "rollback", "break_glass"] = "activate"
    digest: Digest | None = None
    reason: Annotated[str, Meta(max_length=2000)] = ""
    seconds: Annotated[int, Meta(ge=0, le=86400)] = 0
    hand_over: bool = False


class VersionDesk:
    """Everything about versions."""

    def __init__(self, *, acts: Versions, store: VersionStore) -> None:
        self._acts = acts
        self._store = store

    async def list_versions(self, call: Call) -> Answer:
        """Versions, newest first."""
        query = call.query
        beyond = VersionName(*call.cursors.position(query.cursor)) if query.cursor else None
        active = await self._store.active()
        found = await self._store.versions(query.limit + 1, beyond)
        listed = found[: query.limit]
        return Answer(
            content=VersionPage(
                versions=tuple(
                    VersionTold(
                        digest=one.digest,
                        added_at=shown(one.added_at),
                        active=active is not None and active.digest == one.digest,
                    )
                    for one in listed
                ),
                cursor=call.cursors.make(_place(listed[-1])) if len(found) > len(listed) else "",
            )
        )

    async def submit(self, call: Call) -> Answer:
        """Keep a version."""
        signatures = _signatures(call.body.signatures)
        try:
            kept = await self._acts.submit(call.body.files, signatures, now=call.now)
        except BundleRefused as refused:
            raise _bundle(refused) from None
        return Answer(content=VersionKept(digest=kept.bundle.digest, signatures_added=kept.added))

    async def sign(self, call: Call) -> Answer:
        """Keep signatures of a version."""
        signatures = _signatures(call.body.signatures)
        digest = call.path["version"]
        if any(one.statement.digest != digest for one in signatures):
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "a signature is about another version")
        kept = await self._acts.submit(await self._acts.texts(digest), signatures, now=call.now)
        return Answer(content=VersionKept(digest=digest, signatures_added=kept.added))

    async def standing(self, call: Call) -> Answer:
        """Where a version stands."""
        return Answer(content=_told(await self._acts.standing(call.path["version"], call.query.act, now=call.now)))

    async def history(self, call: Call) -> Answer:
        """What has governed, newest first."""
        query = call.query
        below = call.cursors.position(query.cursor) if query.cursor else None
        found = await self._store.activations(query.limit + 1, below)
        listed = found[: query.limit]
        return Answer(
            content=ActivationPage(
                activations=tuple(_activation(one) for one in listed),
                cursor=call.cursors.make(listed[-1].number) if len(found) > len(listed) else "",
            )
        )

    async def activate(self, call: Call) -> Answer:
        """Let a version govern."""
        said: ActivationAsked = call.body
        by, digest = person(call.who), said.digest or ""
        if not digest and said.kind != "rollback":
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "`digest` is missing")
        try:
            if said.kind == "activate":
                done = await self._acts.activate(digest, by=by, now=call.now, hand_over=said.hand_over)
            elif said.kind == "rollback":
                done = await self._acts.rollback(digest, by=by, reason=said.reason, now=call.now)
            else:
                done = await self._acts.break_glass(
                    digest, by=by, reason=said.reason, seconds=said.seconds, now=call.now
                )
        except Refused as refused:
            raise AdminError("conflict", refused.public, hint=refused.hint) from None
        return Answer(content=_activation(done))


def person(who: Evidence) -> str:
    """The name of whoever does it; raises for a program: the ledger names a person who let a version govern."""
    if who.principal.type != "User":
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST, "a person does this", hint="use a token whose subject is a person"
        )
    return who.principal.id


def _place(version: VersionName) -> tuple[str, int]:
    return version.digest, version.added_at


def _signatures(texts: tuple[str, ...]) -> list[Signed]:
    try:
        return [read_signed(text) for text in texts]
    except SignatureRefused as refused:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, f"a signature cannot be read: {refused.detail}") from None


def _bundle(refused: BundleRefused) -> MintwardenError:
    told = "; ".join(str(problem) for problem in refused.problems[:SHOWN])
    return MintwardenError(ErrorKind.INVALID_REQUEST, f"the bundle is refused: {told}", hint=refused.hint)


def _activation(one: Activation) -> ActivationTold:
    return ActivationTold(
        number=one.number,
        digest=one.digest,
        previous=one.previous,
        kind=one.kind,
        at=shown(one.at),
        until=told(one.until),
        returns_to=one.returns_to,
        reason=one.reason,
        by=one.by,
    )


def _told(standing: Standing) -> StandingTold:
    count = standing.count
    return StandingTold(
        digest=standing.digest,
        name=standing.name,
        owner=standing.owner,
        act=standing.act,
        base=standing.base,
        after=standing.after,
        quorum=standing.quorum,
        required=standing.required,
        risk=standing.risk.level,
        reasons=tuple(RiskReason(about=r.about, name=r.name, what=r.what) for r in standing.risk.reasons),
        author=count.author,
        approved_by=count.counted,
        missing=count.missing,
        refused=tuple(SignatureTold(name=r.name, why=r.why, detail=r.detail) for r in count.refused),
        lacking=standing.lacking,
    )


_ONE: dict[str, Any] = {"of": VersionDesk, "parameters": {"version": Digest}, "target": "version"}

LIST = Operation(
    id="versions.list",
    method="GET",
    path="/versions",
    summary="List bundle versions, those added last first",
    scopes=(READ,),
    of=VersionDesk,
    handler=VersionDesk.list_versions,
    query=Paged,
    answer=VersionPage,
)
SUBMIT = Operation(
    id="versions.submit",
    method="POST",
    path="/versions",
    summary="Hand in a bundle version, with signatures of it",
    scopes=(PROPOSE,),
    of=VersionDesk,
    handler=VersionDesk.submit,
    body=VersionSubmitted,
    answer=VersionKept,
    status=201,
    most=MAX_VERSION,
    slow=True,
    problems=("conflict",),
)
STANDING = Operation(
    id="versions.standing",
    method="GET",
    path="/versions/{version}",
    summary="Show where a version stands: its quorum, and who has signed",
    scopes=(READ,),
    handler=VersionDesk.standing,
    query=ActQuery,
    answer=StandingTold,
    slow=True,
    **_ONE,
)
SIGN = Operation(
    id="versions.sign",
    method="POST",
    path="/versions/{version}/signatures",
    summary="Hand in signatures of a version",
    scopes=(APPROVE, PROPOSE),
    handler=VersionDesk.sign,
    body=SignaturesSubmitted,
    answer=VersionKept,
    most=MAX_VERSION,
    slow=True,
    problems=("conflict",),
    **_ONE,
)
HISTORY = Operation(
    id="activations.list",
    method="GET",
    path="/activations",
    summary="List which versions have governed",
    scopes=(READ,),
    of=VersionDesk,
    handler=VersionDesk.history,
    query=Paged,
    answer=ActivationPage,
)
ACTIVATION = Operation(
    id="activations.activate",
    method="POST",
    path="/activations",
    summary="Let a version govern, go back to one, or break the glass",
    scopes=(ACTIVATE,),
    of=VersionDesk,
    handler=VersionDesk.activate,
    body=ActivationAsked,
    answer=ActivationTold,
    status=201,
    slow=True,
    problems=("conflict", "not_found"),
)

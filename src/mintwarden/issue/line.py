"""The parts of the straight line, put together once by the program and handed to every walk along it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec import Struct

from mintwarden.context.assemble import Assembled
from mintwarden.context.project import Projection
from mintwarden.issue.holder import audiences_wanting
from mintwarden.issue.judge import Judge
from mintwarden.issue.memory import Memory
from mintwarden.mint.ports import Signer
from mintwarden.model.asked import Asked
from mintwarden.model.caller import Caller, OnceKey
from mintwarden.model.catalogue import Audience
from mintwarden.model.clock import Clock
from mintwarden.model.decision import Decision
from mintwarden.model.facts import Facts
from mintwarden.model.request import TokenRequest
from mintwarden.model.token import PreparedToken, Receipt, SignedToken
from mintwarden.policy.bundle.model import Bundle

_PROJECTIONS = 1_000


class SubjectSalt(Protocol):
    """A subject's stored sealing key."""

    @property
    def id(self) -> int: ...

    @property
    def salt(self) -> bytes: ...


class Record(Protocol):
    """Step 7."""

    def __call__(
        self,
        *,
        decision_id: bytes,
        decision: Decision,
        asked: Asked,
        facts: Facts,
        prepared: PreparedToken | None,
        id_token: PreparedToken | None,
        once: tuple[OnceKey, ...],
        key: SubjectSalt | None,
    ) -> Awaitable[Receipt]: ...


class Sign(Protocol):
    """Step 8; the last two for a token that names those beside it."""

    async def __call__(
        self,
        prepared: PreparedToken,
        receipt: Receipt,
        signer: Signer,
        beside: SignedToken | None = None,
        refresh_token: str = "",
        /,
    ) -> SignedToken: ...


class Regime:
    """Everything that one bundle version governs: a walk along the line takes one, and keeps it to the end."""

    def __init__(
        self,
        bundle: Bundle,
        *,
        judge: Judge,
        authenticate: Callable[[TokenRequest, int], Awaitable[Caller]],
        assemble: Callable[[Asked, Caller | None, int], Awaitable[Assembled]],
    ) -> None:
        self.catalogue = bundle.catalogue
        self.judge = judge
        self.authenticate = authenticate
        self.assemble = assemble
        self.wanting_certificates = audiences_wanting(bundle)
        self._plans = bundle.plans
        self._projections: dict[frozenset[str], Projection] = {}

    def kept(self, asked: Asked, facts: Facts) -> Facts:
        """What the ledger keeps of `facts`: the paths that this decision's slices and claims can read."""
        audience = self.catalogue.audiences[asked.audience]
        actor_types = tuple([actor.uid.type for actor in facts.actors])
        names = asked.scopes if not asked.details else (*asked.scopes, *(detail.type for detail in asked.details))
        reads = self._plans.reads(audience, names, asked.subject.type, actor_types)
        if asked.identity and self.catalogue.identity:
            beside = self.catalogue.audiences[self.catalogue.identity]
            reads |= self._plans.reads(beside, asked.identity, asked.subject.type, actor_types)
        projection = self._projections.get(reads)
        if projection is None:
            if len(self._projections) >= _PROJECTIONS:
                self._projections.clear()
            projection = self._projections[reads] = Projection(reads)
        return projection.apply(facts)


async def unlisted(asked: Asked, _audience: Audience, _signer: Signer) -> Asked:
    """Where there are no status lists."""
    return asked


class Line(Struct, frozen=True, kw_only=True):
    """The steps as callables, so that what watches them (spans, timings) can stand around each one.

    Attributes:
        issuer: our issuer identifier.
        regime: the regime in force now.
        refresh: reads credentials and keys again after the store's epoch moved.
        entropy: n random bytes.
        memory: what grants remember between requests.
        placed: gives the token that a signer signs its place in a status list, where its audience has them.
    """

    issuer: str
    clock: Clock
    entropy: Callable[[int], bytes]
    memory: Memory
    regime: Callable[[], Regime]
    refresh: Callable[[int], Awaitable[None]]
    signer: Callable[[Audience], Signer]
    record: Record
    sign: Sign
    placed: Callable[[Asked, Audience, Signer], Awaitable[Asked]] = unlisted

"""What governs now: one object per activation of a bundle version, swapped as a whole.

INVARIANT: each decision is made under exactly one version, the one in force when its facts were read. An activation
raises the store's epoch in its own transaction. A government's client secrets are only ever read from a state in which
its own activation was the last (`authn.registry`), and a walk whose facts are of another epoch than its caller begins
again. So a walk under a version that was replaced before its facts were read never reaches a decision.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from mintwarden.app.foundation import Foundation
from mintwarden.authn.authenticate import Authenticator
from mintwarden.authn.registry import ActivationMoved
from mintwarden.govern.content import built
from mintwarden.govern.earned import refuse_unearned
from mintwarden.govern.ports import Activation, VersionStore
from mintwarden.issue.desk import Desk
from mintwarden.issue.line import Regime
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.plan import ACT, ISSUE
from mintwarden.web.admin.access import Access
from mintwarden.web.registration import Registrar
from mintwarden.web.reply import Handler
from mintwarden.web.scim import Feeding
from mintwarden.web.sign_in import SignIns

if TYPE_CHECKING:
    from mintwarden.app.excepting import Excepted

KEPT = 6
"""Bundles that stay compiled: the one in force, the one before it, and what may come next."""
PRELOADED = 2
SLACK = 60_000
"""Milliseconds by which the clocks of nodes may differ."""
GRACE = 30.0
"""Seconds after which nothing works under a replaced version any more; longer than any request may take."""
LOOKED_AT = 64
"""Entries of the ledger that are looked at for their time."""
_ATTEMPTS = 5


class Government(Struct, frozen=True, kw_only=True):
    """Everything that one activation of a version governs.

    Attributes:
        number: of the activation; 0 for a development server's folder.
        base: the deployment, with the version's bundle and the keeper of the keys that it needs.
        regime: what a walk along the line takes, and keeps to its end.
        admin: the administration endpoints under it.
        point: who may ask the decision point under it.
        receivers: who may have a stream of security events under it.
        metadata: discovery documents, ready to send, by name.
        sources: its external sources.
        desk: where clients come about tokens that exist already.
        excepted: the exceptions as they count under it.
        registrar: clients that register themselves; None where none may.
        sign_ins: how people sign in under it.
        scim: identity providers that feed a source of it; None where none may.
    """

    number: int
    base: Foundation
    authenticator: Authenticator
    regime: Regime
    admin: Handler
    point: Access
    receivers: Access
    metadata: Mapping[str, bytes]
    sources: contextlib.AsyncExitStack
    desk: Desk
    excepted: Excepted
    registrar: Registrar | None = None
    sign_ins: SignIns
    scim: Feeding | None = None

    @property
    def bundle(self) -> Bundle:
        """The version's bundle."""
        return self.base.bundle


class Library:
    """Bundle versions of the store, compiled: each once, in a thread, where possible before it is needed."""

    def __init__(self, versions: VersionStore) -> None:
        self._versions = versions
        self._kept: dict[str, Bundle] = {}
        self._broken: set[str] = set()
        self._compiling = asyncio.Lock()

    def put(self, bundle: Bundle) -> None:
        """Keep a bundle that is compiled already."""
        self._kept[bundle.digest] = bundle

    async def get(self, digest: str) -> Bundle:
        """The bundle; raises `STORE` when the store does not hold it as it was approved, `BundleRefused`."""
        found = self._kept.pop(digest, None)
        if found is None:
            async with self._compiling:
                found = self._kept.pop(digest, None) or await self._compile(digest)
        self._kept[digest] = found  # the newest last
        for old in list(self._kept)[:-KEPT]:
            del self._kept[old]
        return found

    async def preload(self, digests: tuple[str, ...]) -> None:
        """Compile what may be needed soon: the versions added last, and `digests`."""
        newest = [name.digest for name in await self._versions.versions(PRELOADED)]
        for digest in (*newest, *digests):
            if digest not in self._kept and digest not in self._broken:
                try:
                    await self.get(digest)
                except MintwardenError as error:
                    if error.kind is not ErrorKind.UNAVAILABLE:
                        self._broken.add(digest)  # told once: it may never govern, and is looked at again if it does
                    raise

    async def _compile(self, digest: str) -> Bundle:
        stored = await self._versions.version(digest)
        if stored is None:
            raise MintwardenError(
                ErrorKind.STORE, f"the bundle version `{digest}` is not in the store", hint="restore the store"
            )
        return await asyncio.to_thread(lambda: warmed(built(stored)))


def warmed(bundle: Bundle) -> Bundle:
    """The bundle with everything compiled that its first decisions would compile."""
    for name in (*bundle.catalogue.scopes, *bundle.catalogue.details):
        plan = bundle.plans.scope(name)
        for action in (ISSUE, ACT):
            plan.slice(action).compile()
    return bundle


Make = Callable[[Foundation, Bundle, int], Awaitable[Government]]


class _Glass(Struct, frozen=True):
    """A break-glass version in force, and what governs once its time is over."""

    at: int
    until: int
    deadline: float
    after: Government


class Governing:
    """The government in force on this node.

    INVARIANT: a break-glass version ends on this node at its `until`, whether or not its end is recorded, whatever a
    clock does: it also ends when the monotonic clock has passed as many seconds as were left, when the clock shows a
    time before it began, and once ended it does not come back.

    `swapped` hears of each version that begins to govern here, with the activation where it is an emergency's.

    Attributes:
        emergency: the last activation if it is break-glass, over or not, until its end is recorded.
        trouble: what keeps the version in force from governing here.
    """

    def __init__(
        self,
        base: Foundation,
        *,
        library: Library,
        make: Make,
        monotonic: Callable[[], float],
        swapped: Callable[[Government, Activation | None], None] = lambda _new, _emergency: None,
    ) -> None:
        self._base = base
        self._library = library
        self._make = make
        self._monotonic = monotonic
        self._swapped = swapped
        self._current: Government | None = None
        self._glass: _Glass | None = None
        self._last: Activation | None = None
        self._retired: list[tuple[float, Government]] = []
        self.emergency: Activation | None = None
        self.trouble: MintwardenError | None = None

    @property
    def current(self) -> Government:
        """What governs now."""
        if self._glass is not None and self._is_over(self._glass):
            self._end(self._glass)
        if self._current is None:
            raise MintwardenError(ErrorKind.UNAVAILABLE, "nothing governs yet")
        return self._current

    def regime(self) -> Regime:
        """What a walk that begins now is under."""
        if self._glass is None and self._current is not None:
            return self._current.regime
        return self.current.regime

    @property
    def epoch(self) -> int:
        """The epoch that the present version and its client secrets are of."""
        return self.current.authenticator.epoch

    async def refresh(self) -> None:
        """Be as new as the store is now. Raises what keeps the version in force from governing here.

        Nothing is decided then: a version that was replaced never stands in for one that cannot be used.
        """
        try:
            await self._refresh()
        except MintwardenError as error:
            self.trouble = error
            raise
        self.trouble = None

    async def _refresh(self) -> None:
        for _ in range(_ATTEMPTS):
            try:
                if self._current is None:
                    await self._turn()
                else:
                    await self._current.authenticator.refresh()
                    if self._glass is not None:
                        await self._glass.after.authenticator.refresh()
            except ActivationMoved:
                with contextlib.suppress(ActivationMoved):
                    await self._turn()
            else:
                return
        raise MintwardenError(ErrorKind.UNAVAILABLE, "the governing version keeps changing", hint="try again")

    async def preload(self) -> None:
        """Compile the versions that may govern soon."""
        current = self._current
        also = () if current is None or not current.number else (current.bundle.digest,)
        await self._library.preload(also)

    async def let_go(self, *, everything: bool = False) -> None:
        """Close what belonged to versions that nothing works under any more."""
        now = self._monotonic()
        over = [old for at, old in self._retired if everything or now - at >= GRACE]
        self._retired = [(at, old) for at, old in self._retired if not (everything or now - at >= GRACE)]
        if everything:
            over += [last for last in (self._current, self._glass.after if self._glass else None) if last is not None]
        for old in over:
            await old.sources.aclose()

    async def _turn(self) -> None:
        """Make the government of the store's last activation, and swap it in."""
        active = await self._base.store.versions.active()
        self._refuse_set_back(active)
        if active is None:
            new, glass = await self._make(self._base, self._base.bundle, 0), None
        else:
            await refuse_unrecorded(self._base, active)
            await refuse_unearned(self._base.store.versions, self._library.get, active, trusted=self._last)
            new = await self._make(self._base, await self._library.get(active.digest), active.number)
            glass = await self._under_glass(active)
        await new.authenticator.refresh()
        if glass is not None:
            await glass.after.authenticator.refresh()
        self._retire()
        self._current, self._glass, self._last = new, glass, active
        self.emergency = active if glass is not None else None
        if not (glass is not None and self._is_over(glass)):
            self._swapped(new, self.emergency)

    def _refuse_set_back(self, active: Activation | None) -> None:
        """INVARIANT: what governed here is not undone by taking its activation out of the store."""
        known = self._current.number if self._current is not None else 0
        if (active.number if active is not None else 0) < known:
            raise MintwardenError(
                ErrorKind.STORE,
                f"activation {known} is gone from the store",
                hint="keep the store as it is, audit the ledger, and find out who wrote to it or what it lost",
            )

    async def _under_glass(self, active: Activation) -> _Glass | None:
        if active.kind != "break_glass" or active.until is None:
            return None
        after = await self._make(self._base, await self._library.get(active.returns_to), active.number)
        now = max(self._base.clock.now(), await newest_entry(self._base) - SLACK)
        left = (active.until - now) / 1000
        return _Glass(active.at, active.until, self._monotonic() + left, after)

    def _is_over(self, glass: _Glass) -> bool:
        now = self._base.clock.now()
        return now >= glass.until or now < glass.at - SLACK or self._monotonic() >= glass.deadline

    def _end(self, glass: _Glass) -> None:
        ended, self._current, self._glass = self._current, glass.after, None
        if ended is not None:
            self._retired.append((self._monotonic(), ended))
        self._swapped(glass.after, None)

    def _retire(self) -> None:
        for old in (self._current, self._glass.after if self._glass is not None else None):
            if old is not None:
                self._retired.append((self._monotonic(), old))


async def refuse_unrecorded(base: Foundation, active: Activation) -> None:
    """Return when the ledger has the activation; raise `STORE` when somebody put it into the store past the ledger."""
    stored = await base.store.entries.by_decision(active.entry_id)
    entry = msgspec.json.decode(stored.entry) if stored is not None else {}
    detail = entry.get("detail", {})
    said = (entry.get("kind"), detail.get("number"), detail.get("bundle"))
    if said != ("policy_activation", active.number, active.digest):
        raise MintwardenError(
            ErrorKind.STORE,
            f"activation {active.number} is not in the ledger as the store has it",
            hint="audit the ledger, and find out who wrote to the store",
        )


async def newest_entry(base: Foundation) -> int:
    """The latest time among the last ledger entries, 0 when there are none: a clock cannot well be before it.

    Of several: the ids of some entries follow from what they are about, and begin with an earlier time.
    """
    count = await base.store.entries.sequenced()
    last = await base.store.entries.by_index(max(0, count - LOOKED_AT), LOOKED_AT) if count else ()
    return max((int.from_bytes(entry.decision_id[:6], "big") for entry in last), default=0)

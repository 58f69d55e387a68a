"""Which bundle version governs: handed in, approved, activated, gone back from; and emergencies with an end.

INVARIANT: no version governs without the quorum of the one that governs before it; no activation takes effect before
the ledger has it. An activation is noted as an intent, recorded, then swapped in by compare-and-swap on the one before,
in one transaction with the epoch. A crash in between leaves an intent, or an intent and an entry, without effect:
`abandoned` lists them, and the next activation has another entry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from mintwarden.govern.checks import Failing, Prover, checked
from mintwarden.govern.content import built, content_of, texts_of
from mintwarden.govern.earned import kept_signatures
from mintwarden.govern.ports import (
    Activation,
    ActivationKind,
    Intent,
    OpenFinding,
    StoredSignature,
    StoredVersion,
    VersionStore,
)
from mintwarden.govern.standing import NotApproved, Standing, State, stand
from mintwarden.ledger.entry import GovernanceKind
from mintwarden.ledger.ports import SubjectKeys
from mintwarden.ledger.record import Recorder
from mintwarden.ledger.seal import SealKey
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.model.values import EntityUid
from mintwarden.policy.approve.count import Asked, count
from mintwarden.policy.approve.signed import Signed
from mintwarden.policy.approve.statement import Act
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.bundle.problem import BundleRefused
from mintwarden.policy.durations import written
from mintwarden.policy.mode_changes import ModeChange, mode_changes

MAX_SIGNATURES = 64
"""Signatures kept for one version."""
_LOOKED_AT = 1_000
KEPT = 8
"""Versions that stay built between two acts."""
_REASONS = 20

SELF = EntityUid("Workload", "mintwarden")


class Refused(MintwardenError):
    """A version does not pass its checks; `failing` says which."""

    def __init__(self, failing: Sequence[Failing]) -> None:
        more = f" (and {len(failing) - 1} more)" if len(failing) > 1 else ""
        super().__init__(
            ErrorKind.BUNDLE, f"the version must not govern: {failing[0]}{more}", hint="mend it and sign it anew"
        )
        self.failing = tuple(failing)


class Submitted(Struct, frozen=True, kw_only=True):
    """A version in the store, and how many of the signatures that came with it are new."""

    bundle: Bundle
    added: int


class Versions:
    """The acts. `now` is `Millis` everywhere; `by` is whoever does it, a user's name.

    `prover` tells which assertions a bundle violates, `fits` raises when this deployment cannot run under a bundle.
    """

    def __init__(
        self,
        *,
        store: VersionStore,
        recorder: Recorder,
        keys: SubjectKeys,
        new_id: Callable[[], bytes],
        issuer: str,
        prover: Prover,
        fits: Callable[[Bundle], None] = lambda _bundle: None,
    ) -> None:
        self._store = store
        self._recorder = recorder
        self._keys = keys
        self._new_id = new_id
        self._issuer = issuer
        self._prover = prover
        self._fits = fits
        self._built: dict[str, tuple[Bundle, Mapping[str, str]]] = {}

    async def state(self, now: int) -> State:
        """What governs at `now`; an emergency whose time is over is ended first."""
        await self.lapse(now)
        active = await self._store.active()
        if active is None:
            return State(None, None, None)
        bundle = await self.bundle(active.digest)
        authority = await self.bundle(active.returns_to) if active.kind == "break_glass" else bundle
        return State(active, bundle, authority)

    async def bundle(self, digest: str) -> Bundle:
        """A version of the store; raises `NOT_FOUND`, `STORE` when it is not as it was approved."""
        return (await self._read(digest))[0]

    async def texts(self, digest: str) -> Mapping[str, str]:
        """The files of a version of the store; raises as `bundle`."""
        return (await self._read(digest))[1]

    async def submit(self, texts: Mapping[str, str], signatures: Sequence[Signed], *, now: int) -> Submitted:
        """Keep a version and signatures of it.

        Raises `BundleRefused`, and `CONFLICT` for another issuer's bundle, a second bundle, a second owner's.
        Signatures need not count; what does not is told by `standing`. Those of people whom the active bundle knows
        are recorded as `policy_approval`.
        """
        state = await self.state(now)
        bundle = await self._of_texts(texts)
        self._same_policy(state, bundle, hand_over=True)
        mine = [one for one in signatures if one.statement.digest == bundle.digest]
        known = {one.id for one in await self._store.signatures(bundle.digest)}
        new = [one for one in mine if one.id not in known]
        counts = [one for one in new if _says_something(state, bundle, [one], one.statement.act, now)]
        if len(known) + len(new) > MAX_SIGNATURES:
            # INVARIANT: no heap of signatures that do not count keeps out the first word of somebody whose word does.
            kept_now = await self.signatures(bundle.digest)
            heard = {
                (name, act)
                for act in {one.statement.act for one in counts}
                for name in _says_something(state, bundle, kept_now, act, now)
            }
            first = {(one.statement.name, one.statement.act) for one in counts} - heard
            if not first or len(first) < len(new):
                raise MintwardenError(
                    ErrorKind.TOO_LARGE,
                    f"more than {MAX_SIGNATURES} signatures for one version",
                    hint="hand in none but those that count",
                )
        for one in new:
            if one in counts:
                await self._record(
                    self._new_id(),
                    "policy_approval",
                    EntityUid("User", one.statement.name),
                    now,
                    {"bundle": bundle.digest, "act": one.statement.act, "previous": state.base, "signature": one.id},
                    {"name": one.statement.name},
                )
        kept = [StoredSignature(bundle.digest, one.id, one.text.encode(), now) for one in new]
        await self._store.put_version(StoredVersion(bundle.digest, content_of(texts), now), kept)
        return Submitted(bundle=bundle, added=len(kept))

    async def standing(self, digest: str, act: Act, *, now: int, state: State | None = None) -> Standing:
        """Where a version of the store stands."""
        state = state or await self.state(now)
        bundle = await self.bundle(digest)
        within = (now - state.active.at) // 1000 if state.active is not None else 0
        return stand(state, bundle, await self.signatures(digest), act, now // 1000, within=within)

    async def vouched(self, digest: str, now: int) -> bool:
        """Whether a version governs, has governed by its quorum, or may by now: others than its author looked at it.

        INVARIANT: before anything governs nobody's word counts, since the version would say itself whose does.
        """
        state = await self.state(now)
        if state.active is None or await self._store.version(digest) is None:
            return False
        if digest == state.base or digest in await self._governed():
            return True
        return not (await self.standing(digest, "approve", now=now, state=state)).lacking

    async def signatures(self, digest: str) -> list[Signed]:
        """The signatures kept for a version."""
        return await kept_signatures(self._store, digest)

    async def checks(self, digest: str, now: int) -> tuple[Failing, ...]:
        """The checks that a version does not pass."""
        bundle, texts = await self._read(digest)
        return await asyncio.to_thread(checked, bundle, texts, now // 1000, self._prover)

    async def activate(self, digest: str, *, by: str, now: int, hand_over: bool = False) -> Activation:
        """Let an approved version govern.

        Raises `NotApproved`, `Refused`, `CONFLICT` (another issuer, a second bundle, a second owner without
        `hand_over`, it governs already, somebody else was first), and whatever keeps this deployment from it.
        """
        state = await self.state(now)
        standing = await self.standing(digest, "approve", now=now, state=state)
        bundle = await self.bundle(digest)
        self._same_policy(state, bundle, hand_over=hand_over)
        await self._refuse(state, standing, bundle, now)
        modes = _protected(state, bundle, now)
        return await self._switch(state, standing, "activate", by=by, now=now, modes=modes)

    async def break_glass(self, digest: str, *, by: str, reason: str, seconds: int, now: int) -> Activation:
        """Let a version govern for `seconds`, by fewer approvals; it opens a finding.

        Raises as `activate`, and `CONFLICT` where the active bundle knows no break-glass, for a time over its limit,
        for a version that changes who approves or who owns, and while another emergency version governs.
        INVARIANT: emergencies that nobody has reviewed share the limit, so that no row of them outlasts it.
        """
        state = await self.state(now)
        if state.active is None or state.authority is None:
            raise _conflict("nothing governs yet", "the first version takes its own quorum: `policy activate`")
        glass = state.authority.approvals.break_glass
        if glass is None:
            raise _conflict("the active bundle knows no break-glass", "see `[approvals.break_glass]` in docs/bundle.md")
        if not 0 < seconds <= glass.max:
            raise _conflict(f"an emergency lasts at most {written(glass.max)} here", "give a shorter `--for`")
        if state.active.kind == "break_glass":
            raise _conflict("an emergency version governs already", "go back first: `mintwarden policy rollback`")
        left = glass.max - await self._unreviewed()
        if seconds > left:
            what = f"earlier emergencies that nobody has reviewed leave {written(max(0, left))} of {written(glass.max)}"
            raise _conflict(what, "have them reviewed: `mintwarden policy findings`")
        _reasoned(reason)
        standing = await self.standing(digest, "break_glass", now=now, state=state)
        bundle = await self.bundle(digest)
        self._same_policy(state, bundle, hand_over=False)
        if any(one.about == "who approves" for one in standing.risk.reasons):
            raise _conflict("an emergency does not change who approves", "leave that for a change with its quorum")
        await self._refuse(state, standing, bundle, now)
        # That something is enforced less is limited here as well: by the emergency's own end.
        modes = mode_changes(state.authority, bundle, now)
        return await self._switch(
            state, standing, "break_glass", by=by, now=now, reason=reason, until=now + seconds * 1000, modes=modes
        )

    async def rollback(self, digest: str, *, by: str, reason: str, now: int) -> Activation:
        """Go back to a version that governed before, `digest` or (empty) the one before the present.

        It passed its checks when it came to govern and is not held up by them now. Raises `NotApproved`, `NOT_FOUND`
        for a version that never governed by its quorum, `CONFLICT`.
        """
        state = await self.state(now)
        digest = digest or await self.before(state)
        _reasoned(reason)
        if digest not in await self._governed():
            raise MintwardenError(
                ErrorKind.NOT_FOUND,
                f"the version `{digest}` never governed by its quorum",
                hint="see `mintwarden policy history`; a new version is activated",
            )
        standing = await self.standing(digest, "rollback", now=now, state=state)
        bundle = await self.bundle(digest)
        self._same_policy(state, bundle, hand_over=True)
        await self._refuse(state, standing, None, now)
        modes = _protected(state, bundle, now)
        return await self._switch(state, standing, "rollback", by=by, now=now, reason=reason, modes=modes)

    async def before(self, state: State) -> str:
        """The version to go back to: the one before an emergency, or the last other one that governed."""
        active = state.active
        if active is not None and active.kind == "break_glass":
            return active.returns_to
        for one in await self._store.activations(_LOOKED_AT):
            if one.kind != "break_glass" and active is not None and one.digest != active.digest:
                return one.digest
        raise MintwardenError(ErrorKind.NOT_FOUND, "no other version governed before", hint="see `policy history`")

    async def lapse(self, now: int) -> Activation | None:
        """Record that an emergency version's time is over, if it is and nobody has. Any node may, at any time.

        Nodes do not wait for it: each decides under the earlier version from `until` on by itself.
        """
        active = await self._store.active()
        if active is None or active.kind != "break_glass" or active.until is None or now < active.until:
            return None
        bundle = await self.bundle(active.returns_to)
        back = Activation(
            number=active.number + 1,
            digest=active.returns_to,
            previous=active.digest,
            kind="return",
            at=now,
            entry_id=self._new_id(),
            by=SELF.id,
        )
        detail = {"kind": "return", "bundle": bundle.digest, "name": bundle.catalogue.name}
        detail |= {"owner": bundle.catalogue.owner}
        return back if await self._take_effect(back, SELF, detail, {}, None) else None

    async def close(self, finding: str, *, by: str, note: str, now: int) -> OpenFinding:
        """Close a finding.

        Raises `NOT_FOUND`, and `CONFLICT` for whoever caused it, by doing it or by signing for it: somebody else must
        have looked.
        """
        found = next((one for one in await self._store.findings() if one.id == finding), None)
        if found is None:
            raise MintwardenError(
                ErrorKind.NOT_FOUND, f"there is no open finding `{finding}`", hint="`policy findings`"
            )
        _reasoned(note)
        cause = next((a for a in await self._store.activations(_LOOKED_AT) if str(a.number) == found.about), None)
        if cause is not None and by.casefold() in await self._behind(cause):
            raise _conflict("whoever broke the glass does not review it", "let somebody else close the finding")
        detail = {"finding": found.id, "kind": found.kind, "about": found.about}
        await self._record(
            self._new_id(), "policy_approval", EntityUid("User", by), now, {**detail, "act": "review"}, {"note": note}
        )
        if not await self._store.close_finding(finding, at=now, by=by, note=note):
            raise _conflict(f"the finding `{finding}` was closed meanwhile", "see `policy findings --all`")
        return found

    async def _unreviewed(self) -> int:
        """Seconds for which emergency versions governed whose findings are open."""
        numbers = {one.about for one in await self._store.findings() if one.kind == "break_glass"}
        if not numbers:
            return 0
        total, after = 0, None
        for one in await self._store.activations(_LOOKED_AT):  # the last one first
            if str(one.number) in numbers and one.until is not None:
                total += (one.until if after is None else max(one.at, min(one.until, after.at))) - one.at
            after = one
        return -(-total // 1000)

    async def _behind(self, step: Activation) -> frozenset[str]:
        """Who let an emergency version govern: who did it, its author, its approvers; names and users, caseless."""
        try:
            authority = await self.bundle(step.returns_to)
        except BundleRefused:  # a version that this program takes no more; whoever did it is known all the same
            return frozenset((step.by.casefold(),))
        asked = Asked(
            issuer=authority.catalogue.issuer,
            bundle=authority.catalogue.name,
            digest=step.digest,
            base=step.previous,
            after=step.number - 1,
            act="break_glass",
            now=step.at // 1000,
        )
        signatures = await kept_signatures(self._store, step.digest, by=step.at)
        said = count(authority.approvals, asked, signatures)
        names = {step.by, said.author, *said.counted}
        people = (*authority.approvals.approvers, *authority.approvals.authors)
        users = {one.user for one in people if one.name in names}
        return frozenset(name.casefold() for name in names | users if name)

    async def _governed(self) -> set[str]:
        """Versions that governed with their quorum's consent."""
        return {one.digest for one in await self._store.activations(_LOOKED_AT) if one.kind != "break_glass"}

    def _same_policy(self, state: State, new: Bundle, *, hand_over: bool) -> None:
        """One issuer, one bundle, one owner."""
        catalogue = new.catalogue
        if state.authority is None:
            if self._issuer and catalogue.issuer != self._issuer:
                raise _conflict(f"the bundle is for the issuer `{catalogue.issuer}`", f"this one is `{self._issuer}`")
            return
        active = state.authority.catalogue
        if catalogue.issuer != active.issuer:
            raise _conflict(f"the bundle is for the issuer `{catalogue.issuer}`", f"this one is `{active.issuer}`")
        if catalogue.name != active.name:
            raise _conflict(
                f"the bundle `{active.name}` governs this issuer already", "an issuer has one bundle: change that one"
            )
        if catalogue.owner != active.owner and not hand_over:
            raise _conflict(
                f"the owner is `{active.owner}`, not `{catalogue.owner}`",
                "declare it with `--hand-over`: it takes the larger quorum",
            )

    async def _refuse(self, state: State, standing: Standing, checked_too: Bundle | None, now: int) -> None:
        if standing.digest == state.base:
            raise _conflict("the version governs already", "see `mintwarden policy show active`")
        if standing.lacking:
            raise NotApproved(standing)
        if checked_too is None:
            return
        people = (state.authority or checked_too).approvals
        if not people.approvers and not people.authors:
            raise _conflict("the bundle names nobody who may sign", "name `[[approvers]]` in bundle.toml")
        self._fits(checked_too)
        failing = await self.checks(standing.digest, now)
        if failing:
            raise Refused(failing)

    async def _switch(
        self,
        state: State,
        standing: Standing,
        kind: ActivationKind,
        *,
        by: str,
        now: int,
        reason: str = "",
        until: int | None = None,
        modes: Sequence[ModeChange] = (),
    ) -> Activation:
        new = Activation(
            number=state.after + 1,
            digest=standing.digest,
            previous=state.base,
            kind=kind,
            at=now,
            until=until,
            returns_to=state.base if until is not None else "",
            reason=reason,
            by=by,
            entry_id=self._new_id(),
        )
        detail: dict[str, object] = {
            "kind": kind,
            "bundle": standing.digest,
            "name": standing.name,
            "owner": standing.owner,
            "quorum": standing.quorum,
            "required": standing.required,
            "counted": len(standing.count.counted),
            "risk": standing.risk.level,
            "reasons": [str(one) for one in standing.risk.reasons[:_REASONS]],
        }
        if until is not None:
            detail["until"] = until
        if modes:
            detail["modes"] = [dict(change.detail) for change in modes[:_REASONS]]
        private = {"by": by, "reason": reason, "author": standing.count.author, "approved": [*standing.count.counted]}
        finding = None
        if kind == "break_glass":
            finding = OpenFinding(
                id=f"break-glass-{new.number}", kind="break_glass", about=str(new.number), opened_at=now
            )
        if not await self._take_effect(new, EntityUid("User", by), detail, private, finding):
            raise _conflict("another version was activated meanwhile", "look at it, and have yours signed on top of it")
        for change in modes:
            about = {**change.detail, "bundle": standing.digest, "number": new.number}
            await self._record(self._new_id(), "mode_change", EntityUid("User", by), now, about, {})
        return new

    async def _take_effect(
        self,
        new: Activation,
        actor: EntityUid,
        detail: Mapping[str, object],
        private: Mapping[str, object],
        finding: OpenFinding | None,
    ) -> bool:
        await self._store.intend(
            Intent(entry_id=new.entry_id, number=new.number, digest=new.digest, kind=new.kind, at=new.at)
        )
        recorded = {**detail, "number": new.number, "previous": new.previous}
        await self._record(new.entry_id, "policy_activation", actor, new.at, recorded, private)
        return await self._store.activate(new, finding)

    async def _record(
        self,
        entry_id: bytes,
        kind: GovernanceKind,
        actor: EntityUid,
        now: int,
        detail: Mapping[str, object],
        private: Mapping[str, object],
    ) -> None:
        own = await self._keys.get(entity_key(actor))
        await self._recorder.record_act(
            entry_id=entry_id,
            kind=kind,
            at=now,
            actor=actor,
            detail=detail,
            private=private,
            key=SealKey(*own) if own else None,
        )

    async def _of_texts(self, texts: Mapping[str, str]) -> Bundle:
        for bundle, known in self._built.values():
            if known == texts:
                return bundle
        bundle = await asyncio.to_thread(build_bundle, texts)
        self._keep(bundle, texts)
        return bundle

    def _keep(self, bundle: Bundle, texts: Mapping[str, str]) -> None:
        self._built[bundle.digest] = bundle, texts
        for old in list(self._built)[:-KEPT]:
            del self._built[old]

    async def _read(self, digest: str) -> tuple[Bundle, Mapping[str, str]]:
        found = self._built.get(digest)
        if found is None:
            stored = await self._store.version(digest)
            if stored is None:
                raise MintwardenError(
                    ErrorKind.NOT_FOUND, f"there is no version `{digest}`", hint="hand it in by its folder"
                )
            found = await asyncio.to_thread(lambda: (built(stored), texts_of(stored.content)))
            self._keep(*found)
        return found


def _says_something(state: State, bundle: Bundle, signatures: Sequence[Signed], act: Act, now: int) -> set[str]:
    """Whose words count now, as the author or as approvers of the act."""
    found = stand(state, bundle, signatures, act, now // 1000, within=0).count
    return {name for name in (found.author, *found.counted) if name}


def _protected(state: State, new: Bundle, now: int) -> tuple[ModeChange, ...]:
    """What goes to another mode.

    INVARIANT: less than is enforced has a reason and a limit, however it comes to govern.
    """
    changes = mode_changes(state.authority, new, now)
    failing = [Failing("mode", change.id, problem) for change in changes for problem in change.problems]
    if failing:
        raise Refused(failing)
    return changes


def _conflict(public: str, hint: str) -> MintwardenError:
    return MintwardenError(ErrorKind.CONFLICT, public, hint=hint)


def _reasoned(reason: str) -> None:
    if not reason.strip() or len(reason) > 2_000:
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST, "a reason is needed, of at most 2000 characters", hint="say why"
        )

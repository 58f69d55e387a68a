"""Whether an activation was earned, found out again from the signatures: the store's word for it is not enough."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mintwarden.govern.ports import Activation, VersionStore
from mintwarden.govern.standing import State, stand
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.approve.refusal import SignatureRefused
from mintwarden.policy.approve.signed import Signed, read_signed
from mintwarden.policy.approve.statement import Act
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.bundle.problem import BundleRefused

_MEANWHILE = 16
"""Activations that may come between two reads."""
_ACTS: dict[str, Act] = {"activate": "approve", "rollback": "rollback", "break_glass": "break_glass"}


async def kept_signatures(store: VersionStore, digest: str, *, by: int | None = None) -> list[Signed]:
    """The signatures kept for a version, as they were at `by` (`Millis`).

    What cannot be read was put there behind our back, and counts for nothing.
    """
    found = []
    for stored in await store.signatures(digest):
        if by is not None and stored.added_at > by:
            continue  # an approver who calls a version their own work later must not undo what was decided
        try:
            found.append(read_signed(stored.content.decode("utf-8", "replace")))
        except SignatureRefused:
            continue
    return found


async def refuse_unearned(
    store: VersionStore,
    bundle: Callable[[str], Awaitable[Bundle]],
    active: Activation,
    *,
    trusted: Activation | None,
) -> None:
    """Return when each activation after `trusted` has the quorum that it needed; raise `STORE` otherwise.

    INVARIANT: who can write to the store makes no version govern on a node that runs: it would take the signatures of
    the people whom the version in force there names. `trusted` is the node's own memory, which the store's word does
    not replace. A node that starts (None) looks at the last activation alone, and only if this program still takes the
    version before it.
    """
    first = trusted.number + 1 if trusted is not None else active.number
    # with the one before the first of them
    known = {one.number: one for one in await store.activations(active.number - first + 2 + _MEANWHILE)}
    known[active.number] = active
    if trusted is not None:
        known[trusted.number] = trusted
    for number in range(first, active.number + 1):
        step, before = known.get(number), known.get(number - 1)
        if trusted is None and before is not None and not await _is_taken(bundle, before):
            return
        if step is None or (before is None and number > 1) or not await _earned(store, bundle, before, step):
            raise MintwardenError(
                ErrorKind.STORE,
                f"activation {number} does not have the signatures that it needed",
                hint="restore the store, audit the ledger, and find out who wrote to the store",
            )


async def _is_taken(bundle: Callable[[str], Awaitable[Bundle]], before: Activation) -> bool:
    try:
        await bundle(before.digest)
    except BundleRefused:
        return False
    return True


async def _earned(
    store: VersionStore, bundle: Callable[[str], Awaitable[Bundle]], before: Activation | None, step: Activation
) -> bool:
    if step.previous != (before.digest if before is not None else ""):
        return False
    if step.kind == "return":
        is_glass = before is not None and before.kind == "break_glass" and before.until is not None
        return is_glass and before is not None and step.digest == before.returns_to and step.at >= (before.until or 0)
    state = State(None, None, None)
    if before is not None:
        of_people = before.returns_to if before.kind == "break_glass" else before.digest
        state = State(before, await bundle(before.digest), await bundle(of_people))
    within = (step.at - before.at) // 1000 if before is not None else 0
    signatures = await kept_signatures(store, step.digest, by=step.at)
    new = await bundle(step.digest)
    standing = stand(state, new, signatures, _ACTS[step.kind], step.at // 1000, within=within)
    if standing.lacking:
        return False
    if step.kind != "break_glass":
        return True
    glass = state.authority.approvals.break_glass if state.authority is not None else None
    changes_people = any(one.about == "who approves" for one in standing.risk.reasons)
    in_time = glass is not None and step.until is not None and step.until <= step.at + glass.max * 1000
    return in_time and not changes_people and step.returns_to == step.previous

"""Where a version stands: what quorum it needs and why, who has signed, who is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from mintwarden.govern.ports import Activation
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.approve.count import Asked, Count, count
from mintwarden.policy.approve.risk import Reason, Risk, risk
from mintwarden.policy.approve.signed import Signed
from mintwarden.policy.approve.statement import Act
from mintwarden.policy.bundle.model import Approvals, Bundle

Quorum = Literal["first", "ordinary", "higher", "break_glass", "undo"]


class State(Struct, frozen=True):
    """What governs, and by whose quorum it may be changed.

    Attributes:
        active: the last activation, None before the first.
        bundle: the version that it made govern.
        authority: the version whose people and quorums count: the active one or, while an emergency version governs,
            the one before it. Nobody comes to power through an emergency.
    """

    active: Activation | None
    bundle: Bundle | None
    authority: Bundle | None

    @property
    def base(self) -> str:
        """The digest that signatures must be given on top of; empty before the first."""
        return self.active.digest if self.active is not None else ""

    @property
    def after(self) -> int:
        """The number of the activation that they must be given after."""
        return self.active.number if self.active is not None else 0


class Standing(Struct, frozen=True, kw_only=True):
    """Where a version stands at a moment.

    Attributes:
        act: what its approvers are asked for.
        base, after: what governs, as signatures must say.
        quorum, required: which quorum, and how many approvers it is.
        risk: what the change could lift.
    """

    digest: str
    name: str
    owner: str
    act: Act
    base: str
    after: int
    quorum: Quorum
    required: int
    risk: Risk
    count: Count

    @property
    def lacking(self) -> str:
        """What is missing, in one line; empty when nothing is."""
        needs_author = self.act in ("approve", "break_glass")
        if needs_author and not self.count.author:
            return "its author has not signed it"
        short = self.required - len(self.count.counted)
        if short > 0:
            return f"{short} more approval{'s are' if short > 1 else ' is'} needed ({self.quorum}: {self.required})"
        return ""


class NotApproved(MintwardenError):
    """The quorum is not reached; `standing` says what is missing."""

    def __init__(self, standing: Standing) -> None:
        verb = {"approve": "approve", "break_glass": "approve --break-glass", "rollback": "approve --rollback"}
        who = ", ".join(standing.count.missing) or "nobody is left who could"
        super().__init__(
            ErrorKind.CONFLICT,
            f"the version `{standing.digest}` is not approved: {standing.lacking}",
            hint=f"`mintwarden policy {verb.get(standing.act, 'sign')}`: {who}",
        )
        self.standing = standing


FIRST = Risk("higher", (Reason("the first version", "", "is judged by its own quorum"),))


def stand(state: State, new: Bundle, signatures: Sequence[Signed], act: Act, now: int, *, within: int) -> Standing:
    """Where `new` stands; `now` in seconds, `within` the seconds since it was replaced when `act` is `rollback`."""
    authority = state.authority or new
    change = FIRST if state.authority is None else risk(state.authority, new)
    quorum, required = _quorum(authority.approvals, state, new, act, change, within)
    asked = Asked(
        issuer=new.catalogue.issuer,
        bundle=new.catalogue.name,
        digest=new.digest,
        base=state.base,
        after=state.after,
        act=act,
        now=now,
    )
    return Standing(
        digest=new.digest,
        name=new.catalogue.name,
        owner=new.catalogue.owner,
        act=act,
        base=state.base,
        after=state.after,
        quorum=quorum,
        required=required,
        risk=change,
        count=count(authority.approvals, asked, signatures),
    )


def _quorum(approvals: Approvals, state: State, new: Bundle, act: Act, change: Risk, within: int) -> tuple[Quorum, int]:
    if act == "break_glass" and approvals.break_glass is not None:
        return "break_glass", approvals.break_glass.required
    if act == "rollback" and state.active is not None:
        in_emergency = state.active.kind == "break_glass" and new.digest == state.active.returns_to
        # what was rolled back does not come again as cheaply as it went
        is_undo = state.active.kind == "activate" and new.digest == state.active.previous
        is_undo = is_undo and within <= approvals.rollback.within
        if in_emergency or is_undo:
            return "undo", approvals.rollback.required
    if state.active is None:
        return "first", approvals.higher_risk.required
    if change.level == "higher":
        return "higher", approvals.higher_risk.required
    # going back is never cheaper than undoing it would be
    return "ordinary", max(approvals.required, approvals.rollback.required if act == "rollback" else 0)

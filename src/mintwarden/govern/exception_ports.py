"""What `govern` needs from storage for exceptions: requests, approvals, and which are in force."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

ExceptionState = Literal["requested", "active", "ended", "revoked", "lapsed", "withdrawn"]
"""`requested` goes to `active`, `lapsed` (its time passed first) or `withdrawn`; `active` to `ended` or `revoked`."""

OPEN: tuple[ExceptionState, ...] = ("requested", "active")
PlannedAct = Literal["start", "end"]


class StoredApproval(Struct, frozen=True, kw_only=True):
    """One person's approval: the approver's name in the bundle, and the signed statement."""

    approver: str
    signature: bytes
    at: int


class StoredException(Struct, frozen=True, kw_only=True):
    """An exception with everything that is known of it.

    Attributes:
        document: the canonical request; see `policy.exception_request`.
        changed_at: when it came into its state, `Millis`.
        start_entry: id of the ledger entry that says that it began: chosen before it is written, so that after a crash
            anybody can tell whether it was. None before that.
        end_entry: chosen by whoever first sets out to record its end, so that the others wait; no entry has that id.
        approvals: in the order in which they came.
    """

    id: str
    document: bytes
    state: ExceptionState
    changed_at: int
    start_entry: bytes | None = None
    end_entry: bytes | None = None
    approvals: tuple[StoredApproval, ...] = ()


class InForce(Struct, frozen=True):
    """The exceptions of state `active`, and the epoch that they belong to."""

    epoch: int
    exceptions: tuple[StoredException, ...]


class ExceptionStore(Protocol):
    """Exceptions, the same on every node.

    Each change is one transaction, durable when it returns; each read is of one committed state no older than the call.
    """

    async def add(self, exception: StoredException) -> bool:
        """Keep a request; False, and nothing is changed, when there is one of that id."""
        ...

    async def get(self, exception_id: str) -> StoredException | None: ...

    async def find(self, states: Sequence[ExceptionState] = ()) -> Sequence[StoredException]:
        """All in one of `states`, or all there are, in order of `id`."""
        ...

    async def page(self, limit: int, after: str = "", *, still_open: bool = False) -> Sequence[StoredException]:
        """Up to `limit` of all there are, or of those in one of `OPEN`, in order of `id`: the first behind `after`.

        Costs what it answers, however many there are and were.
        """
        ...

    async def in_force(self) -> InForce:
        """Those of state `active`, with the epoch of the same state of the store."""
        ...

    async def approve(self, exception_id: str, approval: StoredApproval) -> bool:
        """Add an approval; False when it is not `requested`, or when that approver's is there already."""
        ...

    async def plan(self, exception_id: str, act: PlannedAct, entry_id: bytes) -> bytes | None:
        """The id that was chosen for its beginning or its end: `entry_id`, unless one was chosen before.

        None when there is no such exception.
        """
        ...

    async def move(self, exception_id: str, before: ExceptionState, after: ExceptionState, at: int) -> bool:
        """From one state to another; False, and nothing is changed, when it is not in `before`.

        Where `active` is one of the two, the epoch moves on in the same transaction.
        """
        ...

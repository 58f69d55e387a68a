"""What `govern` needs from storage: bundle versions, their signatures, which one governs, and open findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

ActivationKind = Literal["activate", "rollback", "break_glass", "return"]


class StoredVersion(Struct, frozen=True):
    """A bundle version. `content` is the canonical JSON of path to text; see `govern.content`."""

    digest: str
    content: bytes
    added_at: int


class VersionName(Struct, frozen=True):
    """A bundle version without its content."""

    digest: str
    added_at: int


class StoredSignature(Struct, frozen=True):
    """A statement with its signature, as in the bundle's `signatures/`. `id` is the SHA-256 of `content`, in hex."""

    digest: str
    id: str
    content: bytes
    added_at: int


class Activation(Struct, frozen=True, kw_only=True):
    """That a version began to govern.

    Attributes:
        number: 1, 2, 3, ...; the last one governs.
        digest, previous: the version, and the one before it (empty for the first).
        at: when, `Millis`.
        until: for break-glass, when `returns_to` governs again; from then on it does, recorded or not.
        reason, by: why and by whom; personal data, kept here and sealed in the ledger.
        entry_id: the ledger entry that was durable before the switch.
    """

    number: int
    digest: str
    previous: str
    kind: ActivationKind
    at: int
    entry_id: bytes
    until: int | None = None
    returns_to: str = ""
    reason: str = ""
    by: str = ""


class Intent(Struct, frozen=True, kw_only=True):
    """An activation that is about to be recorded. Without an activation of the same entry it did not take effect."""

    entry_id: bytes
    number: int
    digest: str
    kind: ActivationKind
    at: int


class OpenFinding(Struct, frozen=True, kw_only=True):
    """Something that stays open until a named person has looked at it.

    Attributes:
        about: what it is about: for `break_glass`, the number of the activation.
        closed_at: None while it is open.
    """

    id: str
    kind: str
    about: str
    opened_at: int
    closed_at: int | None = None
    closed_by: str = ""
    note: str = ""


class VersionStore(Protocol):
    """Versions and activations, the same on every node."""

    async def put_version(self, version: StoredVersion, signatures: Sequence[StoredSignature]) -> int:
        """Keep a version and signatures of it; how many signatures are new. What is there already stays as it is."""
        ...

    async def version(self, digest: str) -> StoredVersion | None:
        """A version with its content."""
        ...

    async def versions(self, limit: int, beyond: VersionName | None = None) -> Sequence[VersionName]:
        """Up to `limit` versions, newest first: those added last, or those that come beyond one in that order."""
        ...

    async def signatures(self, digest: str) -> Sequence[StoredSignature]:
        """Every signature kept for a version, in order of `id`."""
        ...

    async def active(self) -> Activation | None:
        """The last activation, of one committed state no older than the call."""
        ...

    async def activations(self, limit: int, below: int | None = None) -> Sequence[Activation]:
        """Up to `limit` activations, newest first: the last ones, or those whose number is `below` one."""
        ...

    async def intend(self, intent: Intent) -> None:
        """Note an intent, durably."""
        ...

    async def abandoned(self, limit: int) -> Sequence[Intent]:
        """Intents without an activation, newest first. One of the last seconds may still be under way."""
        ...

    async def activate(self, activation: Activation, finding: OpenFinding | None = None) -> bool:
        """Append `activation` if it is the next number; False, and nothing is changed, when it is not.

        In the same transaction the epoch moves on, so that every read of facts that sees it tells, and `finding` is
        opened.
        """
        ...

    async def findings(self, *, closed: bool = False) -> Sequence[OpenFinding]:
        """The open findings, or every one, oldest first."""
        ...

    async def findings_page(self, limit: int, after: str = "") -> Sequence[OpenFinding]:
        """Up to `limit` of all, open or not, in order of `id`: the first behind `after`. Costs what it answers."""
        ...

    async def finding(self, finding_id: str) -> OpenFinding | None:
        """One of them, open or not."""
        ...

    async def close_finding(self, finding_id: str, *, at: int, by: str, note: str) -> bool:
        """Close an open finding; False when there is no open one of that id."""
        ...

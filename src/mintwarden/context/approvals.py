"""Approvals that people gave here: of one scope or detail, in exactly the circumstances that they looked at.

INVARIANT: an approval is found by a digest of its circumstances alone. Nobody holds it, so nobody can steal it; and in
other circumstances (another subject, actor, client, audience, purpose, detail) there is none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from mintwarden.context.ports import FactDocument
from mintwarden.model.asked import Asked
from mintwarden.model.caller import OnceKey
from mintwarden.model.catalogue import Source
from mintwarden.model.detail import Detail
from mintwarden.model.values import EntityUid

FACT: Final = "approvals"
SOMEBODY: Final = "?"
"""Is no grant's id."""
_SENT: Final = "ciba"


class Circumstances(Struct, frozen=True, kw_only=True):
    """What an approval is bound to beside what it approves; each as in `Asked`."""

    client_id: str
    subject: EntityUid
    actors: tuple[EntityUid, ...]
    impersonate: bool
    audience: str
    purpose: str
    environment: str
    tenant: str
    workspace: str
    project: str
    details: tuple[Detail, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of all of it, in hexadecimal."""
        return hashlib.sha256(b"circumstances:" + msgspec.json.encode(self, order="deterministic")).hexdigest()


def circumstances_of(asked: Asked) -> Circumstances:
    """Those of a question."""
    return Circumstances(**{name: getattr(asked, name) for name in Circumstances.__struct_fields__})


class GivenApproval(Struct, frozen=True, kw_only=True):
    """One that counts.

    Attributes:
        id: 32 hexadecimal digits.
        element: `<kind>:<scope>` or `<kind>:<type>`, as rules look for it.
        ends: `Millis`.
        once: it is used up by the first token that comes of it.
        used_by: the grant that used it up, where its tokens may have to be sent anew; `SOMEBODY` where nobody knows who
            did; empty while it counts for everybody.
    """

    id: str
    element: str
    ends: int
    once: bool
    used_by: str = ""

    @property
    def claim(self) -> OnceKey:
        """What is claimed with the decision that it carried."""
        return OnceKey(bytes.fromhex(self.id), self.ends, "approval")

    def counts_for(self, grant_id: str) -> bool:
        """Nobody used it up, or that grant did. INVARIANT: of one grant, at most one set of first tokens is good."""
        return self.used_by in ("", grant_id)


def sent_of(asked: Asked) -> str:
    """The grant that what is asked is the first token of, where such a token may be sent to its client anew; or empty.

    That is so for authentication requests alone (OpenID CIBA Core 1.0 section 10.3), and never for a renewal.
    """
    return asked.grant_id if asked.grant == _SENT else ""


class ApprovalReader(Protocol):
    """Reads approvals."""

    async def in_force(self, digest: str, now: int, grant_id: str = "") -> Sequence[GivenApproval]:
        """Those that count at `now` in the circumstances of that digest, as of a state no older than the call.

        With `grant_id`, those that this grant used up are among them.

        Raises `MintwardenError(UNAVAILABLE)` when the store does not answer.
        """
        ...


class HeldApprovals:
    """Reads them for decisions of audiences whose rules demand some: no other decision pays for it."""

    def __init__(self, reader: ApprovalReader, *, source: Source, audiences: frozenset[str]) -> None:
        self._reader = reader
        self._audiences = audiences
        self.source = source

    async def concerning(self, asked: Asked, now: int) -> Sequence[GivenApproval]:
        """Those for the circumstances of `asked`."""
        if asked.audience not in self._audiences:
            return ()
        return await self._reader.in_force(circumstances_of(asked).digest, now, sent_of(asked))


def document_of(given: Sequence[GivenApproval]) -> FactDocument:
    """What they come to as a fact: of several of the same, the one that lasts longest."""
    ends: dict[str, int] = {}
    for one in given:
        ends[one.element] = max(one.ends, ends.get(one.element, 0))
    return FactDocument(facts={FACT: sorted(ends)}, spans={FACT: {name: (None, end) for name, end in ends.items()}})


def used_by(
    bounds: Sequence[tuple[str, int]], granted: Collection[str], single_use: Mapping[str, tuple[OnceKey, ...]]
) -> tuple[OnceKey, ...]:
    """What is used up by a token whose life is bounded by `bounds`, and that has `granted` (scopes, types of details).

    INVARIANT: whatever let it through is among it. A route that leans on an approval is bounded by it; a guardrail that
    an approval lifts bounds nothing, and so every approval of what was granted is used up.
    """
    names = {name for name, _ in bounds}
    return tuple(
        key
        for element, keys in single_use.items()
        if f"entitlement:{FACT}/{element}" in names or element.partition(":")[2] in granted
        for key in keys
    )

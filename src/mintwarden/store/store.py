"""What an opened store is made of: one object that fulfils every port the rooms below declare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from mintwarden.authn.ports import (
    Claims,
    ClientLookup,
    CredentialReader,
    CredentialWriter,
    RevocationLog,
    RevocationReader,
    RevocationWriter,
    States,
)
from mintwarden.context.ports import FactReader, FactRow, FactWriter
from mintwarden.feeds.scim.ports import ScimStore
from mintwarden.govern.answers import Answers
from mintwarden.govern.exception_ports import ExceptionStore
from mintwarden.govern.ports import VersionStore
from mintwarden.ledger.ports import EntryAppender, EntryReader, Leases, SubjectKeys, TreeStore
from mintwarden.mint.ports import KeyStore
from mintwarden.review.finding_states import FindingStates
from mintwarden.review.index import DecisionIndex


class Health(Struct, frozen=True, kw_only=True):
    """How the store is.

    Attributes:
        reads, writes: it answers a read; it would take a write.
        detail: one line about what is wrong, or empty.
        entries: durable ledger entries, sequenced or not.
    """

    reads: bool
    writes: bool
    detail: str = ""
    entries: int = 0


class FactStore(FactReader, FactWriter, Protocol):
    """Facts, read in shared batches and pushed one by one."""


class EntryStore(EntryAppender, EntryReader, Protocol):
    """Ledger entries, appended in groups and read back."""


class CredentialStore(CredentialReader, ClientLookup, CredentialWriter, Protocol):
    """Client secrets, and what is kept about clients."""


class RevocationStore(RevocationReader, RevocationLog, RevocationWriter, Claims, Protocol):
    """Revoked tokens, and claims of proofs that leave no decision."""


class DocumentChange(Struct, frozen=True):
    """One change to what a source says about an entity: its new document, or None to forget it."""

    entity: str
    source: str
    document: bytes | None
    observed_at: int


class DirectoryStore(Protocol):
    """Reads and writes documents in bulk, for imports: every call is bounded by its arguments."""

    async def stored(self, source: str, entities: Sequence[str]) -> dict[str, FactRow]:
        """The documents that `source` has for `entities`; absent ones have no key."""
        ...

    async def page(self, source: str, after: str, limit: int) -> Sequence[tuple[str, FactRow]]:
        """Up to `limit` documents of `source` in code point order of their entity keys, behind `after`."""
        ...

    async def apply(self, changes: Sequence[DocumentChange]) -> None:
        """All of `changes` in one transaction, visible to the next read when it returns.

        Unlike `FactWriter.put` it does not look at the stored `observed_at`: an import says what is so.
        """
        ...


class Store(Protocol):
    """An opened store. Everything in it may be used from one event loop, concurrently.

    Every call raises `MintwardenError(UNAVAILABLE)` while the store does not answer and works again, without
    being reopened, once it does.
    """

    @property
    def facts(self) -> FactStore: ...

    @property
    def entries(self) -> EntryStore: ...

    @property
    def tree(self) -> TreeStore: ...

    @property
    def leases(self) -> Leases: ...

    @property
    def subject_keys(self) -> SubjectKeys: ...

    @property
    def credentials(self) -> CredentialStore: ...

    @property
    def keys(self) -> KeyStore: ...

    @property
    def directory(self) -> DirectoryStore: ...

    @property
    def scim(self) -> ScimStore: ...

    @property
    def exceptions(self) -> ExceptionStore: ...

    @property
    def versions(self) -> VersionStore: ...

    @property
    def decision_index(self) -> DecisionIndex: ...

    @property
    def answers(self) -> Answers: ...

    @property
    def revocations(self) -> RevocationStore: ...

    @property
    def states(self) -> States: ...

    @property
    def finding_states(self) -> FindingStates: ...

    async def epoch(self) -> int:
        """A number that grows with every change to client secrets, signing keys, erasures and activations."""
        ...

    async def bump_epoch(self) -> int:
        """Make every node look again (a bundle was activated); the new epoch."""
        ...

    async def purge(self, now: int) -> int:
        """Forget claims of single-use proofs, answers, states and revocations that ended before `now`.

        How many claims: at most some thousands a call.
        """
        ...

    async def health(self) -> Health:
        """Never raises: what is wrong stands in the answer."""
        ...

    async def close(self) -> None:
        """Finish what is under way and let go of the store."""
        ...

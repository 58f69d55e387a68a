"""What `authn` needs from storage and from the network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct

from mintwarden.model.caller import OnceKey


class ClientSecret(Struct, frozen=True, kw_only=True):
    """A stored client secret. `scheme` `hmac-sha256` is a keyed hash of one of ours, `argon2id` an imported one."""

    client_id: str
    scheme: Literal["hmac-sha256", "argon2id"]
    digest: bytes
    created_at: int
    expires_at: int | None = None


class ClientRecord(Struct, frozen=True, kw_only=True):
    """What is kept about a client beside the bundle.

    Attributes:
        record: the registered client as JSON (`model.catalogue.Client`); None for a client of the bundle.
        keys: public keys that stand instead of the client's own, as a JSON array of JWKs; None for none.
        retired_at: since when it is refused, `Millis`; None while it is not.
        version: grows by one with each change, from 1.
    """

    client_id: str
    record: bytes | None = None
    keys: bytes | None = None
    retired_at: int | None = None
    version: int = 0
    changed_at: int = 0


class Credentials(Struct, frozen=True):
    """Every client's secrets, and what is kept about clients beside the bundle, as of `epoch`.

    `activation` is the number of the bundle activation that was in force then; 0 before the first.
    """

    epoch: int
    secrets: Mapping[str, Sequence[ClientSecret]]
    clients: Mapping[str, ClientRecord] = {}
    activation: int = 0


class CredentialReader(Protocol):
    """Reads client secrets and what is kept about clients."""

    async def credentials(self) -> Credentials:
        """All of them, from one committed state together with the epoch it belongs to."""
        ...


class ClientLookup(Protocol):
    """Looks for what is kept about some clients: each call costs what it answers, however many there are."""

    async def of(self, client_ids: Sequence[str]) -> Credentials:
        """What `CredentialReader.credentials` says, of these alone; those of whom nothing is kept have no key."""
        ...

    async def registered(self, limit: int, after: str = "") -> Sequence[str]:
        """Up to `limit` ids of clients that are written down here alone, in code point order: the first behind `after`.

        The retired are among them.
        """
        ...


class CredentialWriter(Protocol):
    """Changes client secrets; each change bumps the epoch."""

    async def add_secrets(self, secrets: Sequence[ClientSecret]) -> None: ...

    async def remove_secrets(self, client_id: str) -> int:
        """How many were removed."""
        ...

    async def put_client(self, client: ClientRecord) -> bool:
        """Keep `client` if it follows the stored version by one; False, and nothing changed, otherwise."""
        ...

    async def forget_client(self, client_id: str, version: int) -> bool:
        """Forget what is kept of a client, its secrets included, if `version` is the stored one; False otherwise."""
        ...


About = Literal["token", "client", "subject", "actor", "link", "session", "grant", "key", "bundle", "chain"]


class Revocation(Struct, frozen=True, kw_only=True):
    """Tokens that are good no more.

    Attributes:
        about: what they have in common: `token` (a `jti`: it, and what came of it), `client`, `subject`, `actor` (an
            entity key), `link` (`authn.revoked.link_of`), `session`, `grant` (a person's), `key` (that signed them),
            `bundle` (the digest of the version that they were decided under). `chain` is none of these: see
            `authn.revoked.ANY_CHAIN`.
        value: which one.
        before: those that were issued by then, `Millis`, are revoked.
        until: none of them is alive after that, `Millis`.
    """

    about: About
    value: str
    before: int
    until: int


class RevocationReader(Protocol):
    """Knows what was revoked."""

    def revoked(self, names: Sequence[tuple[str, str]]) -> Awaitable[Mapping[tuple[str, str], int]]:
        """Of `names` (about, value), those that were revoked, and `before` of each."""
        ...


class RevocationLog(Protocol):
    """Knows what was revoked lately."""

    async def since(self, before: int) -> Sequence[Revocation]:
        """Those whose `before` is not before that time, `Millis`: a look at all of them."""
        ...


class RevocationWriter(Protocol):
    """Revokes."""

    async def revoke(self, revocations: Sequence[Revocation]) -> None:
        """All of them in one transaction; the next read of any node sees them. Nothing revoked becomes good again."""
        ...


class Claims(Protocol):
    """One-time proofs of requests that leave no decision."""

    async def claim(self, once: Sequence[OnceKey]) -> bool:
        """Claim all of `once`, durably; False, and nothing is claimed, where one of them was claimed before."""
        ...


class State(Struct, frozen=True, kw_only=True):
    """Something that a flow remembers between two requests.

    Attributes:
        kind: what it is: `code`, `session`, ...
        key: a digest of the handle that names it; the handle itself is kept nowhere.
        owner: whom it can be found by (an entity key, a client), or empty.
        version: as it was read; 0 before it is added.
        expires_at: `Millis` after which it counts for nothing and may be forgotten.
        document: sealed.
    """

    kind: str
    key: bytes
    expires_at: int
    document: bytes
    owner: str = ""
    version: int = 0


Place = tuple[int, bytes]
"""Where a state stands among those of its owner: when it ends (`Millis`), and its key."""

LAST: Place = (2**62, b"")
"""The place before all others: nothing ends as late."""


class States(Protocol):
    """Remembers what flows need between requests. What is written is seen by the next read of any node."""

    async def read(self, names: Sequence[tuple[str, bytes]]) -> Mapping[tuple[str, bytes], State]:
        """Those of `names` (kind, key) that are there, ended ones included."""
        ...

    async def owned(self, kind: str, owner: str, limit: int, after: bytes = b"") -> Sequence[State]:
        """Up to `limit` that belong to `owner`, in the order of their keys, those behind the key `after`."""
        ...

    async def lasting(
        self, kind: str, owner: str, limit: int, beyond: Place | None = None, *, back: bool = False
    ) -> Sequence[State]:
        """Up to `limit` that belong to `owner`, what ends last first: the first of all, or the first beyond a place.

        With `back`, the last before that place, in the same order. Costs what it answers, however many there are.
        """
        ...

    async def add(self, states: Sequence[State]) -> bool:
        """Add all of them; False, and nothing is added, where one is there already."""
        ...

    async def replace(self, state: State) -> bool:
        """Put `state` in place of the version it names; False where another version, or none, stands."""
        ...

    async def remove(self, kind: str, key: bytes) -> bool:
        """Whether it was there."""
        ...

    async def remove_all(self, kind: str, keys: Sequence[bytes]) -> int:
        """Remove those that are there, together; how many that were."""
        ...

    async def forget(self, owner: str) -> int:
        """Remove everything that belongs to `owner`, of every kind; how much that was."""
        ...


class Seal(Protocol):
    """Seals what rests in the store."""

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """Encrypt, bound to `context`."""
        ...

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt; raises `MintwardenError(KEYS)` when it was not sealed here, not for `context`, or was changed."""
        ...


class DocumentFetcher(Protocol):
    """Fetches a JSON document for key discovery; the one guarded way out (`authn/fetch.py`)."""

    async def fetch(self, url: str) -> bytes:
        """The body of a 200 answer. Raises `MintwardenError(SOURCE)` for anything else."""
        ...


Prove = Callable[[bytes, Sequence[bytes]], None]
"""The certificate that a server showed, and what came beside it, as DER; raises where it is not who is meant."""


class ProvenFetcher(Protocol):
    """Fetches a JSON document from a server that is known by what it proves, and not by its host's name."""

    async def fetch_proven(self, url: str, prove: Prove) -> bytes:
        """The body of a 200 answer. INVARIANT: nothing is asked of a server before `prove` let it pass.

        Raises `MintwardenError(SOURCE)` for anything else, and what `prove` raises as such.
        """
        ...


class KeptBundle(Struct, frozen=True):
    """A SPIFFE bundle as it was fetched `at` (`Millis`)."""

    document: bytes
    at: int


class KeptBundles(Protocol):
    """Remembers the latest bundle of each endpoint that is known by its trust domain, for every node and restart."""

    async def load(self, name: str, now: int) -> KeptBundle | None:
        """The one that was kept last under that name, by whichever node."""
        ...

    async def keep(self, name: str, bundle: KeptBundle) -> None:
        """Durable when it returns; of two nodes that keep one at once either may be first."""
        ...


class Fetched(NamedTuple):
    """An answer: its body, and its headers as they came."""

    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Posted(NamedTuple):
    """The answer to a form that was posted."""

    status: int
    body: bytes


class FormPoster(Protocol):
    """Posts forms; the same guarded way out."""

    async def post(self, url: str, form: Mapping[str, str], *, authorization: str = "") -> Posted:
        """What came of it, whatever the status; no redirect is followed, nothing is tried twice.

        Raises `MintwardenError(SOURCE)` when there was no whole answer.
        """
        ...


class CacheFiller(Protocol):
    """Fetches JSON documents that say for how long they may be kept; the same guarded way out."""

    async def get(self, url: str, limit: int) -> Fetched:
        """A 200 answer of at most `limit` bytes. Raises `MintwardenError(SOURCE)` for anything else."""
        ...

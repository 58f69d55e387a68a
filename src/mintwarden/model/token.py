"""Steps 6 to 8: the prepared token, its receipt, the signed token."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, field

MAX_LINEAGE = 16
"""How many of our tokens one may come of: each of them can be revoked, and ends those below it."""

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a URN (RFC 8693 section 3)
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
TXN_TOKEN = "urn:ietf:params:oauth:token-type:txn_token"  # noqa: S105 - a URN


class PreparedToken(Struct, frozen=True, kw_only=True):
    """A token in all but its leaf hash and signature. INVARIANT: built by `mint.prepare` only, signed once.

    Attributes:
        decision_id: also its `jti`.
        kid: the signing key chosen for it.
        algorithm: that key's JOSE algorithm.
        header: the protected header as JSON bytes.
        payload: the claims as JSON bytes, without the ledger claim.
        digest: SHA-256 over `header` + `.` + `payload`.
        expires_at, issued_at: seconds, as in the token.
        token_type: `Bearer` or `DPoP`; `N_A` for what is no access token (RFC 8693 section 2.2.1).
        issued: what it is (RFC 8693 section 3).
        names_others: it names the tokens beside it by their hashes, which `mint.sign` adds: they are signed first.
        unspent: yields once; `mint.sign` takes what it yields. A copy shares it, so a copy is spent with it.
    """

    decision_id: str
    kid: str
    algorithm: str
    header: bytes
    payload: bytes
    digest: bytes
    issued_at: int
    expires_at: int
    token_type: str = "Bearer"  # noqa: S105 - a token type, RFC 6750
    issued: str = ACCESS_TOKEN
    names_others: bool = False
    unspent: Iterator[bool] = field(default_factory=lambda: iter((True,)))


class Receipt(Struct, frozen=True, kw_only=True):
    """Proof that a decision is durable. INVARIANT: built by `ledger.record` only, after the commit returned.

    Attributes:
        decision_id: which decision.
        position: where the store keeps its entry.
        leaf_hash: RFC 6962 leaf hash of the entry, 32 bytes.
        prepared: digest of the prepared token it stands for; empty for a refusal.
        id_token: digest of the prepared ID token that goes with it, or empty.
    """

    decision_id: str
    position: int
    leaf_hash: bytes
    prepared: bytes
    id_token: bytes = b""


class SignedToken(Struct, frozen=True, kw_only=True):
    """What leaves the building. INVARIANT: built by `mint.sign` only.

    Attributes:
        compact: the JWS compact serialization.
        decision_id: its `jti`.
        expires_in: seconds from issue.
        token_type, issued: as prepared.
    """

    compact: str
    decision_id: str
    expires_in: int
    token_type: str
    issued: str = ACCESS_TOKEN

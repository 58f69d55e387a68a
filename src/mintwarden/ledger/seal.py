"""Facts, question and claim values, sealed beside the entry under the subject's key.

    pair of a decision    = HMAC-SHA-512(ledger secret, salt || id)     a cipher key and a blinding value; gone
                                                                        when the subject's salt is erased
    commitment            = SHA-256(0x00 || blinding || document)       in the entry, public
    reference of a person = SHA-256(0x01 || blinding || entity key)     in the entry, public
    digest of the token   = SHA-256(0x02 || blinding || SHA-256(token)) in the entry, public

The blinding value hides low-entropy facts, and a person's name in a token, from anyone who guesses, for good once
the salt is gone. It may be given to somebody for one decision without giving away any other.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.hmac import HMAC
from msgspec import Struct

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid

SALT_SIZE = 32
ID_SIZE = 16
_VERSION = b"\x01"
# INVARIANT: each pair's cipher key seals one document, so that a fixed nonce never repeats under a key. Sealing
# the same decision again under the same subject key happens only with the same document.
_NONCE = bytes(12)


class SubjectSalt(Protocol):
    """A subject's stored key: what names it and the random half of it."""

    @property
    def id(self) -> int: ...

    @property
    def salt(self) -> bytes: ...


class SealKey(Struct, frozen=True):
    """A subject's key as used for one entry: `id` 0 means that it is new and `salt` is to be stored."""

    id: int
    salt: bytes


class Sealed(NamedTuple):
    """A sealed document, what commits to it, and the decision's blinding value (secret)."""

    blob: bytes
    commitment: bytes
    blinding: bytes


class Opened(NamedTuple):
    """A document that was sealed, and the decision's blinding value (secret)."""

    document: bytes
    blinding: bytes


class Sealer:
    """Seals and opens. `secret` comes of the master key; whoever has it and the store can open everything."""

    def __init__(self, *, secret: bytes, random_bytes: Callable[[int], bytes]) -> None:
        if len(secret) < 32:
            raise ValueError("the ledger secret is too short")
        # Begun once and copied: to look the algorithm up for each entry takes longer than the derivation.
        self._keyed = HMAC(secret, SHA512())
        self._random_bytes = random_bytes

    def fresh(self) -> SealKey:
        """A key for a subject that has none."""
        return SealKey(0, self._random_bytes(SALT_SIZE))

    def seal(self, salt: bytes, decision_id: bytes, document: bytes) -> Sealed:
        """Encrypt `document`, bound to the decision, and commit to it."""
        pair = self._pair(salt, decision_id)
        blinding = pair[32:]
        blob = _VERSION + AESGCM(pair[:32]).encrypt(_NONCE, document, decision_id)
        return Sealed(blob, commitment(blinding, document), blinding)

    def open(self, salt: bytes, decision_id: bytes, blob: bytes, expected: bytes) -> bytes:
        """The document, checked against the entry's commitment `expected`; errors as for `reveal`."""
        return self.reveal(salt, decision_id, blob, expected).document

    def reveal(self, salt: bytes, decision_id: bytes, blob: bytes, expected: bytes) -> Opened:
        """The document, checked against the entry's commitment `expected`, and the decision's blinding value.

        Raises `MintwardenError(LEDGER)` when it was changed, belongs to another decision or is not what the
        entry commits to.
        """
        pair = self._pair(salt, decision_id)
        try:
            if blob[:1] != _VERSION:
                raise InvalidTag
            document = AESGCM(pair[:32]).decrypt(_NONCE, blob[1:], decision_id)
        except InvalidTag:
            raise MintwardenError(
                ErrorKind.LEDGER,
                "the sealed facts cannot be opened",
                hint="they were changed, moved to another entry, or sealed under another master key",
            ) from None
        if not hmac.compare_digest(commitment(pair[32:], document), expected):
            raise MintwardenError(
                ErrorKind.LEDGER,
                "the sealed facts are not the ones that the entry commits to",
                hint="run `mintwarden ledger audit`",
            )
        return Opened(document, pair[32:])

    def blinding(self, salt: bytes, decision_id: bytes) -> bytes:
        """The blinding value of one decision: with it, anyone can check commitment and references."""
        return self._pair(salt, decision_id)[32:]

    def _pair(self, salt: bytes, decision_id: bytes) -> bytes:
        # INVARIANT: the id has a fixed length, so that salt and id cannot be divided in another way.
        if len(decision_id) != ID_SIZE:
            raise ValueError("a decision id has 16 bytes")
        keyed = self._keyed.copy()
        keyed.update(salt + decision_id)
        return keyed.finalize()


def commitment(blinding: bytes, document: bytes) -> bytes:
    """32 bytes that fix `document` and tell nothing about it to whoever lacks `blinding`."""
    return sha256(b"\x00" + blinding + document).digest()


def reference(blinding: bytes, uid: EntityUid) -> str:
    """The public name of a person in one entry: 32 hexadecimal digits, different in every entry."""
    return sha256(b"\x01" + blinding + f"{uid.type}:{uid.id}".encode()).hexdigest()[:32]


def token_digest(blinding: bytes, prepared: bytes) -> str:
    """What fixes a prepared token, of digest `prepared`, in its entry.

    INVARIANT: never the digest itself: all of a token but its subject is public or easily guessed.
    """
    return sha256(b"\x02" + blinding + prepared).hexdigest()

"""Signed notes with Ed25519 (C2SP signed-note): key ids, verifier keys, reading, signing, verifying."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from hashlib import sha256
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from mintwarden.model.errors import ErrorKind, MintwardenError

ED25519 = 0x01
COSIGNATURE = 0x04
"""Ed25519 cosignature with a time (C2SP tlog-cosignature)."""

MAX_NOTE = 1 << 20
MAX_SIGNATURES = 100
_PREFIX = "— "
_P = 2**255 - 19
_SMALL_ORDER = frozenset(
    bytes.fromhex(point)
    for point in (
        "00" * 32,
        "01" + "00" * 31,
        "ec" + "ff" * 30 + "7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
)
"""Encodings of the points of small order, sign bit cleared: under such a key anyone can sign."""


class VerifierKey(Struct, frozen=True):
    """A name, the algorithm byte and the public key it stands for; `id` is its key id, 4 bytes."""

    name: str
    algorithm: int
    public: bytes
    id: bytes

    def __str__(self) -> str:
        material = base64.b64encode(bytes([self.algorithm]) + self.public).decode()
        return f"{self.name}+{self.id.hex()}+{material}"


class Signature(Struct, frozen=True):
    """One signature line. `blob` is what follows the key id."""

    name: str
    key_id: bytes
    blob: bytes


class Note(Struct, frozen=True):
    """A text, ending in a newline, and the signatures under it."""

    text: str
    signatures: tuple[Signature, ...]

    def to_bytes(self) -> bytes:
        """The note as it is served."""
        lines = "".join(
            f"{_PREFIX}{line.name} {base64.b64encode(line.key_id + line.blob).decode()}\n" for line in self.signatures
        )
        return f"{self.text}\n{lines}".encode()


class NoteSigner(Protocol):
    """Signs note texts under one verifier key."""

    @property
    def key(self) -> VerifierKey: ...

    async def sign(self, data: bytes) -> bytes:
        """The raw Ed25519 signature, 64 bytes."""
        ...


class Ed25519NoteSigner:
    """A `NoteSigner` whose key is in memory."""

    def __init__(self, *, name: str, private: Ed25519PrivateKey) -> None:
        self._private = private
        self._key = verifier_key(name, private.public_key().public_bytes_raw())

    @property
    def key(self) -> VerifierKey:
        """Its verifier key."""
        return self._key

    async def sign(self, data: bytes) -> bytes:
        """The raw signature."""
        return self._private.sign(data)


def malformed(what: str) -> MintwardenError:
    """The refusal of something that is not what it should be."""
    return MintwardenError(ErrorKind.LEDGER, what)


def check_name(name: str) -> str:
    """`name` if it may name a key or a log: not empty, no spaces, no `+`, at most 255 bytes."""
    if not name or len(name.encode("utf-8", "replace")) > 255:
        raise malformed("a key name must have 1 to 255 bytes")
    if any(char.isspace() or char == "+" or not char.isprintable() for char in name):
        shown = name.encode("unicode_escape").decode()
        raise malformed(f"the key name `{shown}` has spaces, `+` or control characters")
    return name


def verifier_key(name: str, public: bytes, algorithm: int = ED25519) -> VerifierKey:
    """The verifier key of a raw Ed25519 public key. Raises `MintwardenError(LEDGER)` for a weak one."""
    check_name(name)
    if len(public) != 32:
        raise malformed("an Ed25519 public key has 32 bytes")
    plain = public[:31] + bytes([public[31] & 0x7F])
    if plain in _SMALL_ORDER or int.from_bytes(plain, "little") >= _P:
        raise malformed(f"the key of `{name}` is weak: signatures under it can be forged")
    key_id = sha256(name.encode() + b"\n" + bytes([algorithm]) + public).digest()[:4]
    return VerifierKey(name, algorithm, public, key_id)


def parse_verifier_key(text: str) -> VerifierKey:
    """Read `<name>+<key id>+<base64>`; raises `MintwardenError(LEDGER)`."""
    name, plus, rest = text.strip().partition("+")
    if not plus or len(rest) < 10 or rest[8] != "+":
        raise malformed("a verifier key is written `<name>+<key id>+<base64>`")
    material = decode_base64(rest[9:])
    if not material or material[0] not in (ED25519, COSIGNATURE):
        raise malformed(f"the verifier key of `{name}` has an unknown algorithm")
    key = verifier_key(name, material[1:], material[0])
    if key.id.hex() != rest[:8].lower():
        raise malformed(f"the verifier key of `{name}` does not have the key id it states")
    return key


def decode_base64(text: str) -> bytes:
    """Canonical base64 with padding (RFC 4648 section 3.5); raises `MintwardenError(LEDGER)`."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise malformed("not base64") from None
    if base64.b64encode(data).decode() != text:
        raise malformed("not canonical base64")
    return data


def parse_note(data: bytes) -> Note:
    """Read a signed note, its signatures unverified; raises `MintwardenError(LEDGER)`."""
    if len(data) > MAX_NOTE:
        raise malformed("the note is too long")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise malformed("the note is not UTF-8") from None
    if any(char < " " and char != "\n" for char in text):
        raise malformed("the note has control characters")
    body, gap, block = text.rpartition("\n\n")
    if not gap or not body or not block.endswith("\n"):
        raise malformed("the note has no signatures")
    return Note(body + "\n", parse_signatures(block))


def parse_signatures(block: str) -> tuple[Signature, ...]:
    """Read signature lines, each ending in a newline; raises `MintwardenError(LEDGER)`."""
    if not block.endswith("\n"):
        raise malformed("a signature line does not end")
    lines = block[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise malformed("the note has too many signatures")
    return tuple([_parse_signature(line) for line in lines])


def _parse_signature(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_PREFIX).partition(" ")
    if not line.startswith(_PREFIX) or not space:
        raise malformed("a signature line does not have the form `— <name> <base64>`")
    raw = decode_base64(encoded)
    if len(raw) < 5:
        raise malformed("a signature is too short")
    return Signature(check_name(name), raw[:4], raw[4:])


async def sign_note(text: str, signer: NoteSigner) -> Note:
    """`text` with one signature."""
    blob = await signer.sign(text.encode())
    return Note(text, (Signature(signer.key.name, signer.key.id, blob),))


def verify_signature(key: VerifierKey, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) is `key`'s over `message`."""
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def verified_by(note: Note, keys: Sequence[VerifierKey]) -> tuple[VerifierKey, ...]:
    """Which of `keys` signed the note's text; empty when none did.

    Raises `MintwardenError(LEDGER)` when a signature claims to be by one of `keys` and does not verify:
    the whole note is then void (C2SP signed-note). Signatures of unknown keys count for nothing.
    """
    known = {(key.name, key.id): key for key in keys if key.algorithm == ED25519}
    found: list[VerifierKey] = []
    for line in note.signatures:
        key = known.get((line.name, line.key_id))
        if key is None:
            continue
        if key in found:
            raise malformed(f"the note has two signatures of `{key.name}`")
        if not verify_signature(key, note.text.encode(), line.blob):
            raise malformed(f"the signature of `{key.name}` does not verify")
        found.append(key)
    return tuple(found)

"""Checkpoints (C2SP tlog-checkpoint): a tree head as a signed note, and cosignatures (C2SP tlog-cosignature)."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from msgspec import Struct

from mintwarden.ledger.note import (
    COSIGNATURE,
    Note,
    NoteSigner,
    Signature,
    VerifierKey,
    check_name,
    decode_base64,
    malformed,
    parse_note,
    sign_note,
    verified_by,
    verify_signature,
)
from mintwarden.ledger.tree import EMPTY_ROOT, HASH_SIZE

MAX_SIZE = 2**63 - 1


class Checkpoint(Struct, frozen=True):
    """What a log commits to. `extensions` are further lines, which signatures cover."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """The note text."""
        root = base64.b64encode(self.root).decode()
        return "".join(f"{line}\n" for line in (self.origin, str(self.size), root, *self.extensions))


class Cosigned(Struct, frozen=True):
    """A witness's cosignature: who, and when by its own clock (seconds)."""

    witness: VerifierKey
    at: int


class VerifiedCheckpoint(Struct, frozen=True):
    """A checkpoint whose signatures hold: the log keys that signed it and the witnesses that cosigned it."""

    checkpoint: Checkpoint
    keys: tuple[VerifierKey, ...]
    cosigned: tuple[Cosigned, ...]
    note: Note


def parse_decimal(text: str) -> int:
    """A size: ASCII decimal without leading zeroes; raises `MintwardenError(LEDGER)`."""
    if not (text.isascii() and text.isdigit()) or (text[0] == "0" and text != "0") or len(text) > 19:
        raise malformed("not a size")
    if int(text) > MAX_SIZE:
        raise malformed("not a size")
    return int(text)


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a note text as a checkpoint; raises `MintwardenError(LEDGER)`."""
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() != "" or not all(lines):
        raise malformed("a checkpoint has an origin, a size and a root, each on its line")
    root = decode_base64(lines[2])
    if len(root) != HASH_SIZE:
        raise malformed("a checkpoint's root has 32 bytes")
    checkpoint = Checkpoint(check_name(lines[0]), parse_decimal(lines[1]), root, tuple(lines[3:]))
    if checkpoint.size == 0 and root != EMPTY_ROOT:
        raise malformed("a checkpoint of size 0 must carry the root of the empty tree")
    return checkpoint


async def sign_checkpoint(checkpoint: Checkpoint, signer: NoteSigner) -> bytes:
    """The checkpoint as a signed note."""
    check_name(checkpoint.origin)
    return (await sign_note(checkpoint.text(), signer)).to_bytes()


def verify_checkpoint(
    data: bytes,
    *,
    keys: Sequence[VerifierKey],
    origin: str = "",
    witnesses: Sequence[VerifierKey] = (),
    quorum: int = 0,
) -> VerifiedCheckpoint:
    """The checkpoint in a signed note, its signatures checked.

    Raises `MintwardenError(LEDGER)` when it is malformed, has another origin than `origin` (unless empty), no
    signature of one of `keys`, or fewer than `quorum` cosignatures of `witnesses`.
    """
    note = parse_note(data)
    checkpoint = parse_checkpoint(note.text)
    if origin and checkpoint.origin != origin:
        raise malformed(f"the checkpoint is of the log `{checkpoint.origin}`")
    signed = verified_by(note, keys)
    if not signed:
        raise malformed("the checkpoint has no signature of a trusted key")
    cosigned = cosignatures(note, witnesses)
    if len(cosigned) < quorum:
        raise malformed(f"the checkpoint has {len(cosigned)} of {quorum} cosignatures")
    return VerifiedCheckpoint(checkpoint, signed, cosigned, note)


def cosignature_message(text: str, at: int) -> bytes:
    """What a cosignature at `at` (seconds) signs."""
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def cosignatures(note: Note, witnesses: Sequence[VerifierKey]) -> tuple[Cosigned, ...]:
    """The valid cosignatures of known witnesses; raises when one that claims to be theirs does not verify."""
    known = {(key.name, key.id): key for key in witnesses if key.algorithm == COSIGNATURE}
    found: dict[bytes, Cosigned] = {}
    for line in note.signatures:
        key = known.get((line.name, line.key_id))
        if key is None:
            continue
        at = cosignature_time(key, note.text, line)
        if at is None:
            raise malformed(f"the cosignature of `{key.name}` does not verify")
        # The message does not name the witness: one key under two names counts once.
        found.setdefault(key.public, Cosigned(key, at))
    return tuple(found.values())


def cosignature_time(key: VerifierKey, text: str, line: Signature) -> int | None:
    """When the cosignature was made (seconds), or None if it does not verify."""
    if len(line.blob) != 72:
        return None
    at = int.from_bytes(line.blob[:8], "big")
    return at if verify_signature(key, cosignature_message(text, at), line.blob[8:]) else None


def with_signatures(data: bytes, more: Sequence[Signature]) -> bytes:
    """The signed note with `more` signatures, each signer's once, the old ones first and unchanged."""
    note = parse_note(data)
    present = {(line.name, line.key_id) for line in note.signatures}
    added = tuple(line for line in more if (line.name, line.key_id) not in present)
    return Note(note.text, note.signatures + added).to_bytes()

"""A proof in one file: the entry, its place, the path to a root, and the signed checkpoint that has the root.

Two forms, both with everything that offline verification takes besides the verifier key: a JSON object whose
members other tools read too, and C2SP tlog-proof, whose `extra` line holds the entry.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from msgspec import Struct

from mintwarden.ledger.checkpoint import VerifiedCheckpoint, parse_decimal, verify_checkpoint
from mintwarden.ledger.entry import MAX_ENTRY
from mintwarden.ledger.note import VerifierKey, decode_base64, malformed
from mintwarden.ledger.proof import verify_inclusion
from mintwarden.ledger.reveal import read_entry
from mintwarden.ledger.tree import HASH_SIZE, leaf_hash

TLOG_PROOF = "c2sp.org/tlog-proof@v1"
MAX_FILE = 1 << 20
MAX_PATH = 63
_MEMBERS = frozenset({"body_or_ct", "checkpoint_note", "entry_bytes", "envelope", "inclusion_proof", "index"})


class EntryProof(Struct, frozen=True):
    """The parts of a proof, unverified when they were read from a file."""

    entry: bytes
    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes


class ProvenEntry(Struct, frozen=True):
    """An entry that stands in the log at `index`, under a checkpoint whose signatures hold."""

    entry: Mapping[str, Any]
    index: int
    leaf: bytes
    checkpoint: VerifiedCheckpoint


def write_json(proof: EntryProof) -> bytes:
    """The proof as a JSON object. `envelope` and `body_or_ct` are null: members of the shared form we do not use."""
    members = {
        "entry_bytes": _base64url(proof.entry),
        "index": proof.index,
        "inclusion_proof": [base64.b64encode(part).decode() for part in proof.path],
        "checkpoint_note": _base64url(proof.checkpoint),
        "envelope": None,
        "body_or_ct": None,
    }
    return json.dumps(members, indent=2).encode() + b"\n"


def write_tlog_proof(proof: EntryProof) -> bytes:
    """The proof as C2SP tlog-proof."""
    lines = [
        TLOG_PROOF,
        f"extra {base64.b64encode(proof.entry).decode()}",
        f"index {proof.index}",
        *[base64.b64encode(part).decode() for part in proof.path],
        "",
        "",
    ]
    return "\n".join(lines).encode() + proof.checkpoint


def read_proof(data: bytes) -> EntryProof:
    """Read either form; raises `MintwardenError(LEDGER)` for anything else."""
    if len(data) > MAX_FILE:
        raise malformed("the proof is too long")
    proof = _read_tlog_proof(data) if data.startswith(TLOG_PROOF.encode()) else _read_json(data)
    if len(proof.entry) > MAX_ENTRY or len(proof.path) > MAX_PATH:
        raise malformed("the proof is too long")
    if any(len(part) != HASH_SIZE for part in proof.path):
        raise malformed("a hash of the proof does not have 32 bytes")
    return proof


def verify_proof(
    proof: EntryProof,
    *,
    keys: Sequence[VerifierKey],
    origin: str = "",
    witnesses: Sequence[VerifierKey] = (),
    quorum: int = 0,
) -> ProvenEntry:
    """What the proof proves, without any I/O.

    Raises `MintwardenError(LEDGER)` when the checkpoint is not signed by one of `keys` (and `quorum` of
    `witnesses`), the entry is not under its root, or is not an entry.
    """
    checkpoint = verify_checkpoint(proof.checkpoint, keys=keys, origin=origin, witnesses=witnesses, quorum=quorum)
    head, leaf = checkpoint.checkpoint, leaf_hash(proof.entry)
    if not verify_inclusion(leaf=leaf, index=proof.index, size=head.size, proof=proof.path, root=head.root):
        raise malformed("the entry is not in the tree of the checkpoint")
    return ProvenEntry(read_entry(proof.entry), proof.index, leaf, checkpoint)


def _read_json(data: bytes) -> EntryProof:
    try:
        members = json.loads(data.decode(), object_pairs_hook=_distinct, parse_float=_refuse, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise malformed("the file is not a proof") from None
    if not isinstance(members, dict) or members.keys() != _MEMBERS:
        raise malformed("the file does not have the members of a proof")
    index, path = members["index"], members["inclusion_proof"]
    if type(index) is not int or index < 0 or not isinstance(path, list):
        raise malformed("the proof's index or path is malformed")
    if members["envelope"] is not None or members["body_or_ct"] is not None:
        raise malformed("the proof has an envelope, which entries of this log never have")
    return EntryProof(
        _read_base64url(members["entry_bytes"]),
        index,
        tuple([decode_base64(part) if isinstance(part, str) else _refuse(part) for part in path]),
        _read_base64url(members["checkpoint_note"]),
    )


def _read_tlog_proof(data: bytes) -> EntryProof:
    head, gap, checkpoint = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise malformed("the proof is not ASCII") from None
    if not gap or len(lines) < 3 or lines[0] != TLOG_PROOF:
        raise malformed("the file is not a proof")
    extra, index = lines[1], lines[2]
    if not extra.startswith("extra ") or not index.startswith("index "):
        raise malformed("the proof does not carry its entry and index")
    return EntryProof(
        decode_base64(extra.removeprefix("extra ")),
        parse_decimal(index.removeprefix("index ")),
        tuple([decode_base64(line) for line in lines[3:]]),
        checkpoint,
    )


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members


def _refuse(_: object) -> NoReturn:
    raise malformed("the file is not a proof")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _read_base64url(text: object) -> bytes:
    if not isinstance(text, str) or not text.isascii():
        raise malformed("the proof is not base64url")
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise malformed("the proof is not base64url") from None
    if _base64url(data) != text:
        raise malformed("the proof is not canonical base64url")
    return data

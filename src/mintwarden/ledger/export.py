"""The ledger as JSON lines: first the checkpoint, then every entry that it covers, in order.

Resumable: the first line fixes the tree, so that an export that was cut goes on behind its last whole line and
ends with the same bytes as one that was not.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterable, Sequence

from msgspec import Struct

from mintwarden.ledger.checkpoint import VerifiedCheckpoint, parse_checkpoint, verify_checkpoint
from mintwarden.ledger.note import VerifierKey, malformed, parse_note
from mintwarden.ledger.ports import EntryReader
from mintwarden.ledger.published import PublishedLog
from mintwarden.ledger.tree import Edge, leaf_hash
from mintwarden.model.errors import ErrorKind, FatalLedgerError, MintwardenError

FORMAT = "mintwarden-ledger/1"
_CHUNK = 256


class ExportState(Struct, frozen=True):
    """Where an export stands: its checkpoint, whether lines have proofs, the next index, the bytes kept."""

    checkpoint: bytes
    proofs: bool
    next_index: int
    kept: int


async def start_export(log: PublishedLog, *, proofs: bool) -> tuple[ExportState, bytes]:
    """A new export of the present tree: its state and first line."""
    note = await log.checkpoint()
    head = parse_checkpoint(parse_note(note).text)
    members = {
        "format": FORMAT,
        "origin": head.origin,
        "size": head.size,
        "proofs": proofs,
        "checkpoint": note.decode(),
    }
    line = json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    return ExportState(note, proofs, 0, len(line)), line


def resume_export(lines: Iterable[bytes]) -> ExportState:
    """The state of an export that was cut; what follows its last whole line is to be dropped.

    Raises `MintwardenError(LEDGER)` when it is none.
    """
    state: ExportState | None = None
    for line in lines:
        if not line.endswith(b"\n"):
            break
        if state is None:
            state = _first_line(line)
            continue
        if not line.startswith(b'{"index":%d,' % state.next_index):
            raise malformed(f"line {state.next_index + 2} of the export is not entry {state.next_index}")
        state = ExportState(state.checkpoint, state.proofs, state.next_index + 1, state.kept + len(line))
    if state is None:
        raise malformed("the file is not an export")
    return state


def verify_export(
    lines: Iterable[bytes],
    *,
    keys: Sequence[VerifierKey],
    origin: str = "",
    witnesses: Sequence[VerifierKey] = (),
    quorum: int = 0,
) -> VerifiedCheckpoint:
    """The checkpoint of a whole export, every entry of which has been found under its root, without any I/O.

    Raises `MintwardenError(LEDGER)` when the export is not whole, was changed, or its checkpoint does not hold.
    """
    state: ExportState | None = None
    edge, at = Edge(), 0
    for line in lines:
        if state is None:
            state = _first_line(line)
            continue
        edge.grow([_leaf_of(line, at)])
        at += 1
    if state is None:
        raise malformed("the file is not an export")
    found = verify_checkpoint(state.checkpoint, keys=keys, origin=origin, witnesses=witnesses, quorum=quorum)
    if edge.size != found.checkpoint.size:
        raise malformed(f"the export has {edge.size} of {found.checkpoint.size} entries")
    if edge.root() != found.checkpoint.root:
        raise malformed("the entries do not make the root of the checkpoint")
    return found


def _leaf_of(line: bytes, index: int) -> bytes:
    head, mark, tail = line.partition(b',"entry":')
    if not mark or not tail.endswith(b"}\n") or not head.startswith(b'{"index":%d,' % index):
        raise malformed(f"line {index + 2} of the export is not entry {index}")
    leaf = leaf_hash(tail[:-2])
    if b'"leaf":"%s"' % base64.b64encode(leaf) not in head:
        raise malformed(f"entry {index} of the export does not have the leaf hash it states")
    return leaf


async def export_lines(
    state: ExportState, *, log: PublishedLog, entries: EntryReader, chunk: int = _CHUNK
) -> AsyncIterator[bytes]:
    """The lines from `state.next_index` on, several in one piece."""
    head = parse_checkpoint(parse_note(state.checkpoint).text)
    if await log.root(head.size) != head.root:
        raise MintwardenError(ErrorKind.LEDGER, "the export was made of another tree", hint="start it anew")
    at = state.next_index
    while at < head.size:
        count = min(chunk - at % chunk, head.size - at)
        rows = await entries.by_index(at, count)
        if [row.index for row in rows] != list(range(at, at + count)):
            raise FatalLedgerError("published entries are missing", hint="run `mintwarden ledger audit`")
        proofs = await log.inclusion_proofs(at, count, head.size) if state.proofs else [None] * count
        yield b"".join([_line(at + n, row.leaf_hash, row.entry, proofs[n]) for n, row in enumerate(rows)])
        at += count


def _line(index: int, leaf: bytes, entry: bytes, proof: list[bytes] | None) -> bytes:
    # The entry stands as it is: its canonical bytes are those of its leaf.
    path = b""
    if proof is not None:
        path = b',"proof":[' + b",".join([b'"' + base64.b64encode(part) + b'"' for part in proof]) + b"]"
    return b'{"index":%d,"leaf":"%s"%s,"entry":%s}\n' % (index, base64.b64encode(leaf), path, entry)


def _first_line(line: bytes) -> ExportState:
    try:
        members = json.loads(line)
        if members["format"] != FORMAT or not isinstance(members["proofs"], bool):
            raise ValueError(FORMAT)
        note = members["checkpoint"].encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise malformed("the file is not an export") from None
    parse_checkpoint(parse_note(note).text)
    return ExportState(note, members["proofs"], 0, len(line))

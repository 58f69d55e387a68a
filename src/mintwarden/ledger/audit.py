"""Reads the whole ledger again and believes nothing: entries, leaves, tiles, root, checkpoint, seals, counts.

The chain that is checked, each link against the next: the entry's bytes, its leaf hash, the published tiles, the
root, the signed checkpoint, and every checkpoint kept from earlier. What a log rewrote together with its own
checkpoint shows only against such a kept or cosigned one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from mintwarden.ledger.checkpoint import Checkpoint, parse_checkpoint, verify_checkpoint
from mintwarden.ledger.entry import GOVERNANCE_KINDS
from mintwarden.ledger.note import VerifierKey, parse_note, verified_by
from mintwarden.ledger.ports import EntryReader, Head, StoredEntry, SubjectKeys, TreeStore
from mintwarden.ledger.published import PublishedLog
from mintwarden.ledger.reveal import read_entry
from mintwarden.ledger.seal import Sealer
from mintwarden.ledger.tiles import bundle_path, split_hashes, tile_path, width_at
from mintwarden.ledger.tree import EMPTY_ROOT, TILE_WIDTH, Edge, leaf_hash
from mintwarden.model.errors import MintwardenError
from mintwarden.model.ids import decision_text

FindingKind = Literal[
    "edited_entry",  # an entry is not the one that was published, or not the one of its leaf hash
    "dropped_entry",  # a published entry is not there
    "reordered_entry",  # a published entry stands in another place
    "not_canonical",  # an entry is not in the one form that entries have
    "wrong_id",  # an entry is filed under another decision id than it states
    "duplicate_id",  # two entries state the same decision id
    "wrong_seal",  # sealed facts are not those that the entry commits to
    "wrong_tile",  # a published tile is missing or does not follow from those below
    "wrong_count",  # the store counts other entries than it has
    "rewritten_checkpoint",  # the checkpoint is not what was signed, or not that of the tree
    "swapped_key",  # the checkpoint is signed by a key that is not trusted
    "forked_tree",  # the tree does not continue one that was signed before
    "truncated",  # the tree is smaller than one that was signed before
]


class Finding(Struct, frozen=True, omit_defaults=True):
    """Something that must not be. `index` is the leaf it is about, -1 for the log as a whole."""

    kind: FindingKind
    detail: str
    index: int = -1


class AuditReport(Struct, frozen=True, kw_only=True):
    """What was read and what is wrong with it.

    Attributes:
        size, root: the tree that was audited.
        waiting: durable entries that no checkpoint covers yet.
        opened, erased: sealed parts that were checked, and those whose key is gone (not replayable).
        compared: how many earlier checkpoints the tree was held against.
        findings: in the order found; when `complete` is false there are more.
    """

    size: int
    root: str
    waiting: int
    opened: int
    erased: int
    compared: int
    findings: tuple[Finding, ...]
    complete: bool = True

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.findings


class _Full(Exception):
    """Enough has been found."""


class _Means(NamedTuple):
    entries: EntryReader
    log: PublishedLog
    sealer: Sealer | None
    subject_keys: SubjectKeys | None
    max_findings: int


class Auditor:
    """Audits one log. With `sealer` and `subject_keys` it also opens what is sealed."""

    def __init__(
        self,
        *,
        tree: TreeStore,
        entries: EntryReader,
        keys: Sequence[VerifierKey],
        origin: str,
        sealer: Sealer | None = None,
        subject_keys: SubjectKeys | None = None,
        max_findings: int = 100,
    ) -> None:
        self._means = _Means(entries, PublishedLog(tree=tree, entries=entries), sealer, subject_keys, max_findings)
        self._keys = tuple(keys)
        self._origin = origin

    async def audit(
        self, *, against: Sequence[bytes] = (), progress: Callable[[int, int], None] | None = None
    ) -> AuditReport:
        """Read everything that the present head covers, and what waits behind it.

        `against` are checkpoints kept from earlier, signed by a trusted key; raises `MintwardenError(LEDGER)`
        for one that is not. `progress` hears how many entries of how many have been read.
        """
        head = await self._means.log.head()
        kept = [verify_checkpoint(note, keys=self._keys, origin=self._origin).checkpoint for note in against]
        walk = _Walk(self._means, head, kept)
        complete = True
        try:
            self._check_head(head, walk)
            for old in kept:
                if old.size > head.size:
                    walk.find("truncated", f"a checkpoint of {old.size} entries was signed, there are {head.size}")
            await walk.entries(progress)
            await walk.waiting_entries()
        except _Full:
            complete = False
        return AuditReport(
            size=head.size,
            root=head.root.hex(),
            waiting=walk.waiting,
            opened=walk.opened,
            erased=walk.erased,
            compared=len(kept),
            findings=tuple(walk.findings),
            complete=complete,
        )

    def _check_head(self, head: Head, walk: _Walk) -> None:
        if not head.checkpoint and not head.size:
            return
        try:
            note = parse_note(head.checkpoint)
            checkpoint = parse_checkpoint(note.text)
            signed = verified_by(note, self._keys)
        except MintwardenError as error:
            walk.find("rewritten_checkpoint", error.public)
            return
        if not signed:
            names = ", ".join(f"`{line.name}` {line.key_id.hex()}" for line in note.signatures[:4])
            walk.find("swapped_key", f"the checkpoint is signed by {names}, none of which is trusted")
        if checkpoint.origin != self._origin:
            walk.find("rewritten_checkpoint", f"the checkpoint is of the log `{checkpoint.origin}`")
        if (checkpoint.size, checkpoint.root) != (head.size, head.root):
            walk.find("rewritten_checkpoint", "the checkpoint states another size or root than the stored head")


class _Walk:
    """One pass over the entries: what has been read so far and what was found."""

    def __init__(self, means: _Means, head: Head, kept: Sequence[Checkpoint]) -> None:
        self._means = means
        self._head = head
        self._kept = sorted(kept, key=lambda checkpoint: checkpoint.size)
        self._edge = Edge()
        self._ids: set[bytes] = set()
        self._salts: dict[int, bytes | None] = {}
        self.findings: list[Finding] = []
        self.opened = self.erased = self.waiting = 0

    def find(self, kind: FindingKind, detail: str, index: int = -1) -> None:
        self.findings.append(Finding(kind, detail, index))
        if len(self.findings) >= self._means.max_findings:
            raise _Full

    async def entries(self, progress: Callable[[int, int], None] | None) -> None:
        size = self._head.size
        self._compare_kept()
        for start in range(0, size, TILE_WIDTH):
            width = min(TILE_WIDTH, size - start)
            published = await self._published_leaves(start // TILE_WIDTH, width)
            rows = await self._means.entries.by_index(start, width)
            leaves = await self._tile(start, width, rows, published)
            await self._grow(leaves)
            if progress is not None:
                progress(start + width, size)
        await self._check_partial_tiles()
        if self._edge.root() != (self._head.root if size else EMPTY_ROOT):
            self.find("forked_tree", "the entries and tiles do not make the root that the head states")

    async def waiting_entries(self) -> None:
        """Entries behind the head: their form, and that the store counts what it has."""
        at, entries = self._head.size, self._means.entries
        while rows := await entries.by_index(at, TILE_WIDTH):
            for row in rows:
                await self._entry(row, at)
                at += 1
        self.waiting = await entries.count() - self._head.size
        if self.waiting < at - self._head.size:
            self.find("wrong_count", f"the store counts {self.waiting + self._head.size} entries and has {at}")

    async def _published_leaves(self, index: int, width: int) -> list[bytes] | None:
        data = await self._stored(0, index, width)
        if data is None:
            self.find("wrong_tile", f"tile `{tile_path(0, index, width)}` is missing or cut", index * TILE_WIDTH)
            return None
        return split_hashes(data)

    async def _stored(self, level: int, index: int, width: int) -> bytes | None:
        try:
            return await self._means.log.tile(tile_path(level, index, width))
        except MintwardenError:
            return None

    async def _tile(
        self, start: int, width: int, rows: Sequence[StoredEntry], published: Sequence[bytes] | None
    ) -> list[bytes]:
        """Check the entries under one tile; the leaves that the tree is to be recomputed from."""
        by_index = {row.index: row for row in rows}
        places = {leaf: start + n for n, leaf in enumerate(published or ())}
        leaves: list[bytes] = []
        for index in range(start, start + width):
            row = by_index.get(index)
            expected = published[index - start] if published is not None else None
            if row is None:
                self.find("dropped_entry", f"entry {index} is missing from `{bundle_path(start // TILE_WIDTH)}`", index)
                leaves.append(expected or b"\x00" * 32)
                continue
            found = await self._entry(row, index)
            if expected is not None and found != expected:
                self._misplaced(index, found, row.leaf_hash, places)
            leaves.append(expected or found)
        return leaves

    def _misplaced(self, index: int, found: bytes, stated: bytes, places: Mapping[bytes, int]) -> None:
        if found in places:
            self.find("reordered_entry", f"entry {index} was published as entry {places[found]}", index)
        elif found == stated:  # otherwise `_entry` has said so
            self.find("edited_entry", f"entry {index} is not the one that was published", index)

    async def _entry(self, row: StoredEntry, index: int) -> bytes:
        """Check one entry by itself; its leaf hash as computed from its bytes."""
        leaf = leaf_hash(row.entry)
        if leaf != row.leaf_hash:
            self.find("edited_entry", f"entry {index} does not have the leaf hash it is filed under", index)
        try:
            entry = read_entry(row.entry)
        except MintwardenError as error:
            self.find("not_canonical", f"entry {index}: {error.public}", index)
            return leaf
        if entry["kind"] != "decision" and entry["kind"] not in GOVERNANCE_KINDS:
            self.find("not_canonical", f"entry {index} is of the unknown kind `{entry['kind']}`", index)
        if entry.get("id") != decision_text(row.decision_id):
            self.find("wrong_id", f"entry {index} is filed under `{decision_text(row.decision_id)}`", index)
        if row.decision_id in self._ids:
            self.find("duplicate_id", f"entry {index} has the decision id of an earlier one", index)
        self._ids.add(row.decision_id)
        await self._seal(row, entry, index)
        return leaf

    async def _seal(self, row: StoredEntry, entry: Mapping[str, Any], index: int) -> None:
        sealer = self._means.sealer
        if sealer is None or "facts" not in entry:
            return
        salt = await self._salt(row.key_id)
        if salt is None:
            self.erased += 1
            return
        try:
            sealer.open(salt, row.decision_id, row.sealed or b"", bytes.fromhex(str(entry["facts"])))
        except (MintwardenError, ValueError) as error:
            detail = error.public if isinstance(error, MintwardenError) else "the commitment is malformed"
            self.find("wrong_seal", f"entry {index}: {detail}", index)
            return
        self.opened += 1

    async def _salt(self, key_id: int) -> bytes | None:
        keys = self._means.subject_keys
        if keys is None:
            return None
        if key_id not in self._salts:
            if len(self._salts) >= 65_536:
                self._salts.clear()
            found = await keys.by_id(key_id)
            self._salts[key_id] = found[1] if found else None
        return self._salts[key_id]

    async def _grow(self, leaves: Sequence[bytes]) -> None:
        """Let the recomputed tree grow, stopping where an earlier checkpoint is to be compared."""
        at = 0
        while at < len(leaves):
            stop = len(leaves)
            if self._kept:
                stop = min(stop, at + self._kept[0].size - self._edge.size)
            for level, index, row in self._edge.grow(leaves[at:stop]):
                if level and await self._stored(level, index, TILE_WIDTH) != b"".join(row):
                    self.find("wrong_tile", f"tile `{tile_path(level, index)}` does not follow from those below")
            at = stop
            self._compare_kept()

    def _compare_kept(self) -> None:
        while self._kept and self._kept[0].size == self._edge.size:
            old = self._kept.pop(0)
            if self._edge.root() != old.root:
                self.find("forked_tree", f"the first {old.size} entries are not those of a checkpoint kept from then")

    async def _check_partial_tiles(self) -> None:
        for level, index, row in self._edge.partial():
            width = width_at(level, index, self._head.size)
            if level and await self._stored(level, index, width) != b"".join(row):
                self.find("wrong_tile", f"tile `{tile_path(level, index, width)}` does not follow from those below")

"""Brings the store's documents in line with a directory's files: read and check all of it, compare, then write."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from mintwarden.app.directory_files import Record, read_records, set_facts
from mintwarden.app.problem import Problem
from mintwarden.context.directory import Change, Grant, GroupTree, Layout, Part, RecordError, compare
from mintwarden.context.ports import Span
from mintwarden.model.catalogue import Catalogue
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.store import Store
from mintwarden.store.scratch import Gathered, Scratch
from mintwarden.store.store import DocumentChange

MOST_PROBLEMS = 50
SHOWN = 1000
PAGE = 1000
FEW = 10
"""So many documents may be removed whatever their share."""
_SPANS = dict[str, Span]

Progress = Callable[[str, int], None]
"""Called with a phase (`reading`, `checking`, `writing`) and how many records or documents of it are done."""


class DirectoryRefused(MintwardenError):
    """The files cannot be imported; nothing was written. `problems` lists what was found, up to a limit."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(ErrorKind.INVALID_REQUEST, str(problems[0]), hint=problems[0].remedy)
        self.problems = problems


class ShownChange(Struct, frozen=True):
    """One change, for whoever looks at the result."""

    source: str
    entity: str
    change: str
    facts: tuple[str, ...] = ()


class SourceResult(Struct, kw_only=True):
    """What happens to one source's documents. `kept` are not in the files and stay, since nobody asked to prune."""

    source: str
    added: int = 0
    changed: int = 0
    confirmed: int = 0
    removed: int = 0
    kept: int = 0


class ImportResult(Struct, kw_only=True):
    """The whole of it. `changes` holds the first thousand; `more` how many there are beyond."""

    dry_run: bool
    records: int
    groups: int
    sources: list[SourceResult]
    changes: list[ShownChange]
    more: int = 0


class Options(Struct, frozen=True, kw_only=True):
    """How to import.

    Attributes:
        dry_run: compare, and write nothing.
        prune: remove documents of the imported sources whose entities are not in the files.
        max_removed: the share of a source's documents, in percent, that a prune may remove.
        observed_at: when the directory was read, `Millis`.
    """

    dry_run: bool = False
    prune: bool = False
    max_removed: float = 20.0
    observed_at: int


async def import_directory(
    paths: Sequence[Path], catalogue: Catalogue, store: Store, options: Options, *, progress: Progress
) -> ImportResult:
    """Import the files. Memory is bounded by the number of groups, not of people.

    Nothing is written before everything was read and checked. Writing goes in many short transactions, so that
    tokens are issued meanwhile; whoever is interrupted runs it again. Raises `DirectoryRefused`.
    """
    plan = _Plan(catalogue, options)
    with Scratch() as scratch:
        plan.read(paths, scratch, progress)
        plan.check(scratch, progress)
        result = ImportResult(
            dry_run=options.dry_run, records=plan.records, groups=len(plan.tree), sources=[], changes=[]
        )
        if options.prune:
            await _refuse_emptying(plan, scratch, store, options)
        done = 0
        for source in scratch.sources():
            counted = SourceResult(source=source)
            result.sources.append(counted)
            async for changes in _compared(plan, scratch, store, source):
                writes = _count(changes, counted, result, options)
                if not options.dry_run:
                    await store.directory.apply(writes)
                done += len(changes)
                progress("writing", done)
        return result


class _Plan:
    """Reads and checks; collects what is wrong."""

    def __init__(self, catalogue: Catalogue, options: Options) -> None:
        self._layout = Layout(catalogue)
        self._sets = set_facts(
            (source.id, fact.name, fact.type.kind == "set")
            for source in catalogue.sources.values()
            for fact in source.facts.values()
        )
        self._now = options.observed_at
        self._problems: list[Problem] = []
        self._places: dict[str, tuple[str, int]] = {}
        self.tree = GroupTree()
        self.covered: dict[str, set[str]] = {}
        self.records = 0

    def read(self, paths: Sequence[Path], scratch: Scratch, progress: Progress) -> None:
        """Every record of the files into `scratch`."""
        for found in read_records(paths, self._sets):
            if isinstance(found, Problem):
                self._add(found)
                continue
            self.records += 1
            if self.records % PAGE == 0:
                progress("reading", self.records)
            try:
                self._take(found, scratch)
            except RecordError as error:
                self._add(Problem(found.file, found.line, error.problem, error.remedy))
        progress("reading", self.records)
        for group, found_wrong in self.tree.close():
            self._add(Problem(*self._places[group], found_wrong.problem, found_wrong.remedy))
        self.refuse_if_any()

    def check(self, scratch: Scratch, progress: Progress) -> None:
        """Make a document of everything said about each entity; all of it must be in order."""
        done = 0
        for source in scratch.sources():
            for gathered in scratch.gathered(source):
                try:
                    scratch.add_document(source, gathered.entity, self._document(source, gathered))
                except RecordError as error:
                    file, _, line = gathered.place.rpartition(":")
                    self._add(Problem(file, int(line), error.problem, error.remedy))
                done += 1
                if done % PAGE == 0:
                    progress("checking", done)
        progress("checking", done)
        self.refuse_if_any()

    def refuse_if_any(self) -> None:
        """Raise `DirectoryRefused` if anything was wrong so far."""
        if self._problems:
            raise DirectoryRefused(tuple(self._problems))

    def _take(self, record: Record, scratch: Scratch) -> None:
        place = f"{record.file}:{record.line}"
        if record.kind == "group":
            self._places[self.tree.add(record.fields)] = record.file, record.line
            return
        if record.kind == "entitlement":
            grant = self._layout.grant(record.fields)
            earlier = scratch.add_grant(grant.source, grant.entity, grant.fact, grant.element, grant.span, place)
            if earlier is not None:
                raise RecordError(
                    f"`{grant.element}` of `{grant.entity}` is granted in {earlier} already", "remove one"
                )
            self._cover(grant.source, grant.entity)
            return
        for part in self._layout.parts(record.kind, record.fields):
            groups = None if part.groups is None else msgspec.json.encode(part.groups)
            facts = msgspec.json.encode(part.facts)
            earlier = scratch.add_part(part.source, part.entity, facts, groups, place)
            if earlier is not None:
                raise RecordError(f"{earlier} says what `{part.source}` says of `{part.entity}` already", "remove one")
            self._cover(part.source, part.entity)

    def _cover(self, source: str, entity: str) -> None:
        self.covered.setdefault(source, set()).add(entity.partition(":")[0])

    def _document(self, source: str, gathered: Gathered) -> bytes:
        entity = gathered.entity
        facts = {} if gathered.facts is None else msgspec.json.decode(gathered.facts, type=dict[str, Any])
        groups = None if gathered.groups is None else msgspec.json.decode(gathered.groups, type=_SPANS)
        grants = [Grant(entity, source, fact, element, span) for fact, element, span in gathered.grants]
        return self._layout.document(Part(entity, source, facts, groups), grants, self.tree, self._now)

    def _add(self, problem: Problem) -> None:
        self._problems.append(problem)
        if len(self._problems) >= MOST_PROBLEMS:
            self.refuse_if_any()


async def _compared(plan: _Plan, scratch: Scratch, store: Store, source: str) -> AsyncIterator[list[Change]]:
    """How one source's documents change, page by page."""
    covered = plan.covered[source]
    stored = _Stored(store, source, covered)
    documents = scratch.documents(source)
    while page := list(islice(documents, PAGE)):
        yield list(compare(page, await stored.until(page[-1][0])))
    while rest := await stored.rest():
        yield list(compare((), rest))


class _Stored:
    """The stored documents of one source, for the entity types that the files speak of, read along in order."""

    def __init__(self, store: Store, source: str, covered: set[str]) -> None:
        self._store = store
        self._source = source
        self._covered = covered
        self._after = ""
        self._read: list[tuple[str, bytes]] = []
        self._over = False

    async def until(self, entity: str) -> list[tuple[str, bytes]]:
        """Those that come next, up to and with `entity`."""
        while not self._over and (not self._read or self._read[-1][0] <= entity):
            await self._more()
        cut = next((at for at, row in enumerate(self._read) if row[0] > entity), len(self._read))
        taken, self._read = self._read[:cut], self._read[cut:]
        return taken

    async def rest(self) -> list[tuple[str, bytes]]:
        """The next page of what is left; empty at the end."""
        while not self._over and not self._read:
            await self._more()
        taken, self._read = self._read, []
        return taken

    async def _more(self) -> None:
        page = await self._store.directory.page(self._source, self._after, PAGE)
        if not page:
            self._over = True
            return
        self._after = page[-1][0]
        self._read += [(name, row.document) for name, row in page if name.partition(":")[0] in self._covered]


async def _refuse_emptying(plan: _Plan, scratch: Scratch, store: Store, options: Options) -> None:
    """A file that was cut short must not take half of the company's rights away."""
    for source in scratch.sources():
        counts: Counter[str] = Counter()
        async for changes in _compared(plan, scratch, store, source):
            counts.update(change.kind for change in changes)
        stored = counts["removed"] + counts["changed"] + counts["confirmed"]
        if counts["removed"] > FEW and counts["removed"] * 100 > options.max_removed * stored:
            raise MintwardenError(
                ErrorKind.CONFLICT,
                f"{counts['removed']} of {stored} documents of source `{source}` are not in the files",
                hint="if they shall go, allow it with `--max-removed 100` (percent); nothing was written",
            )


def _count(
    changes: Iterable[Change], counted: SourceResult, result: ImportResult, options: Options
) -> list[DocumentChange]:
    """Counts and shows the changes; what is to be written of them."""
    writes = []
    for change in changes:
        kind = "kept" if change.kind == "removed" and not options.prune else change.kind
        setattr(counted, kind, getattr(counted, kind) + 1)
        if kind in ("added", "changed", "removed"):
            if len(result.changes) < SHOWN:
                result.changes.append(ShownChange(counted.source, change.entity, kind, change.facts))
            else:
                result.more += 1
        if kind != "kept":
            writes.append(DocumentChange(change.entity, counted.source, change.document, options.observed_at))
    return writes

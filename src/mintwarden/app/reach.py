"""Who can get what: the store read page by page, answered here or by processes beside this one."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import msgspec
from msgspec import Struct

from mintwarden.app.config import Config
from mintwarden.app.excepting import exceptions_of
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.app.sources import external_sources
from mintwarden.context.assemble import Assembly, SourceAnswer
from mintwarden.context.ports import ExternalSource
from mintwarden.govern.content import texts_of
from mintwarden.model.catalogue import Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.exception import ExceptionGrant
from mintwarden.model.ids import entity_key
from mintwarden.model.values import EntityUid
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.bundle.problem import Problems
from mintwarden.policy.bundle.read import read_bundle
from mintwarden.policy.registered import admitted
from mintwarden.review.reach.acting import WITNESSES, Acting
from mintwarden.review.reach.groups import GroupCensus, GroupReport
from mintwarden.review.reach.judge import Judge
from mintwarden.review.reach.overlay import Overlay, nothing_supposed
from mintwarden.review.reach.question import Line, Question
from mintwarden.review.reach.reach import World
from mintwarden.review.reach.subjects import Member, principals_of, subjects, uid_of_key
from mintwarden.store import Store

Progress = Callable[[int, int], None]
"""Hears how many subjects were looked at and how many lines were found."""

_CHUNK = 500
_WAITING = 3
"""Chunks per process that may wait for their turn, so that memory stays bounded."""
_WITNESSES_FROM = 20_000


class Search(Struct, frozen=True, kw_only=True):
    """How to go through the directory.

    Attributes:
        after: only subjects behind this entity key.
        limit: how many lines at most; 0 for all.
        processes: how many processes answer.
        inline: how many subjects are answered before other processes are started: that takes about a second.
        each_client: a line for each client instead of the best one.
        actor: for whom the subjects' tokens are asked for; None for nobody but the clients themselves.
    """

    after: str = ""
    limit: int = 0
    processes: int = 1
    inline: int = 4_000
    each_client: bool = False
    actor: EntityUid | None = None


class Ended(Struct, frozen=True, kw_only=True):
    """How a search ended.

    Attributes:
        looked_at: how many subjects were looked at.
        found: how many lines there were.
        next: where to go on, or empty when there is nothing more.
        remarks: what the answer holds fixed or leaves open.
    """

    looked_at: int
    found: int
    next: str = ""
    remarks: tuple[str, ...] = ()


class Ground:
    """An opened directory under a bundle, with what is supposed laid over it.

    Attributes:
        bundle: what answers.
        texts: its texts, from which another process makes the same bundle.
        at: the moment of the question, `Millis`.
        clients: the bundle's, and those registered beside it that it admits, by id.
    """

    def __init__(
        self,
        *,
        bundle: Bundle,
        texts: Mapping[str, str],
        store: Store,
        external: Mapping[str, ExternalSource],
        overlay: Overlay,
        exceptions: Sequence[ExceptionGrant],
        registered: Sequence[Client],
        at: int,
    ) -> None:
        self.bundle, self.texts, self.at = bundle, texts, at
        self._store, self._external, self._overlay = store, external, overlay
        self._exceptions = tuple(sorted(exceptions, key=lambda grant: grant.id))
        self._assembly = Assembly(bundle.catalogue)
        self._registered = tuple(registered)
        self.clients: Mapping[str, Client] = {**{one.id: one for one in registered}, **bundle.catalogue.clients}

    async def world(self, question: Question | None = None) -> World:
        """What is known beside the subjects: of clients, their own principals, the session, the device, the world."""
        keys = ["world:", *principals_of(self.clients.values()), *(f"client:{name}" for name in self.clients)]
        if question is not None:
            keys += [f"{kind}:{getattr(question, kind)}" for kind in ("session", "device") if getattr(question, kind)]
        return World(await self.known(keys), self._overlay.tokens(self.at), self._exceptions, self._registered)

    async def known(self, keys: Sequence[str]) -> dict[str, Mapping[str, SourceAnswer]]:
        """What each source says about some entities, by entity key."""
        batch = await self._store.facts.read(keys)
        members = [(key, self._assembly.stored(batch.rows.get(key, ()))) for key in dict.fromkeys(keys)]
        return dict(await self._completed(members))

    async def members(
        self, after: str = "", *, kinds: Sequence[str] = ("Agent", "User", "Workload")
    ) -> AsyncGenerator[list[Member], None]:
        """Everyone behind `after`, in batches; those whom only clients or suppositions name included."""
        also = (*principals_of(self.clients.values()), *self._overlay.entities)
        async for batch in subjects(self._store.directory, self.bundle.catalogue, kinds=kinds, also=also, after=after):
            yield await self._completed(batch)

    async def _completed(self, members: Sequence[Member]) -> list[Member]:
        """With what sources outside the store say, and with what is supposed laid over everything."""
        outside = await self._outside([key for key, _ in members]) if self._external else {}
        found: list[Member] = []
        for key, answers in members:
            more = outside.get(key)
            together = {**answers, **more} if more else answers
            found.append((key, dict(self._overlay.over(key, together, self.at))))
        return found

    async def _outside(self, keys: Sequence[str]) -> dict[str, dict[str, SourceAnswer]]:
        wanted: dict[str, list[str]] = {}
        for key in keys:
            for source in self._assembly.external(key.partition(":")[0]):
                wanted.setdefault(source, []).append(key)
        found: dict[str, dict[str, SourceAnswer]] = {}
        for source, entities in wanted.items():
            for key, answer in (await self._asked(source, entities)).items():
                found.setdefault(key, {})[source] = answer
        return found

    async def _asked(self, source: str, entities: Sequence[str]) -> dict[str, SourceAnswer]:
        if source not in self._external:
            return dict.fromkeys(entities, SourceAnswer(state="failing", detail="no connection is configured"))
        try:
            told = await self._external[source].read(entities, self.at)
        except MintwardenError as error:
            return dict.fromkeys(entities, SourceAnswer(state="failing", detail=error.public))
        found = {}
        for key in entities:
            one = told.get(key)
            if one is None:
                found[key] = SourceAnswer(state="missing")
            else:
                at = self.at if one.observed_at is None else one.observed_at
                found[key] = SourceAnswer(document=one.document, observed_at=at)
        return found


@contextlib.asynccontextmanager
async def ground(
    config: Config,
    *,
    at: int,
    bundle: Path | None = None,
    version: Callable[[Foundation], Awaitable[Mapping[str, str]]] | None = None,
    overlay: Callable[[Bundle], Overlay] | None = None,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[Ground]:
    """The directory of the deployment that `config` describes, under the bundle in force or another one.

    `bundle` is the folder of another one, `version` reads the texts of another one where the deployment keeps them.
    Exceptions count as they do in force. Raises what `foundation` raises, `CONFIG` for a source without its
    connection, and what `overlay` raises.
    """
    async with foundation(config, read_only=True, environ=environ) as base, contextlib.AsyncExitStack() as stack:
        texts = await _texts(base, bundle) if version is None else await version(base)
        answering = base.bundle if bundle is None and version is None else build_bundle(texts)
        over = nothing_supposed() if overlay is None else overlay(answering)
        external = external_sources(config, answering.catalogue, stack)
        exceptions = (await exceptions_of(base).in_force()).grants
        registered = await _registered(base, answering)
        yield Ground(
            bundle=answering,
            texts=texts,
            store=base.store,
            external=external,
            overlay=over,
            exceptions=exceptions,
            registered=registered,
            at=at,
        )


async def _registered(base: Foundation, bundle: Bundle) -> list[Client]:
    """The clients that were registered beside the bundle and are not retired, as it admits them."""
    kept = (await base.store.credentials.credentials()).clients.values()
    said = [one.record for one in kept if one.record is not None and one.retired_at is None]
    found = (admitted(bundle.catalogue, msgspec.json.decode(record, type=Client)) for record in said)
    return sorted((client for client in found if client is not None), key=lambda client: client.id)


async def _texts(base: Foundation, bundle: Path | None) -> Mapping[str, str]:
    stored = None if bundle is not None else await base.store.versions.version(base.bundle.digest)
    if stored is not None:
        return texts_of(stored.content)
    problems = Problems()
    texts = read_bundle(bundle or Path(base.config.bundle.path), problems)
    problems.refuse_if_any()
    return texts


async def who_can(
    base: Ground, question: Question, search: Search, *, progress: Progress | None = None
) -> AsyncIterator[Line | Ended]:
    """The lines of the answer in order of their subjects, then how it ended."""
    judge = Judge(base.bundle, question, await base.world(question), each_client=search.each_client, actor=search.actor)
    looked, found, last = 0, 0, ""
    async with contextlib.aclosing(_answered(base, question, judge, search)) as answered:
        async for count, lines in answered:
            looked += count
            for line in lines:
                # A subject's lines stay together, so that a page can go on behind it.
                if search.limit and found >= search.limit and line.principal != last:
                    yield Ended(looked_at=looked, found=found, next=last, remarks=judge.remarks())
                    return
                found, last = found + 1, line.principal
                yield line
            if progress is not None:
                progress(looked, found)
    yield Ended(looked_at=looked, found=found, remarks=judge.remarks())


async def _answered(
    base: Ground, question: Question, judge: Judge, search: Search
) -> AsyncGenerator[tuple[int, list[Line]], None]:
    looked = 0
    with contextlib.ExitStack() as stack:
        waiting: deque[asyncio.Future[tuple[int, list[Line]]]] = deque()
        pool: ProcessPoolExecutor | None = None
        async for batch in base.members(search.after):
            looked += len(batch)
            if pool is None and (search.processes == 1 or looked <= search.inline):
                yield len(batch), judge.lines(batch)
                continue
            if pool is None:
                pool = _pool(base, question, await base.world(question), search)
                stack.callback(pool.shutdown, wait=True, cancel_futures=True)
            for start in range(0, len(batch), _CHUNK):
                waiting.append(asyncio.wrap_future(pool.submit(_answer, batch[start : start + _CHUNK])))
            while len(waiting) > _WAITING * search.processes:
                yield await waiting.popleft()
        while waiting:
            yield await waiting.popleft()


def _pool(base: Ground, question: Question, world: World, search: Search) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        search.processes,
        mp_context=get_context("spawn"),
        initializer=_start,
        initargs=(dict(base.texts), base.bundle.digest, question, world, search),
    )


_judges: list[Judge] = []
"""This process's judge, if it is one that answers for another."""


def _start(texts: Mapping[str, str], digest: str, question: Question, world: World, search: Search) -> None:
    bundle = build_bundle(texts)
    if bundle.digest != digest:
        raise MintwardenError(ErrorKind.CONFLICT, "the bundle has changed meanwhile", hint="ask again")
    _judges[:] = [Judge(bundle, question, world, each_client=search.each_client, actor=search.actor)]


def _answer(members: list[Member]) -> tuple[int, list[Line]]:
    return len(members), _judges[0].lines(members)


async def who_may_act(
    base: Ground,
    question: Question,
    search: Search,
    *,
    named: Sequence[EntityUid] = (),
    progress: Progress | None = None,
) -> AsyncIterator[Line | Ended]:
    """Who may act with the scope for one of the `named`, or of the first who may be issued it; then how it ended."""
    world = await base.world(question)
    if named:
        known = await base.known([entity_key(uid) for uid in named])
        witnesses = [(uid, known[entity_key(uid)]) for uid in named]
    else:
        witnesses = await find_witnesses(base, question, world)
    acting = Acting(base.bundle, question, world, witnesses)
    looked, found, last = 0, 0, ""
    remarks = _acting_remarks(acting, [entity_key(uid) for uid, _ in witnesses])
    async with contextlib.aclosing(base.members(search.after, kinds=("Agent", "Workload"))) as members:
        async for batch in members:
            for key, answers in batch:
                looked += 1
                best = acting.best(uid_of_key(key), answers)
                if best is None:
                    continue
                if search.limit and found >= search.limit:
                    yield Ended(looked_at=looked, found=found, next=last, remarks=remarks)
                    return
                found, last = found + 1, key
                yield best.line
            if progress is not None:
                progress(looked, found)
    yield Ended(looked_at=looked, found=found, remarks=remarks)


async def find_witnesses(
    base: Ground, question: Question, world: World, *, most: int = _WITNESSES_FROM
) -> list[tuple[EntityUid, Mapping[str, SourceAnswer]]]:
    """The first subjects who may be issued the scope, with what is known of them."""
    judge = Judge(base.bundle, question, world)
    found: list[tuple[EntityUid, Mapping[str, SourceAnswer]]] = []
    looked = 0
    # People first: it is for them that most actors act.
    for kind in ("User", "Workload", "Agent"):
        async with contextlib.aclosing(base.members(kinds=(kind,))) as members:
            async for batch in members:
                said = dict(batch)
                lines = judge.lines(batch)
                found += [(uid_of_key(line.principal), said[line.principal]) for line in lines]
                looked += len(batch)
                if len(found) >= WITNESSES or looked >= most:
                    return found[:WITNESSES]
    return found


def _acting_remarks(acting: Acting, witnesses: Sequence[str]) -> tuple[str, ...]:
    if not witnesses:
        return ("nobody was found who may be issued it; name somebody for whom to try",)
    names = ", ".join(witnesses[:5]) + (" and others" if len(witnesses) > 5 else "")
    found = [f"tried for {len(witnesses)} subjects: {names}"]
    if acting.depends_on_subject:
        found.append("rules about actors look at the subject or at what its token is confined to: others may differ")
    return tuple(found)


async def what_can(
    base: Ground,
    uid: EntityUid,
    question: Callable[[str], Question],
    scopes: Sequence[str],
    *,
    named: Sequence[EntityUid] = (),
) -> AsyncIterator[Line]:
    """What `uid` can get, scope by scope, and what it may act with."""
    key = entity_key(uid)
    answers = (await base.known([key]))[key]
    world = await base.world(question(scopes[0])) if scopes else World()
    for scope in scopes:
        asked = question(scope)
        judge = Judge(base.bundle, asked, world)
        for line in judge.lines([(key, dict(answers))]):
            yield line
        if uid.type != "User":
            acting = await _acts(base, uid, answers, asked, world, named)
            if acting is not None:
                yield acting


async def _acts(
    base: Ground,
    uid: EntityUid,
    answers: Mapping[str, SourceAnswer],
    question: Question,
    world: World,
    named: Sequence[EntityUid],
) -> Line | None:
    probe = Acting(base.bundle, question, world, ())
    if not probe.may_matter(uid):
        return None
    if named:
        known = await base.known([entity_key(one) for one in named])
        witnesses: Sequence[tuple[EntityUid, Mapping[str, SourceAnswer]]] = [
            (one, known[entity_key(one)]) for one in named
        ]
    else:
        witnesses = await find_witnesses(base, question, world)
    best = Acting(base.bundle, question, world, witnesses).best(uid, answers)
    return best.line if best is not None else None


async def census(
    base: Ground, *, tried: int, progress: Progress | None = None
) -> tuple[list[GroupReport], tuple[str, ...]]:
    """Every group with what it carries, and the rules that may read any group whatever."""
    taken = GroupCensus(base.bundle, base.at, await base.world(), tried=tried)
    looked = 0
    async for batch in base.members():
        taken.take(batch)
        looked += len(batch)
        if progress is not None:
            progress(looked, 0)
    return list(taken.reports()), taken.open_rules

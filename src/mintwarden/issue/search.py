"""Who may, what, and with which scope: every candidate is asked about like an evaluation, a bounded number at a time.

So whatever a search finds, an evaluation grants, unless something has changed since (section 8.1 of the specification).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.issue.evaluate import Present, decided, evaluate
from mintwarden.issue.foreign import ACCESS, GATE
from mintwarden.issue.question import (
    ACT,
    ISSUE,
    PLACES,
    TYPES,
    Evaluation,
    Named,
    Sense,
    Unanswerable,
    ask,
    audience_of,
    clients_for,
    read_sense,
    read_who,
)

AT_ONCE = 50
"""Candidates that are asked about together: their facts are one read."""

MOST = 500
"""Candidates that one page looks at. A page may be short, or empty, and still not be the last."""

Known = Callable[[str, str], AsyncIterator[Sequence[str]]]
"""Entity keys of everybody of a type whom the store knows, behind a key, in batches and in order."""


class Page(Struct, frozen=True):
    """What was found, and behind which candidate to go on; None where there is nothing more."""

    found: tuple[str, ...]
    next: str | None


async def find_subjects(asked: Evaluation, present: Present, known: Known, *, after: str, limit: int) -> Page:
    """Ids of subjects of the type of `asked.subject` who may."""
    kind = asked.subject.type
    if kind == "client":
        names = sorted(present.regime.catalogue.clients)
        return await _page(_listed(names, after), lambda name: _about(asked, name), present, limit)
    if kind not in TYPES:
        return Page((), None)
    beginning = f"{TYPES[kind]}:"
    page = await _page(
        known(TYPES[kind], f"{beginning}{after}" if after else ""),
        lambda key: _about(asked, key.removeprefix(beginning)),
        present,
        limit,
    )
    return Page(
        tuple(key.removeprefix(beginning) for key in page.found),
        page.next and page.next.removeprefix(beginning),
    )


async def find_resources(asked: Evaluation, present: Present, *, after: str, limit: int) -> Page:
    """Ids of resources of the type of `asked.resource` at which the subject may."""
    catalogue, kind = present.regime.catalogue, asked.resource.type
    names: Sequence[str] = ()
    if kind == "audience":
        names = [audience.identifier for audience in catalogue.audiences.values() if asked.action in audience.scopes]
    elif kind == "scope":
        names = list(catalogue.scopes) if asked.action in (ISSUE, ACT) else ()
    elif kind in PLACES:
        names = await _places(asked, present)
    return await _page(
        _listed(sorted(names), after), lambda name: replace(asked, resource=Named(kind, name)), present, limit
    )


async def find_actions(asked: Evaluation, present: Present, *, after: str, limit: int) -> Page:
    """Names of actions that the subject may do at the resource."""
    catalogue, kind = present.regime.catalogue, asked.resource.type
    names: Sequence[str] = ()
    gates: Sequence[str] = ()
    if kind == "audience":
        try:
            names = list(audience_of(asked.resource.id, catalogue).scopes)
        except Unanswerable:
            return Page((), None)
        gates = await _gates(asked, present)
    elif kind == "scope":
        names = (ACT, ISSUE)
    elif kind in PLACES:
        names = [
            scope
            for audience in catalogue.audiences.values()
            if kind in {tenancy.parameter for tenancy in audience.tenancy}
            for scope in audience.scopes
        ]
    names = sorted((*names, *gates))
    return await _page(
        _listed(names, after), lambda name: replace(asked, action=name), present, limit, granted=frozenset(gates)
    )


async def _page(
    candidates: AsyncIterator[Sequence[str]],
    about: Callable[[str], Evaluation],
    present: Present,
    limit: int,
    *,
    granted: frozenset[str] = frozenset(),
) -> Page:
    """Those candidates that an evaluation grants; `granted` are known to be."""

    async def may(name: str) -> bool:
        return name in granted or (await evaluate(about(name), present)).granted

    found: list[str] = []
    last, looked = "", 0
    async for batch in candidates:
        for start in range(0, len(batch), AT_ONCE):
            chunk = batch[start : start + AT_ONCE]
            answers = await asyncio.gather(*(may(name) for name in chunk))
            for name, answer in zip(chunk, answers, strict=True):
                if answer and len(found) == limit:
                    return Page(tuple(found), last)
                if answer:
                    found.append(name)
                last = name
            looked += len(chunk)
            if looked >= MOST:
                return Page(tuple(found), last)
    return Page(tuple(found), None)


async def _listed(names: Sequence[str], after: str) -> AsyncIterator[Sequence[str]]:
    yield [name for name in names if name > after]


def _about(asked: Evaluation, name: str) -> Evaluation:
    return replace(asked, subject=Named(asked.subject.type, name))


async def _places(asked: Evaluation, present: Present) -> Sequence[str]:
    """The tenants, workspaces or projects that the subject has, as the scope's audience looks them up."""
    catalogue, live = present.regime.catalogue, present.live
    try:
        sense = read_sense(asked.action, Named(asked.resource.type, "any"), catalogue)
        who = read_who(asked, sense, catalogue, live)
        client = clients_for(who, sense, asked.context, present.candidates, live)[0]
        question = ask(asked, client, who, sense.audience, catalogue, scopes=(sense.scope,), live=live)
    except Unanswerable:
        return ()
    subject = (await decided(question, present)).facts.subject
    found: set[str] = set()
    for tenancy in sense.audience.tenancy:
        if tenancy.parameter == asked.resource.type:
            values = subject.attrs.get(tenancy.member_of.partition(".")[2])
            found |= {one for one in values if isinstance(one, str)} if isinstance(values, frozenset) else set()
    return list(found)


async def _gates(asked: Evaluation, present: Present) -> Sequence[str]:
    """The grants by which the client that is named, or is the subject, would get an access token for the audience."""
    catalogue, live, context = present.regime.catalogue, present.live, asked.context
    known = live(context.client_id or (asked.subject.id if asked.subject.type == "client" else ""))
    if known is None:
        return ()
    client, audience = known[0], audience_of(asked.resource.id, catalogue)
    scopes = tuple(name for name in audience.scopes if name in client.ceilings.get(audience.id, ()))
    found: list[str] = []
    for grant in sorted(client.grants) if scopes else ():
        try:
            who = read_who(asked, Sense(audience=audience, scope=scopes[0]), catalogue, live)
            question = ask(asked, client, who, audience, catalogue, scopes=scopes, live=live, grant=grant)
        except Unanswerable:
            continue
        if (await decided(question, present)).decision.granted:
            found.append(f"{GATE}{ACCESS}:{grant}")
    return found

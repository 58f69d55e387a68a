"""Decisions: searched and explained."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import decision_bytes
from mintwarden.review.index import Term
from mintwarden.review.search import FoundDecision, Page, Query
from mintwarden.web.admin.operation import Answer, Call, EntityKey, Operation, Paged
from mintwarden.web.admin.times import Time, millis, shown

READ = "mintwarden:decisions.read"

Explain = Callable[[bytes], Awaitable[Mapping[str, Any] | None]]
"""The whole story of a decision by its 16 bytes, or None."""

Search = Callable[[Query, int, int], Awaitable[Page]]
"""A page of what is sought: below a leaf (0 for the newest), so many."""

Sought = Annotated[str, Meta(max_length=200)]
DecisionId = Annotated[str, Meta(max_length=100)]


class DecisionQuery(Paged, frozen=True, kw_only=True):
    """What is sought. All that is given must hold; `subject` is whom the tokens speak of."""

    subject: EntityKey | None = None
    client: Sought = ""
    audience: Sought = ""
    scope: Annotated[str, Meta(max_length=200, description="A scope that was asked for.")] = ""
    granted_scope: Annotated[str, Meta(max_length=200, description="A scope that was granted.")] = ""
    rule: Annotated[str, Meta(max_length=200, description="A rule that granted or refused a scope.")] = ""
    reason: Annotated[str, Meta(max_length=200, description="Why a scope was refused.")] = ""
    grant: Sought = ""
    mode: Sought = ""
    bundle: Annotated[str, Meta(max_length=200, description="The digest of the bundle that governed.")] = ""
    outcome: Literal["granted", "refused"] | None = None
    since: Time | None = None
    until: Annotated[Time | None, Meta(description="Exclusive.")] = None


class DecisionTold(Struct, frozen=True, kw_only=True):
    """A decision in a list. `scopes` says of each, and of each type of authorization detail, the rule
    that granted it, or the reason for its refusal.
    """

    id: str
    leaf: int
    at: Time
    outcome: str
    client: str
    audience: str
    grant: str
    mode: str
    bundle: str
    scopes: Mapping[str, str]


class DecisionPage(Struct, frozen=True, kw_only=True):
    """Some of them, newest first. `cursor` is where to go on, empty at the end; a page may hold less than asked for.

    `indexed` is how many entries of the ledger the search knows of.
    """

    decisions: tuple[DecisionTold, ...]
    cursor: str
    indexed: int


class Decisions:
    """Searching and explaining."""

    def __init__(self, *, explain: Explain, search: Search) -> None:
        self._explain = explain
        self._search = search

    async def search(self, call: Call) -> Answer:
        """A page of decisions, newest first."""
        asked: DecisionQuery = call.query
        terms = tuple(
            Term(kind, value)
            for kind in ("client", "audience", "scope", "granted_scope", "rule", "reason", "grant", "mode", "bundle")
            if (value := getattr(asked, kind))
        )
        query = Query(
            terms=terms,
            subject=asked.subject or "",
            granted=None if asked.outcome is None else asked.outcome == "granted",
            since=0 if asked.since is None else max(0, millis(asked.since)),
            **({} if asked.until is None else {"until": millis(asked.until)}),
        )
        below = call.cursors.position(asked.cursor) if asked.cursor else 0
        page = await self._search(query, below, asked.limit)
        return Answer(
            content=DecisionPage(
                decisions=tuple(_told(found) for found in page.decisions),
                cursor=call.cursors.make(page.below) if page.below else "",
                indexed=page.indexed,
            )
        )

    async def explain(self, call: Call) -> Answer:
        """The whole story."""
        try:
            decision = decision_bytes(call.path["decision"])
        except ValueError:
            raise MintwardenError(ErrorKind.NOT_FOUND, "that is no decision id") from None
        story = await self._explain(decision)
        if story is None:
            raise MintwardenError(ErrorKind.NOT_FOUND, "there is no such decision")
        return Answer(content=story)


def _told(found: FoundDecision) -> DecisionTold:
    return DecisionTold(
        id=found.id,
        leaf=found.leaf,
        at=shown(found.at),
        outcome=found.outcome,
        client=found.client,
        audience=found.audience,
        grant=found.grant,
        mode=found.mode,
        bundle=found.bundle,
        scopes=found.scopes,
    )


SEARCH = Operation(
    id="decisions.search",
    method="GET",
    path="/decisions",
    summary="Search decisions, newest first",
    scopes=(READ,),
    of=Decisions,
    handler=Decisions.search,
    query=DecisionQuery,
    answer=DecisionPage,
    person="subject",
)
EXPLAIN = Operation(
    id="decisions.explain",
    method="GET",
    path="/decisions/{decision}",
    summary="Tell the whole story of a decision",
    scopes=(READ,),
    of=Decisions,
    handler=Decisions.explain,
    parameters={"decision": DecisionId},
    answer=dict[str, Any],
    target="decision",
)

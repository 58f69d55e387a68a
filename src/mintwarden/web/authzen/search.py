"""`/access/v1/search/subject`, `/resource` and `/action` (section 8), page by page.

A page's token is sealed and bound to the caller and to everything of the request but the token: with another question,
or another limit, it is refused. A limit may be left out when going on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, Protocol

import msgspec

from mintwarden.issue.question import Evaluation, Named, read_context
from mintwarden.issue.search import Page
from mintwarden.model.caller import Evidence
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.web.admin.access import ScopeLacking, demand
from mintwarden.web.admin.cursor import CursorSeal
from mintwarden.web.authzen.endpoint import Work
from mintwarden.web.authzen.reading import context_of, entity, invalid

SEARCH = "authzen:search"
USUAL, MOST = 50, 200
"""Results of a page that names no limit, and of any page."""

Kind = Literal["subject", "resource", "action"]


class Finder(Protocol):
    """Finds the entities of one kind that may."""

    async def __call__(self, kind: Kind, asked: Evaluation, *, after: str, limit: int) -> Page: ...


class Searches:
    """Answers searches. Each is written down before it begins: `record` takes its name, the outcome and the caller."""

    def __init__(
        self,
        find: Finder,
        *,
        cursors: CursorSeal,
        record: Callable[[str, Literal["permitted", "refused"], Evidence], Awaitable[None]],
        wait: Callable[[Evidence], int],
    ) -> None:
        self._find = find
        self._cursors = cursors
        self._record = record
        self._wait = wait

    def of(self, kind: Kind) -> Callable[[Mapping[str, Any], Evidence, Work], Awaitable[Mapping[str, Any]]]:
        """The answer to searches of one kind."""

        async def answer(content: Mapping[str, Any], who: Evidence, work: Work) -> Mapping[str, Any]:
            if wait := self._wait(who):
                raise MintwardenError(ErrorKind.OVERLOADED, f"the client searches too often: wait {wait} s")
            name = f"authzen.search.{kind}"
            try:
                demand(who, SEARCH)
            except ScopeLacking:
                await self._record(name, "refused", who)
                raise
            asked = _asked(kind, content)
            limit, after, context = self._position(kind, content, who)
            await self._record(name, "permitted", who)
            page = await self._find(kind, asked, after=after, limit=limit)
            work.outcome = "granted"
            token = ""
            if page.next is not None:
                token = self._cursors.seal(msgspec.json.encode([limit, page.next]), context)
            spell = {"subject": asked.subject.type, "resource": asked.resource.type, "action": ""}[kind]
            return {
                "page": {"next_token": token, "count": len(page.found)},
                "results": [{"type": spell, "id": one} if spell else {"name": one} for one in page.found],
            }

        return answer

    def _position(self, kind: Kind, content: Mapping[str, Any], who: Evidence) -> tuple[int, str, bytes]:
        page = content.get("page")
        if page is None:
            page = {}
        if type(page) is not dict:
            raise invalid("`page` is not an object")
        token, limit = page.get("token"), page.get("limit")
        if token is not None and type(token) is not str:
            raise invalid("`page.token` is not a string")
        if limit is not None and (type(limit) is not int or limit < 0):
            raise invalid("`page.limit` is not a whole number, 0 or more")
        rest = {name: value for name, value in content.items() if name != "page"}
        more = {name: value for name, value in page.items() if name not in ("token", "limit")}
        # INVARIANT: a token goes on with the question that it was made for, for whoever asked it.
        context = hashlib.sha256(
            msgspec.json.encode([kind, who.client_id, entity_key(who.principal), rest, more], order="deterministic")
        ).digest()
        if not token:
            return min(USUAL if limit is None else limit, MOST), "", context
        began, after = msgspec.json.decode(self._cursors.read(token, context), type=tuple[int, str])
        if limit is not None and min(limit, MOST) != began:
            raise invalid("`page.limit` is another one than that of the first page")
        return began, after, context


def _asked(kind: Kind, content: Mapping[str, Any]) -> Evaluation:
    """What is searched for is named by its type alone; an `id` of it is ignored."""
    subject = entity(content, "subject", lacking="id" if kind == "subject" else "")
    resource = entity(content, "resource", lacking="id" if kind == "resource" else "")
    action = {"name": ""} if kind == "action" else entity(content, "action")
    return Evaluation(
        subject=Named(subject["type"], subject.get("id", "")),
        action=action["name"],
        resource=Named(resource["type"], resource.get("id", "")),
        context=read_context(context_of(content)),
    )

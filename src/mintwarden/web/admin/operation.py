"""What an operation of the administration API is, what its handler is given, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from mintwarden.model.caller import Evidence
from mintwarden.web.admin.problem import AdminError

MAX_BODY = 64 * 1024
SLOW = 120.0
"""Seconds that an operation has which proves or replays something."""

MAX_PAGE = 200
"""The most that one page lists."""

Cursor = Annotated[str, Meta(max_length=2048, description="Where to go on, as the page before said.")]
Limit = Annotated[int, Meta(ge=1, le=MAX_PAGE, description="How many to list.")]
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
EntityKey = Annotated[
    str,
    Meta(
        max_length=600,
        pattern=r"^(User|Workload|Agent|client|session|device|world):[^\x00-\x1f\x7f]*$",
        description="An entity key: `User:alice`, `Workload:batch`, `session:<id>`, `world:`.",
    ),
]


class Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that is sent: a member that is not known is refused."""


class Paged(Strict, frozen=True, kw_only=True):
    """The query of a list."""

    limit: Limit = 50
    cursor: Cursor = ""


class Call(Struct, frozen=True, kw_only=True):
    """One authorised and recorded call.

    Attributes:
        who: what its token proves.
        path, query, body: as the operation declares them, checked.
        if_match: the entity tag that was sent, `*`, or empty.
        now: `Millis`.
        entry: id of the ledger entry of this call.
        cursors: makes and reads cursors of this operation.
    """

    who: Evidence
    path: Mapping[str, str]
    query: Any
    body: Any
    if_match: str
    now: int
    entry: str
    cursors: Cursors

    def require_match(self, tag: str) -> None:
        """Raise a 412 unless what the caller saw is what stands now."""
        if self.if_match not in ("*", f'"{tag}"'):
            raise AdminError("precondition_failed", "it has changed since you looked", hint=f'it is at `"{tag}"` now')


class Cursors:
    """Cursors of one operation under one query: they say where to go on, to nobody else and nowhere else."""

    def __init__(
        self, seal: Callable[[bytes, bytes], str], read: Callable[[str, bytes], bytes], context: bytes
    ) -> None:
        self._seal = seal
        self._read = read
        self._context = context

    def make(self, position: str | int | tuple[str, int]) -> str:
        """The cursor for a position."""
        return self._seal(msgspec.json.encode(position), self._context)

    def position(self, cursor: str) -> Any:
        """The position of a cursor; raises `INVALID_REQUEST` for one that was not given out for this query."""
        return msgspec.json.decode(self._read(cursor, self._context))


class Answer(Struct, frozen=True, kw_only=True):
    """What a handler answers.

    Attributes:
        content: what the answer holds.
        tag: its entity tag, where it has one.
        location: the path, below `/admin/v1`, of what it is about, where that has one of its own.
    """

    content: Any
    tag: str = ""
    location: str = ""


Handler = Callable[[Any, Call], Awaitable[Answer]]


class Operation(Struct, frozen=True, kw_only=True):
    """One row of the routing table. All that is said of it elsewhere, in the OpenAPI document above all, is said here.

    Attributes:
        id: its name in the ledger, in metrics and in the OpenAPI document: `<resource>.<verb>`.
        path: below `/admin/v1`, with parameters in braces.
        scopes: any one of them lets it be called; what it needs beyond that, its handler says.
        of: the class of the resource whose method `handler` is.
        parameters: the path's parameters and their types.
        query, body, answer: types of what comes and goes; None for nothing.
        status: of a good answer.
        tagged: the answer carries an `ETag`.
        located: the answer carries a `Location`.
        conditional: it changes something that others may change too: `If-Match` is needed.
        secret: the answer holds a secret, which is shown once.
        target: the parameter, or member of the body, that the ledger names in clear: never one that may name a person.
        person: the one that holds an entity key; a person's is recorded by the number of their sealing key.
        guard: what the token must allow beyond the scopes, given the body; raises `ScopeLacking` before anything.
        most: bytes of the body.
        slow: it proves or replays something, and has `SLOW` seconds for it.
        problems: kinds of problems, beyond those of every operation, that it answers.
    """

    id: str
    method: Literal["GET", "PUT", "POST", "PATCH", "DELETE"]
    path: str
    summary: str
    scopes: tuple[str, ...]
    of: type
    handler: Handler
    answer: Any
    parameters: Mapping[str, Any] = {}
    query: type[Strict] | None = None
    body: Any = None
    status: int = 200
    tagged: bool = False
    located: bool = False
    conditional: bool = False
    secret: bool = False
    target: str = ""
    person: str = ""
    guard: Callable[[Any, Evidence, Any], Awaitable[None]] | None = None
    most: int = MAX_BODY
    slow: bool = False
    problems: tuple[str, ...] = ()

    @property
    def keyed(self) -> bool:
        """It is a POST: an idempotency key makes it safe to send it again."""
        return self.method == "POST"

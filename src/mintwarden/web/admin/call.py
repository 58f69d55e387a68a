"""What stands around each operation: token, limits, reading, recording, idempotency, and how errors are told.

In this order: the token is verified; its client may not call too often for whom it does; the token must have a scope
of the operation; path, query and body are read, strictly; the call is written into the ledger; a key that was used
before gives the answer from then; only then does the operation begin.

INVARIANT: nothing comes of a call before its ledger entry is durable.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from mintwarden.govern.answers import Answer as Kept
from mintwarden.govern.answers import Answers
from mintwarden.govern.calls import Outcome
from mintwarden.model.caller import Evidence, OnceKey
from mintwarden.model.clock import Clock
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.web.admin.access import Access, ScopeLacking, Showing, demand
from mintwarden.web.admin.cursor import CursorSeal
from mintwarden.web.admin.limit import Buckets, Shares
from mintwarden.web.admin.operation import SLOW, Answer, Call, Cursors, Operation
from mintwarden.web.admin.problem import AdminError, problem_of, problem_reply, unknown_problem
from mintwarden.web.admin.reading import Read, read
from mintwarden.web.observe import Observer, Served
from mintwarden.web.peer import PeerReader
from mintwarden.web.reply import Reply, json_reply

KEPT = 24 * 60 * 60 * 1000
"""Milliseconds that an idempotency key stands."""

AT_ONCE = 32
"""Calls of one process that are worked on at once: bodies may be large."""
SHARE = AT_ONCE // 2
"""Those of one client for one person: whoever lets us wait keeps nobody else from administering."""


class RecordCall(Protocol):
    """Writes a call into the ledger and gives the entry's id; raises what keeps it from being durable."""

    async def __call__(self, *, operation: str, outcome: Outcome, who: Evidence, target: str, person: str) -> str: ...


class Seal(Protocol):
    """Seals answers that are kept."""

    def seal(self, plain: bytes, context: bytes) -> bytes: ...

    def open(self, sealed: bytes, context: bytes) -> bytes: ...


class Around(Struct, frozen=True, kw_only=True):
    """What every call needs.

    Attributes:
        revoked: whether a token was revoked; asked for every call.
        follow: brings what is held in memory, keys above all, up to date; awaited before a token is looked at.
        claim: claims proofs that count once; False, and nothing is claimed, where one was claimed before.
        base: the path of the issuer.
        timeout: seconds that a call may take.
    """

    access: Access
    revoked: Callable[[Evidence], Awaitable[bool]]
    buckets: Buckets
    shares: Shares
    record: RecordCall
    answers: Answers
    seal: Seal
    cursors: CursorSeal
    clock: Clock
    peer: PeerReader
    observer: Observer
    references: Callable[[], str]
    monotonic: Callable[[], float]
    follow: Callable[[], Awaitable[None]]
    claim: Callable[[Sequence[OnceKey]], Awaitable[bool]]
    showing: Showing
    timeout: float
    base: str
    room: asyncio.Semaphore


class _Work:
    """What is known of a call so far."""

    __slots__ = ("outcome", "who")

    def __init__(self) -> None:
        self.who: Evidence | None = None
        self.outcome = "granted"


def endpoint(around: Around, operation: Operation, resource: object) -> Callable[[Request], Awaitable[Response]]:
    """`operation` as something that answers requests."""

    async def answer(request: Request) -> Response:
        begun, reference, work = around.monotonic(), around.references(), _Work()
        scope = operation.scopes[0]
        try:
            if around.room.locked():
                raise MintwardenError(ErrorKind.OVERLOADED, "too many calls at once", hint="try again later")
            async with around.room, asyncio.timeout(SLOW if operation.slow else around.timeout):
                reply = await _answer(around, operation, resource, request, work)
        except TimeoutError:
            work.outcome = "timeout"
            reply = problem_reply(AdminError("timeout", "the request took too long"), reference, base=around.base)
        except MintwardenError as error:
            work.outcome = problem_of(error)
            scope = error.scope if isinstance(error, ScopeLacking) else scope
            reply = problem_reply(error, reference, base=around.base, scope=scope)
            if reply.status >= 500 and error.kind is not ErrorKind.OVERLOADED:
                around.observer.failed(reference, error)
        except Exception as error:  # noqa: BLE001 - nobody foresaw it: a reference, and nothing more
            work.outcome, reply = "server_error", unknown_problem(reference, base=around.base)
            around.observer.failed(reference, error)
        _observe(around, operation, request, work, reply.status, reference, around.monotonic() - begun)
        return as_response(reply)

    return answer


async def _answer(around: Around, operation: Operation, resource: object, request: Request, work: _Work) -> Reply:
    await around.follow()
    who, once = around.access.verify(around.showing.of(request.scope))
    work.who = who
    if await around.revoked(who):
        raise MintwardenError(ErrorKind.INVALID_TOKEN, "the access token was revoked", authenticate=True)
    # People share the client through which they administer: one of them must not keep the others from it.
    caller = f"{who.client_id}\0{entity_key(who.principal)}"
    wait = around.buckets.take(caller)
    if wait:
        raise AdminError(
            "too_many_requests", "the client calls too often", (b"retry-after", str(wait).encode()), hint="wait"
        )
    with around.shares.held(caller) as free:
        if not free:
            raise AdminError(
                "too_many_requests", "the client has too many calls under way", (b"retry-after", b"1"), hint="wait"
            )
        return await _permitted(around, operation, resource, request, who, once)


async def _permitted(
    around: Around, operation: Operation, resource: object, request: Request, who: Evidence, once: Sequence[OnceKey]
) -> Reply:
    if once and not await around.claim(once):
        raise around.access.again()
    outcome: Outcome = "refused"
    given: Read | None = None
    try:
        demand(who, *operation.scopes)
        outcome = "malformed"
        given = await read(operation, request)
        if operation.guard is not None:
            outcome = "refused"
            await operation.guard(resource, who, given.body)
    except MintwardenError:
        await _record(around, operation, outcome, who, given)
        raise
    entry = await _record(around, operation, "permitted", who, given)
    if given.key:
        return await _once(around, operation, resource, given, who, entry)
    return await _do(around, operation, resource, given, who, entry)


async def _record(around: Around, operation: Operation, outcome: Outcome, who: Evidence, given: Read | None) -> str:
    values = given.named if given is not None else {}
    return await around.record(
        operation=operation.id,
        outcome=outcome,
        who=who,
        target=str(values.get(operation.target) or "") if operation.target else "",
        person=str(values.get(operation.person) or "") if operation.person else "",
    )


async def _do(around: Around, operation: Operation, resource: object, given: Read, who: Evidence, entry: str) -> Reply:
    answer = await operation.handler(resource, _call(around, operation, given, who, entry))
    return _reply(around, operation, answer)


def _call(around: Around, operation: Operation, given: Read, who: Evidence, entry: str) -> Call:
    # A cursor goes on with the query that it was made for, for whoever made it.
    context = hashlib.sha256(
        msgspec.json.encode([operation.id, who.client_id, entity_key(who.principal), given.path, given.filters])
    ).digest()
    return Call(
        who=who,
        path=given.path,
        query=given.query,
        body=given.body,
        if_match=given.if_match,
        now=around.clock.now(),
        entry=entry,
        cursors=Cursors(around.cursors.seal, around.cursors.read, context),
    )


async def _once(
    around: Around,
    operation: Operation,
    resource: object,
    given: Read,
    who: Evidence,
    entry: str,
) -> Reply:
    """The answer to the first request with the key; the operation is done for the first one only."""
    now = around.clock.now()
    name = hashlib.sha256(msgspec.json.encode([who.client_id, entity_key(who.principal), given.key])).digest()
    standing = await around.answers.claim(name, given.fingerprint, now, now + KEPT)
    if standing is not None:
        if standing.fingerprint != given.fingerprint:
            raise AdminError("key_reused", "the idempotency key was used for another request", hint="use a fresh key")
        if standing.answer is None:
            raise AdminError(
                "key_in_use", "the first request with this key is under way, or its outcome is not known",
                hint="look whether it was done; then use a fresh key",
            )  # fmt: skip
        if operation.secret:
            raise AdminError("already_made", "it was made; its secret was shown once", hint="make another")
        return _kept(around, name, standing.answer)
    try:
        reply = await _do(around, operation, resource, given, who, entry)
    except MintwardenError as error:
        # INVARIANT: an operation refuses before it has changed anything; what failed later stays claimed, so that
        # nothing is done twice.
        if problem_reply(error, "", base="").status < 500:
            await around.answers.forget(name)
        raise
    body = b"" if operation.secret else reply.body
    shown = [_header(reply, b"etag"), body.decode(), _header(reply, b"location")]
    sealed = around.seal.seal(msgspec.json.encode(shown), name)
    await around.answers.settle(name, Kept(reply.status, sealed))
    return reply


def _kept(around: Around, name: bytes, answer: Kept) -> Reply:
    # an earlier version of this program kept no location
    tag, body, *more = msgspec.json.decode(around.seal.open(answer.sealed, name))
    headers = ((b"etag", tag), *((b"location", location) for location in more))
    reply = json_reply(answer.status, None, *((header, value.encode()) for header, value in headers if value))
    return reply._replace(body=body.encode())


def _header(reply: Reply, wanted: bytes) -> str:
    return next((value.decode() for name, value in reply.headers if name == wanted), "")


def _reply(around: Around, operation: Operation, answer: Answer) -> Reply:
    tag = ((b"etag", f'"{answer.tag}"'.encode()),) if answer.tag else ()
    location = f"{around.base}/admin/v1{answer.location}".encode()
    place = ((b"location", location),) if answer.location else ()
    return json_reply(operation.status, answer.content, *tag, *place)


def as_response(reply: Reply) -> Response:
    """A reply as the framework takes it."""
    response = Response(reply.body, reply.status)
    response.raw_headers = [*reply.headers, (b"content-length", b"%d" % len(reply.body))]
    return response


def _observe(
    around: Around,
    operation: Operation,
    request: Request,
    work: _Work,
    status: int,
    reference: str,
    seconds: float,
) -> None:
    who = work.who
    around.observer.served(
        Served(
            route=f"admin.{operation.id}",
            status=status,
            seconds=seconds,
            reference=reference,
            address=around.peer.read(request.scope["client"], request.scope["headers"]),
            client_id=who.client_id if who is not None else "",
            subject=entity_key(who.principal) if who is not None and who.principal.type != "User" else "",
            token=who.token_id if who is not None else "",
            outcome=work.outcome,
        )
    )

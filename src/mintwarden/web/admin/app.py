"""The administration endpoints. They hold no rules: an access token says what its bearer may do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from mintwarden.context.ports import FactWriter
from mintwarden.context.push import Pushed, PushGate
from mintwarden.model.caller import Evidence
from mintwarden.model.clock import Clock
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import decision_bytes, entity_key
from mintwarden.web.admin.access import Access, ScopeLacking
from mintwarden.web.errors import HttpError, bearer_reply, error_reply, unknown_reply
from mintwarden.web.observe import Observer, Served
from mintwarden.web.peer import PeerReader
from mintwarden.web.reply import Reply, json_reply

MAX_BODY = 4 * 1024 * 1024
FACTS_WRITE = "mintwarden:facts.write"
DECISIONS_READ = "mintwarden:decisions.read"

Explain = Callable[[bytes], Awaitable[Mapping[str, Any] | None]]
"""The whole story of a decision by its 16 bytes, or None."""

Work = Callable[[Request, Evidence], Awaitable[Reply]]


async def _nothing() -> None:
    """Nothing to do."""


def source_scopes(declared: Iterable[str]) -> Mapping[str, str]:
    """Sources that have a scope of their own, `mintwarden:facts.write:<source>`, by id."""
    own = f"{FACTS_WRITE}:"
    return {scope.removeprefix(own): scope for scope in declared if scope.startswith(own)}


class Admin:
    """`PUT facts` and `GET decisions/{id}` under a path.

    `sources` are those that have a scope of their own. INVARIANT: the general scope does not reach them, so that
    whoever feeds one kind of facts cannot make anyone a member of any group.

    `follow` is awaited before a token is looked at: it brings what is held in memory, keys above all, up to date.
    """

    def __init__(
        self,
        *,
        access: Access,
        push: PushGate,
        facts: FactWriter,
        explain: Explain,
        clock: Clock,
        peer: PeerReader,
        observer: Observer,
        references: Callable[[], str],
        monotonic: Callable[[], float],
        timeout: float,
        follow: Callable[[], Awaitable[None]] = _nothing,
        sources: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._sources = dict(sources)
        self._access = access
        self._push = push
        self._facts = facts
        self._explain = explain
        self._clock = clock
        self._peer = peer
        self._observer = observer
        self._references = references
        self._monotonic = monotonic
        self._timeout = timeout
        self._follow = follow

    def application(self, path: str) -> Starlette:
        """The endpoints below `path` (`<issuer's path>/admin`) as an ASGI application."""
        routes = [
            Route(
                f"{path}/v1/facts",
                self._governed("admin.facts", self._put_facts, FACTS_WRITE, *self._sources.values()),
                methods=["PUT"],
            ),
            Route(
                f"{path}/v1/decisions/{{decision}}",
                self._governed("admin.decisions", self._get_decision, DECISIONS_READ),
                methods=["GET"],
            ),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: self._lost})

    async def _put_facts(self, request: Request, who: Evidence) -> Reply:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise HttpError(415, "the body is not `application/json`")
        pushed = _read(await _body(request))
        for one in pushed:
            needed = self._sources.get(one.source, FACTS_WRITE)
            if needed not in (who.scopes or ()):
                raise ScopeLacking(needed)
        rows = self._push.rows(pushed, self._clock.now())
        if rows:
            await self._facts.put(rows)
        return json_reply(200, {"accepted": len(rows)})

    async def _get_decision(self, request: Request, _who: Evidence) -> Reply:
        try:
            decision = decision_bytes(request.path_params["decision"])
        except ValueError:
            raise MintwardenError(ErrorKind.NOT_FOUND, "that is no decision id") from None
        story = await self._explain(decision)
        if story is None:
            raise MintwardenError(ErrorKind.NOT_FOUND, "there is no such decision")
        return json_reply(200, story)

    def _governed(self, route: str, work: Work, *scopes: str) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            begun, reference = self._monotonic(), self._references()
            who: Evidence | None = None
            outcome = "granted"
            try:
                async with asyncio.timeout(self._timeout):
                    await self._follow()
                    who = self._access.require(request.headers.getlist("authorization"), *scopes)
                    reply = await work(request, who)
            except TimeoutError:
                outcome, reply = "timeout", error_reply(HttpError(408, "the request took too long"), reference)
            except MintwardenError as error:
                outcome = error.kind.value
                reply = _error(error, reference)
                if reply.status >= 500:
                    self._observer.failed(reference, error)
            except Exception as error:  # noqa: BLE001 - nobody foresaw it: a reference, and nothing more
                outcome, reply = "server_error", unknown_reply(reference)
                self._observer.failed(reference, error)
            self._observer.served(
                Served(
                    route=route,
                    status=reply.status,
                    seconds=self._monotonic() - begun,
                    reference=reference,
                    address=self._peer.read(request.scope["client"], request.scope["headers"]),
                    client_id=who.client_id if who is not None else "",
                    subject=entity_key(who.principal) if who is not None and who.principal.type != "User" else "",
                    token=who.token_id if who is not None else "",
                    outcome=outcome,
                )
            )
            return _response(reply)

        return endpoint

    async def _lost(self, request: Request, error: Exception) -> Response:
        reference = self._references()
        status = error.status_code if isinstance(error, HTTPException) else 500
        if status == 405:
            allow = (error.headers or {}).get("Allow", "") if isinstance(error, HTTPException) else ""
            problem: MintwardenError = HttpError(405, "the method is not allowed here", (b"allow", allow.encode()))
        else:
            problem = MintwardenError(ErrorKind.NOT_FOUND, "there is nothing here")
        return _response(error_reply(problem, reference))


def _error(error: MintwardenError, reference: str) -> Reply:
    if error.kind in (ErrorKind.INVALID_TOKEN, ErrorKind.INSUFFICIENT_SCOPE):
        return bearer_reply(error, reference, scope=error.scope if isinstance(error, ScopeLacking) else "")
    return error_reply(error, reference)


def _response(reply: Reply) -> Response:
    response = Response(reply.body, reply.status)
    response.raw_headers = [*reply.headers, (b"content-length", b"%d" % len(reply.body))]
    return response


async def _body(request: Request) -> bytes:
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                raise MintwardenError(ErrorKind.TOO_LARGE, "the body is too large", hint=f"at most {MAX_BODY} bytes")
    except ClientDisconnect:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "the request ended early") from None
    return body


def _read(body: bytes) -> Sequence[Pushed]:
    """The documents of `{"documents": [...]}`, with no member twice and no number that JSON does not have."""
    try:
        content = json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_constant)
        return msgspec.convert(content, _Push).documents
    except msgspec.ValidationError as error:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, _plain(str(error))) from None
    except (ValueError, RecursionError):
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "the body is not well-formed JSON") from None


class _Push(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    documents: list[Pushed]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is repeated")
    return members


def _constant(_name: str) -> NoReturn:
    raise ValueError("not a number")


def _plain(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")

"""What stands around each endpoint for receivers: admission, token, scope, strict reading, how errors are told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from msgspec import Struct

from mintwarden.feeds.transmitter import TooFrequent
from mintwarden.model.caller import Evidence
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.admin.access import ScopeLacking, challenges, demand
from mintwarden.web.authzen.endpoint import Doorway, Frame
from mintwarden.web.authzen.reading import read_object
from mintwarden.web.body import arrived
from mintwarden.web.errors import HttpError, error_reply, mistake, unknown_reply
from mintwarden.web.observe import Served
from mintwarden.web.reply import Header, Receive, Reply, Scope, Send, send_reply

READ, MANAGE = "ssf.read", "ssf.manage"
"""The scopes of the CAEP interoperability profile. Whoever may change a stream may read it."""
AUDIENCE = "shared-signals"
"""The catalogue's audience for receivers."""
TYPE = b"application/json"
LONGEST_QUERY = 2_000


class Call(Struct, frozen=True, kw_only=True):
    """One request of a receiver, verified.

    Attributes:
        below: what follows the endpoint's path.
        query: the parameters in the address.
        content: the body, empty where a method has none.
    """

    who: Evidence
    below: str
    query: Mapping[str, str]
    content: Mapping[str, Any]


Rest = Callable[[], Awaitable[Reply]]
Answer = Callable[[Call], Awaitable[Reply | Rest]]
"""What is answered; or what is left to be done once the request holds up no other: it may wait."""


class Method(Struct, frozen=True):
    """What one method does: which of `scopes` it takes, whether it has a body, and the answer."""

    scopes: tuple[str, ...]
    answer: Answer
    reads: bool = True


class Endpoint:
    """One endpoint at `path`, or with `below` at everything below it; `route` is its name in logs and metrics.

    The frame's doorway raises `NOT_FOUND` where the bundle has no transmitter. `wait` says in how many seconds a client
    may call, 0 for now.
    """

    def __init__(
        self,
        frame: Frame,
        methods: Mapping[str, Method],
        *,
        route: str,
        path: str,
        wait: Callable[[str], int],
        below: bool = False,
    ) -> None:
        self._frame = frame
        self._methods = methods
        self._route = route
        self._path = path
        self._below = below
        self._wait = wait

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request: receive, admit, believe, read, answer, observe."""
        frame = self._frame
        begun, reference, seen = frame.monotonic(), frame.references(), _Seen()
        try:
            reply = await self._admitted(scope, receive, seen)
            if not isinstance(reply, Reply):
                reply = await reply()
        except MintwardenError as error:
            reply = self._failed(error, reference, seen)
        except asyncio.CancelledError:
            if not frame.gate.expired(asyncio.current_task()):
                raise
            reply = self._failed(_too_long(), reference, seen)
        except Exception as error:  # noqa: BLE001 - nobody foresaw it: a reference, and nothing more
            frame.observer.failed(reference, error)
            seen.outcome, reply = "server_error", unknown_reply(reference)
        await send_reply(send, reply)
        frame.observer.served(
            Served(
                route=self._route,
                status=reply.status,
                seconds=frame.monotonic() - begun,
                reference=reference,
                address=frame.peer.read(scope["client"], scope["headers"]),
                client_id=seen.client_id,
                token=seen.token,
                outcome=seen.outcome,
                what=seen.what,
                hint=seen.hint,
            )
        )

    async def _admitted(self, scope: Scope, receive: Receive, seen: _Seen) -> Reply | Rest:
        frame = self._frame
        body = await _arrived(receive, frame)
        task = await frame.gate.enter()
        try:
            return await self._walk(scope, body, seen)
        except asyncio.CancelledError:
            if not frame.gate.expired(task):
                raise
            raise _too_long() from None
        finally:
            frame.gate.leave(task)

    async def _walk(self, scope: Scope, body: bytes | MintwardenError, seen: _Seen) -> Reply | Rest:
        doorway = await self._frame.doorway()
        if not self._below and scope["path"] != self._path:
            raise MintwardenError(ErrorKind.NOT_FOUND, "there is nothing here")
        method = self._methods.get(scope["method"])
        if method is None:
            allow = ", ".join(self._methods).encode()
            raise HttpError(405, "the method is not allowed here", (b"allow", allow))
        who = await self._believed(doorway, scope)
        seen.client_id, seen.token = who.client_id, who.token_id
        if seconds := self._wait(who.client_id):
            raise TooFrequent(seconds)
        demand(who, *method.scopes)
        if not who.client_id:
            raise MintwardenError(ErrorKind.INVALID_TOKEN, "the access token is no client's", authenticate=True)
        if method.reads:
            _check_head(scope)
        if isinstance(body, MintwardenError):
            raise body
        return await method.answer(
            Call(
                who=who,
                below=scope["path"][len(self._path) :],
                query=_query(scope.get("query_string", b"")),
                content=read_object(body) if method.reads else {},
            )
        )

    async def _believed(self, doorway: Doorway, scope: Scope) -> Evidence:
        who, once = doorway.access.verify(self._frame.showing.of(scope))
        if await doorway.is_revoked(who):
            raise MintwardenError(ErrorKind.INVALID_TOKEN, "the access token was revoked", authenticate=True)
        if once and not await doorway.claim(once):
            raise doorway.access.again()
        return who

    def _failed(self, error: MintwardenError, reference: str, seen: _Seen) -> Reply:
        if isinstance(error, TooFrequent):
            error = HttpError(429, error.public, (b"retry-after", b"%d" % error.seconds))
        seen.outcome = error.kind.value
        seen.what, seen.hint = mistake(error)
        reply = error_reply(error, reference)
        if reply.status >= 500 and error.kind is not ErrorKind.OVERLOADED:
            self._frame.observer.failed(reference, error)
        more: tuple[Header, ...] = ()
        if reply.status in (401, 403):
            lacking = error.scope if isinstance(error, ScopeLacking) else ""
            more = challenges(error, scope=lacking)
        return reply._replace(headers=(*reply.headers, *more))


class _Seen:
    """What is known of a request so far."""

    __slots__ = ("client_id", "hint", "outcome", "token", "what")

    def __init__(self) -> None:
        self.client_id = self.token = self.outcome = self.what = self.hint = ""


def _too_long() -> MintwardenError:
    return MintwardenError(ErrorKind.UNAVAILABLE, "the request took too long")


async def _arrived(receive: Receive, frame: Frame) -> bytes | MintwardenError:
    """The body, or what is wrong with it, for who is known to hear; see `web.authzen.endpoint`."""
    try:
        return await arrived(receive, frame.max_body, frame.gate)
    except HttpError:
        raise
    except MintwardenError as error:
        return error


def _check_head(scope: Scope) -> None:
    """Raises `INVALID_REQUEST` for a body that is not JSON by its own account."""
    types = [value for name, value in scope["headers"] if name == b"content-type"]
    kind = types[0].partition(b";")[0].strip().lower() if len(types) == 1 else b""
    if kind != TYPE or any(name == b"content-encoding" for name, _ in scope["headers"]):
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "the body is not `application/json`, or is encoded")


def _query(raw: bytes) -> Mapping[str, str]:
    """The parameters, each once. INVARIANT: a token among them is read by nobody (RFC 6750 section 2.3)."""
    if len(raw) > LONGEST_QUERY:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "the query is too long")
    pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True)
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "a parameter is repeated")
    return found

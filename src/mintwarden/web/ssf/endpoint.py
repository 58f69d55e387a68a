"""What stands around each endpoint for receivers: admission, token, scope, strict reading, how errors are told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from msgspec import Struct

from mintwarden.feeds.transmitter import TooFrequent
from mintwarden.model.caller import Evidence
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.admin.access import ScopeLacking, challenges, demand
from mintwarden.web.authzen.reading import read_object
from mintwarden.web.body import arrived_or_not
from mintwarden.web.doorway import Doorway, Frame, believed, require_json
from mintwarden.web.errors import HttpError, error_reply, mistake, unknown_reply
from mintwarden.web.observe import Served
from mintwarden.web.reply import Header, Receive, Reply, Scope, Send, send_reply

READ, MANAGE = "ssf.read", "ssf.manage"
"""The scopes of the CAEP interoperability profile. Whoever may change a stream may read it."""
AUDIENCE = "shared-signals"
"""The catalogue's audience for receivers."""
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
        frame: Frame[Doorway],
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
            body = await arrived_or_not(receive, frame.max_body, frame.gate)
            reply = await frame.gate.in_turn(lambda: self._walk(scope, body, seen))
            if not isinstance(reply, Reply):
                reply = await reply()
        except MintwardenError as error:
            reply = self._failed(error, reference, seen)
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

    async def _walk(self, scope: Scope, body: bytes | MintwardenError, seen: _Seen) -> Reply | Rest:
        doorway = await self._frame.doorway()
        if not self._below and scope["path"] != self._path:
            raise MintwardenError(ErrorKind.NOT_FOUND, "there is nothing here")
        method = self._methods.get(scope["method"])
        if method is None:
            allow = ", ".join(self._methods).encode()
            raise HttpError(405, "the method is not allowed here", (b"allow", allow))
        who = await believed(doorway, self._frame.showing, scope)
        seen.client_id, seen.token = who.client_id, who.token_id
        if seconds := self._wait(who.client_id):
            raise TooFrequent(seconds)
        demand(who, *method.scopes)
        if not who.client_id:
            raise MintwardenError(ErrorKind.INVALID_TOKEN, "the access token is no client's", authenticate=True)
        if method.reads:
            require_json(scope)
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


def _query(raw: bytes) -> Mapping[str, str]:
    """The parameters, each once. INVARIANT: a token among them is read by nobody (RFC 6750 section 2.3)."""
    if len(raw) > LONGEST_QUERY:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "the query is too long")
    pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True)
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "a parameter is repeated")
    return found

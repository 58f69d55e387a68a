"""What stands around each endpoint of the Authorization API: admission, token, strict reading, how errors are told.

Errors are a status and a message (section 10.1.2). The caller's `X-Request-ID` is in every answer, errors included.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from mintwarden.model.caller import Evidence, OnceKey
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.admin.access import Access, ScopeLacking, Showing, challenges
from mintwarden.web.admit import Gate
from mintwarden.web.authzen.reading import read_object
from mintwarden.web.body import arrived
from mintwarden.web.errors import TABLE, HttpError, description, later
from mintwarden.web.observe import Observer, Served
from mintwarden.web.peer import PeerReader
from mintwarden.web.reply import JSON, NO_STORE, NOSNIFF, TEXT, Header, Receive, Reply, Scope, Send, send_reply

TYPE = b"application/json"
AUDIENCE = "decision-point"
"""The catalogue's audience for callers of the Authorization API."""


class Work:
    """What is known of a request so far."""

    __slots__ = ("audience", "client_id", "decision", "outcome", "token")

    def __init__(self) -> None:
        self.client_id = self.audience = self.decision = self.outcome = self.token = ""


class Doorway(Protocol):
    """Who may come in, under what governs now."""

    @property
    def access(self) -> Access: ...

    async def is_revoked(self, who: Evidence) -> bool: ...

    async def claim(self, once: Sequence[OnceKey]) -> bool: ...


class Frame(Struct, frozen=True, kw_only=True):
    """What every endpoint needs.

    Attributes:
        doorway: brings what is held in memory up to date, and gives what governs then.
    """

    doorway: Callable[[], Awaitable[Doorway]]
    gate: Gate
    showing: Showing
    peer: PeerReader
    observer: Observer
    references: Callable[[], str]
    monotonic: Callable[[], float]
    max_body: int


Answer = Callable[[Mapping[str, Any], Evidence, Work], Awaitable[Mapping[str, Any]]]
"""Content and caller in, content out. Demands the scopes that the content needs."""


class Endpoint:
    """One endpoint; `route` is its name in logs and metrics."""

    def __init__(self, frame: Frame, answer: Answer, *, route: str) -> None:
        self._frame = frame
        self._answer = answer
        self._route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request: receive, admit, believe, read, answer, observe."""
        frame, work = self._frame, Work()
        begun, reference = frame.monotonic(), frame.references()
        try:
            body = await _arrived(receive, frame)
            task = await frame.gate.enter()
            try:
                reply = await self._walk(scope, body, work)
            except asyncio.CancelledError:
                if not frame.gate.expired(task):
                    raise
                reply = self._failed(_too_long(), reference, work)
            finally:
                frame.gate.leave(task)
        except MintwardenError as error:
            reply = self._failed(error, reference, work)
        except asyncio.CancelledError:
            if not frame.gate.expired(asyncio.current_task()):
                raise
            reply = self._failed(_too_long(), reference, work)
        except Exception as error:  # noqa: BLE001 - nobody foresaw it: a reference, and nothing more
            frame.observer.failed(reference, error)
            work.outcome = "server_error"
            reply = _error(500, f"something went wrong here ({reference})")
        own = _identified(scope)
        await send_reply(send, reply._replace(headers=(*reply.headers, *own)), echoes=bool(own))
        frame.observer.served(
            Served(
                route=self._route,
                status=reply.status,
                seconds=frame.monotonic() - begun,
                reference=reference,
                address=frame.peer.read(scope["client"], scope["headers"]),
                client_id=work.client_id,
                audience=work.audience,
                decision=work.decision,
                token=work.token,
                outcome=work.outcome,
            )
        )

    async def _walk(self, scope: Scope, body: bytes | MintwardenError, work: Work) -> Reply:
        frame = self._frame
        doorway = await frame.doorway()
        who, once = doorway.access.verify(frame.showing.of(scope))
        if await doorway.is_revoked(who):
            raise MintwardenError(ErrorKind.INVALID_TOKEN, "the access token was revoked", authenticate=True)
        if once and not await doorway.claim(once):
            raise doorway.access.again()
        work.client_id, work.token = who.client_id, who.token_id
        _check_head(scope)
        if isinstance(body, MintwardenError):
            raise body
        content = read_object(body)
        return Reply(200, (JSON, NO_STORE, NOSNIFF), msgspec.json.encode(await self._answer(content, who, work)))

    def _failed(self, error: MintwardenError, reference: str, work: Work) -> Reply:
        work.outcome = error.kind.value
        status = error.status if isinstance(error, HttpError) else TABLE[error.kind][0]
        if status >= 500:
            if error.kind is not ErrorKind.OVERLOADED:
                self._frame.observer.failed(reference, error)
            what = "the service cannot answer now" if status == 503 else "something went wrong here"
            return _error(status, f"{what} ({reference})", *((later(error, reference),) if status == 503 else ()))
        lacking = error.scope if isinstance(error, ScopeLacking) else ""
        more = challenges(error, scope=lacking) if status in (401, 403) else ()
        if isinstance(error, HttpError):
            more = (*more, *error.headers)
        return _error(status, description(error.public), *more)


async def _arrived(receive: Receive, frame: Frame) -> bytes | MintwardenError:
    """The body, or what is wrong with it, for who is known to hear.

    INVARIANT: it is here before the request takes a place among all others, whoever sends it.
    """
    try:
        return await arrived(receive, frame.max_body, frame.gate)
    except HttpError:
        raise
    except MintwardenError as error:
        return error


def _error(status: int, message: str, *headers: Header) -> Reply:
    return Reply(status, (TEXT, NO_STORE, NOSNIFF, *headers), f"{message}\n".encode())


def _too_long() -> MintwardenError:
    return MintwardenError(ErrorKind.UNAVAILABLE, "the request took too long")


def _identified(scope: Scope) -> tuple[Header, ...]:
    """The caller's own name of the request (section 10.1.3)."""
    return tuple((b"x-request-id", value) for name, value in scope["headers"] if name == b"x-request-id")[:1]


def _check_head(scope: Scope) -> None:
    """Raises `INVALID_REQUEST` for a body that is not JSON by its own account."""
    types = [value for name, value in scope["headers"] if name == b"content-type"]
    kind = types[0].partition(b";")[0].strip().lower() if len(types) == 1 else b""
    if kind != TYPE:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "the body is not `application/json`")
    if any(name == b"content-encoding" for name, _ in scope["headers"]):
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "an encoded body is not taken")

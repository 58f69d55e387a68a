"""What stands around each endpoint of the Authorization API: admission, token, strict reading, how errors are told.

Errors are a status and a message (section 10.1.2). The caller's `X-Request-ID` is in every answer, errors included.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from mintwarden.model.caller import Evidence
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.admin.access import ScopeLacking, challenges
from mintwarden.web.authzen.reading import read_object
from mintwarden.web.body import arrived_or_not
from mintwarden.web.doorway import Doorway, Frame, believed, require_json
from mintwarden.web.errors import TABLE, HttpError, description, later
from mintwarden.web.observe import Served
from mintwarden.web.reply import JSON, NO_STORE, NOSNIFF, TEXT, Header, Receive, Reply, Scope, Send, send_reply

AUDIENCE = "decision-point"
"""The catalogue's audience for callers of the Authorization API."""


class Work:
    """What is known of a request so far."""

    __slots__ = ("audience", "client_id", "decision", "outcome", "token")

    def __init__(self) -> None:
        self.client_id = self.audience = self.decision = self.outcome = self.token = ""


Answer = Callable[[Mapping[str, Any], Evidence, Work], Awaitable[Mapping[str, Any]]]
"""Content and caller in, content out. Demands the scopes that the content needs."""


class Endpoint:
    """One endpoint; `route` is its name in logs and metrics."""

    def __init__(self, frame: Frame[Doorway], answer: Answer, *, route: str) -> None:
        self._frame = frame
        self._answer = answer
        self._route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request: receive, admit, believe, read, answer, observe."""
        frame, work = self._frame, Work()
        begun, reference = frame.monotonic(), frame.references()
        try:
            # INVARIANT: the body is here before the request takes a place among all others, whoever sends it.
            body = await arrived_or_not(receive, frame.max_body, frame.gate)
            reply = await frame.gate.in_turn(lambda: self._walk(scope, body, work))
        except MintwardenError as error:
            reply = self._failed(error, reference, work)
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
        who = await believed(await frame.doorway(), frame.showing, scope)
        work.client_id, work.token = who.client_id, who.token_id
        require_json(scope)
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


def _error(status: int, message: str, *headers: Header) -> Reply:
    return Reply(status, (TEXT, NO_STORE, NOSNIFF, *headers), f"{message}\n".encode())


def _identified(scope: Scope) -> tuple[Header, ...]:
    """The caller's own name of the request (section 10.1.3)."""
    return tuple((b"x-request-id", value) for name, value in scope["headers"] if name == b"x-request-id")[:1]

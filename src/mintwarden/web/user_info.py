"""`/userinfo`, GET or POST: who signed in, for the holder of an access token (OpenID Connect Core section 5.3)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.admin.access import challenges
from mintwarden.web.admit import Gate
from mintwarden.web.errors import HttpError, error_reply, mistake, unknown_reply
from mintwarden.web.observe import Observer, Served
from mintwarden.web.peer import PeerReader
from mintwarden.web.reply import NO_STORE, NOSNIFF, Receive, Reply, Scope, Send, json_reply, send_reply

SCOPE = "openid"
METHODS = ("GET", "POST")


class UserInfoEndpoint:
    """Tells what `tell` makes of the request: a document, or, as text, a signed one."""

    def __init__(
        self,
        tell: Callable[[Scope], Awaitable[object]],
        *,
        gate: Gate,
        peer: PeerReader,
        observer: Observer,
        references: Callable[[], str],
    ) -> None:
        self._tell = tell
        self._gate = gate
        self._peer = peer
        self._observer = observer
        self._references = references

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """One request. Its body, if any, is not read: the token stands in the `Authorization` header."""
        begun, reference = time.monotonic(), self._references()
        outcome, what, hint = "told", "", ""
        try:
            reply = await self._admitted(scope)
        except MintwardenError as error:
            reply, outcome = self._failed(error, reference), error.kind.value
            what, hint = mistake(error)
        except Exception as error:  # noqa: BLE001 - nobody foresaw it: a reference, and nothing more
            reply, outcome = unknown_reply(reference), "server_error"
            self._observer.failed(reference, error)
        await send_reply(send, reply)
        self._observer.served(
            Served(
                route="userinfo",
                status=reply.status,
                seconds=time.monotonic() - begun,
                reference=reference,
                address=self._peer.read(scope["client"], scope["headers"]),
                outcome=outcome,
                what=what,
                hint=hint,
            )
        )

    async def _admitted(self, scope: Scope) -> Reply:
        if scope["method"] not in METHODS:
            raise HttpError(405, "the method is not allowed here", (b"allow", ", ".join(METHODS).encode()))
        if scope["query_string"]:
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "the token belongs into the `Authorization` header")
        told = await self._gate.in_turn(lambda: self._tell(scope))
        if isinstance(told, str):
            return Reply(200, ((b"content-type", b"application/jwt"), NO_STORE, NOSNIFF), told.encode())
        return json_reply(200, told)

    def _failed(self, error: MintwardenError, reference: str) -> Reply:
        reply = error_reply(error, reference)
        if error.kind in (ErrorKind.INVALID_TOKEN, ErrorKind.INSUFFICIENT_SCOPE):
            reply = reply._replace(headers=(*reply.headers, *challenges(error, scope=SCOPE, realm="userinfo")))
        if reply.status >= 500 and error.kind is not ErrorKind.OVERLOADED:
            self._observer.failed(reference, error)
        return reply

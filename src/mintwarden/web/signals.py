"""`/ssf/events/<transmitter>`: transmitters push security event tokens (RFC 8935 section 2)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.signals import SignalRefused
from mintwarden.web.admit import Gate
from mintwarden.web.body import arrived
from mintwarden.web.errors import HttpError, description, error_reply, mistake, unknown_reply
from mintwarden.web.observe import Observer, Served
from mintwarden.web.peer import PeerReader
from mintwarden.web.reply import NO_STORE, NOSNIFF, Header, Receive, Reply, Scope, Send, json_reply, send_reply

MEDIA_TYPE: Final = "application/secevent+jwt"
LONGEST: Final = 16 * 1024
"""Bytes of a token."""
_LANGUAGE: Header = (b"content-language", b"en")
_ACCEPTED = Reply(202, (NO_STORE, NOSNIFF), b"")

Take = Callable[[str, str, str], Awaitable[None]]
"""Takes a token: the transmitter's id, the token, and the request's `Authorization`.

Raises `SignalRefused`, and `MintwardenError` where it is not the token's fault.
"""


class PushedEvents:
    """Answers everything below `path`."""

    def __init__(
        self,
        take: Take,
        *,
        path: str,
        gate: Gate,
        peer: PeerReader,
        observer: Observer,
        references: Callable[[], str],
    ) -> None:
        self._take = take
        self._path = path
        self._gate = gate
        self._peer = peer
        self._observer = observer
        self._references = references

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        begun, reference = time.monotonic(), self._references()
        what = hint = ""
        try:
            reply, outcome = await self._in_turn(scope, receive), "accepted"
        except SignalRefused as refused:
            outcome, what = refused.fault, refused.description
            content = {"err": refused.fault, "description": description(refused.description)}
            reply = json_reply(400, content, _LANGUAGE)
        except MintwardenError as error:
            outcome = error.kind.value
            what, hint = mistake(error)
            reply = error_reply(error, reference)
            if reply.status >= 500 and error.kind is not ErrorKind.OVERLOADED:
                self._observer.failed(reference, error)
        except Exception as error:  # noqa: BLE001 - nobody foresaw it: a reference, and nothing more
            reply, outcome = unknown_reply(reference), "server_error"
            self._observer.failed(reference, error)
        await send_reply(send, reply)
        self._observer.served(
            Served(
                route="signals",
                status=reply.status,
                seconds=time.monotonic() - begun,
                reference=reference,
                address=self._peer.read(scope["client"], scope["headers"]),
                outcome=outcome,
                what=what,
                hint=hint,
            )
        )

    async def _in_turn(self, scope: Scope, receive: Receive) -> Reply:
        token, authorization = await self._arrived(scope, receive), _authorization(scope)
        name = scope["path"][len(self._path) :].removeprefix("/")
        # What is late is sent again; what was done of it by then may be done twice.
        await self._gate.in_turn(lambda: self._take(name, token, authorization))
        return _ACCEPTED

    async def _arrived(self, scope: Scope, receive: Receive) -> str:
        """INVARIANT: the body is here before the request takes a place among all others."""
        if scope["method"] != "POST":
            raise HttpError(405, "the method is not allowed here", (b"allow", b"POST"))
        kinds = [value for name, value in scope["headers"] if name == b"content-type"]
        if len(kinds) != 1 or kinds[0].partition(b";")[0].strip().lower() != MEDIA_TYPE.encode():
            raise HttpError(415, f"the body is not `{MEDIA_TYPE}`")
        body = await arrived(receive, LONGEST, self._gate)
        try:
            return body.decode("ascii")
        except UnicodeDecodeError:
            raise SignalRefused("invalid_request", "the token is not ASCII") from None


def _authorization(scope: Scope) -> str:
    given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
    return given[0] if len(given) == 1 else ""

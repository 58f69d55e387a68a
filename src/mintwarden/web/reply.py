"""A whole response, and how it is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

import msgspec

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]

JSON: Header = (b"content-type", b"application/json")
TEXT: Header = (b"content-type", b"text/plain; charset=utf-8")
NO_STORE: Header = (b"cache-control", b"no-store")
NOSNIFF: Header = (b"x-content-type-options", b"nosniff")


class Reply(NamedTuple):
    """Status, headers (without the length) and body."""

    status: int
    headers: tuple[Header, ...]
    body: bytes


def json_reply(status: int, content: object, *headers: Header, cache: Header = NO_STORE) -> Reply:
    """A JSON response; not to be cached unless `cache` says so."""
    return Reply(status, (JSON, cache, NOSNIFF, *headers), msgspec.json.encode(content))


async def unanswered() -> None:
    """What becomes of a message that nothing here answers."""


async def send_reply(send: Send, reply: Reply, *, bodiless: bool = False, echoes: bool = False) -> None:
    """Send all of it; `bodiless` for an answer to HEAD, `echoes` for one whose headers repeat something of the request.

    A server that can take a response whole (`web.connection.Cycle`) gets it so; the others get ASGI messages, and so
    does every server what echoes: each of these headers is looked at, and none is kept.
    """
    status, headers, body = reply
    whole = getattr(getattr(send, "__self__", None), "respond", None)
    if whole is not None and not (bodiless or echoes) and whole(status, headers, body):
        return
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "http.response.body", "body": b"" if bodiless else body})

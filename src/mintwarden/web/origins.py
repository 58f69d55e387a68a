"""Scripts of other sites: which of them may ask here and read the answer (Fetch standard, CORS protocol; RFC 10017).

Only where nothing that a browser adds by itself counts: a cookie never does at these addresses, and none is allowed to
come along. INVARIANT: an origin that is no client's is told nothing, whatever it asks; a page is never named.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from mintwarden.web.reply import Handler, Header, Receive, Reply, Scope, Send, send_reply

HEADERS: Final = b"accept, authorization, content-type, dpop"
"""What a script may send beside what any form can."""

EXPOSED: Final = b"dpop-nonce, retry-after, www-authenticate"
"""What a script may read of an answer's headers beside the harmless ones."""

KEPT: Final = b"600"
"""Seconds for which a browser may keep the answer to its question."""

_VARIES: Final[Header] = (b"vary", b"origin")


class CrossOrigin:
    """Lets scripts of known origins at some addresses; everything else goes through untouched.

    Args:
        inner: answers.
        methods: path to the methods that scripts may use there.
        known: is an origin, as a browser writes it, one that may read answers.
    """

    def __init__(self, inner: Handler, *, methods: Mapping[str, bytes], known: Callable[[str], bool]) -> None:
        self._inner = inner
        self._methods = dict(methods)
        self._known = known

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """One request."""
        methods = self._methods.get(scope["path"]) if scope["type"] == "http" else None
        origin = _single(scope, b"origin") if methods is not None else None
        if methods is None or origin is None or not self._known(origin.decode("latin-1")):
            return self._inner(scope, receive, send)
        return self._readable(scope, receive, send, origin, methods)

    async def _readable(self, scope: Scope, receive: Receive, send: Send, origin: bytes, methods: bytes) -> None:
        allowed: Header = (b"access-control-allow-origin", origin)
        if scope["method"] == "OPTIONS" and _single(scope, b"access-control-request-method") is not None:
            more = (b"access-control-allow-methods", methods), (b"access-control-allow-headers", HEADERS)
            await send_reply(send, Reply(204, (allowed, *more, (b"access-control-max-age", KEPT), _VARIES), b""))
            return

        async def readable(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                exposed = (b"access-control-expose-headers", EXPOSED)
                message["headers"] = [*message.get("headers", ()), allowed, exposed, _VARIES]
            await send(message)

        await self._inner(scope, receive, readable)


def _single(scope: Scope, name: bytes) -> bytes | None:
    """The one header of that name; None where there is none, or several."""
    found = [value for header, value in scope["headers"] if header == name]
    return found[0] if len(found) == 1 else None

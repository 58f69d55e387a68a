"""The HTTP surface as one ASGI application: `/token` and the public documents by hand, the rest mounted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.errors import HttpError, error_reply, mistake, unknown_reply
from mintwarden.web.observe import Observer, Served
from mintwarden.web.peer import PeerReader
from mintwarden.web.reply import Handler, Header, Receive, Reply, Scope, Send, send_reply, unanswered


class Asked(Struct, frozen=True):
    """What a page may want to know of a request.

    Attributes:
        path: what follows the page's prefix.
        address: the caller's.
        none_match: `If-None-Match`, if sent.
        query: the query string, as it came.
        headers: all of them.
    """

    path: str
    address: str
    none_match: bytes | None
    query: bytes = b""
    headers: Sequence[Header] = ()


Page = Callable[[Asked], Awaitable[Reply]]


class Surface:
    """Finds who answers a path.

    Args:
        posts: path to a handler of POST requests that does its own observing.
        pages: path to the name and the function of a document that is read with GET or HEAD.
        trees: the same for everything below a path.
        mounts: path to an application that answers everything below it.
        handlers: path to an application that answers it, whatever the method.
        lost: what a person is told where there is nothing; None for a caller that is told as a program.
    """

    def __init__(
        self,
        *,
        posts: Mapping[str, Handler],
        pages: Mapping[str, tuple[str, Page]],
        trees: Sequence[tuple[str, str, Page]],
        mounts: Sequence[tuple[str, Handler]],
        peer: PeerReader,
        observer: Observer,
        references: Callable[[], str],
        monotonic: Callable[[], float],
        handlers: Mapping[str, Handler] = MappingProxyType({}),
        lost: Callable[[Asked], Reply | None] = lambda _asked: None,
    ) -> None:
        self._lost = lost
        self._handlers = dict(handlers)
        self._posts = dict(posts)
        self._pages = dict(pages)
        self._trees = tuple(trees)
        self._mounts = tuple(mounts)
        self._peer = peer
        self._observer = observer
        self._references = references
        self._monotonic = monotonic

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """One request."""
        if scope["type"] != "http":
            return unanswered()
        path = scope["path"]
        handler = self._posts.get(path)
        if handler is not None:
            if scope["method"] == "POST":
                return handler(scope, receive, send)
            return self._refuse_method(scope, send, b"POST")
        handler = self._handlers.get(path)
        if handler is not None:
            return handler(scope, receive, send)
        for prefix, mounted in self._mounts:
            if path.startswith(prefix):
                return mounted(scope, receive, send)
        return self._page(scope, send, path)

    async def _page(self, scope: Scope, send: Send, path: str) -> None:
        name, page, rest = self._find(path)
        if scope["method"] not in ("GET", "HEAD") and page is not _nothing:
            await self._refuse_method(scope, send, b"GET, HEAD")
            return
        begun = self._monotonic()
        reference = self._references()
        address = self._peer.read(scope["client"], scope["headers"])
        outcome = what = hint = ""
        match = next((value for header, value in scope["headers"] if header == b"if-none-match"), None)
        asked = Asked(rest, address, match, scope.get("query_string", b""), scope["headers"])
        try:
            reply = await page(asked)
        except MintwardenError as error:
            told = self._lost(asked) if page is _nothing else None
            reply, outcome = told or error_reply(error, reference), error.kind.value
            what, hint = mistake(error)
            if reply.status >= 500 and error.kind is not ErrorKind.OVERLOADED:
                self._observer.failed(reference, error)
        except Exception as error:  # noqa: BLE001 - nobody foresaw it: a reference, and nothing more
            reply, outcome = unknown_reply(reference), "server_error"
            self._observer.failed(reference, error)
        await send_reply(send, reply, bodiless=scope["method"] == "HEAD" or reply.status == 304)
        seconds = self._monotonic() - begun
        self._observer.served(
            Served(
                route=name,
                status=reply.status,
                seconds=seconds,
                reference=reference,
                address=address,
                outcome=outcome,
                what=what,
                hint=hint,
            )
        )

    def _find(self, path: str) -> tuple[str, Page, str]:
        found = self._pages.get(path)
        if found is not None:
            return (*found, "")
        for prefix, name, page in self._trees:
            if path.startswith(prefix):
                return name, page, path[len(prefix) :]
        return "unknown", _nothing, ""

    async def _refuse_method(self, scope: Scope, send: Send, allow: bytes) -> None:
        reference = self._references()
        reply = error_reply(HttpError(405, "the method is not allowed here", (b"allow", allow)), reference)
        await send_reply(send, reply, bodiless=scope["method"] == "HEAD")
        self._observer.served(
            Served(
                route="unknown",
                status=405,
                seconds=0.0,
                reference=reference,
                address=self._peer.read(scope["client"], scope["headers"]),
                outcome="invalid_request",
            )
        )


async def _nothing(_asked: Asked) -> Reply:
    raise MintwardenError(ErrorKind.NOT_FOUND, "there is nothing here")

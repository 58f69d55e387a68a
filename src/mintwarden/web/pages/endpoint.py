"""An endpoint for browsers: admitted, read strictly, answered with a page or a redirect, observed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from mintwarden.model.address import block_of
from mintwarden.model.clock import Clock
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.accept import languages_of
from mintwarden.web.admin.limit import Buckets
from mintwarden.web.admit import Gate
from mintwarden.web.body import arrived
from mintwarden.web.errors import HttpError, later, mistake, status_of
from mintwarden.web.form import parse_form
from mintwarden.web.form_endpoint import is_form
from mintwarden.web.observe import Observer, Served
from mintwarden.web.pages.cookies import Cookies
from mintwarden.web.pages.render import GUARDS, Pages
from mintwarden.web.peer import PeerReader
from mintwarden.web.reply import Header, Receive, Reply, Scope, Send

JSON: Final = b"application/json"
Values = Mapping[str, tuple[str, ...]]


class Reader:
    """Who reads the page that comes of a request, whatever becomes of it: an error is told in the same language.

    Attributes:
        accept_language: the header, or empty.
        ui_locales: what the client's request says that they read, most wanted first; none before it is known.
    """

    __slots__ = ("accept_language", "ui_locales")

    def __init__(self, accept_language: str = "", ui_locales: Sequence[str] = ()) -> None:
        self.accept_language = accept_language
        self.ui_locales = tuple(ui_locales)

    def language(self, pages: Pages) -> str:
        """The language to speak to them: the request's, then the browser's, then the deployment's."""
        return pages.language(self.accept_language, self.ui_locales)


class Visit(Struct, frozen=True, kw_only=True):
    """A browser's request, taken apart. Nothing in it is believed yet.

    Attributes:
        path: what follows the endpoint's own path, without its slash.
        unverified_query, unverified_form: parameters; the form is empty unless one was posted.
        unverified_json: a posted JSON document, or empty.
        cookies: by our own names for them.
        origin: the `Origin` header, or empty.
        reader: who reads what comes of it.
        received_at: `Millis`.
        reference: the request's name in logs and on error pages.
    """

    method: str
    path: str
    unverified_query: Values
    unverified_form: Values
    unverified_json: bytes
    cookies: Mapping[str, str]
    origin: str
    reader: Reader
    address: str
    received_at: int
    reference: str

    def one(self, name: str) -> str:
        """A query parameter, or empty."""
        return self.unverified_query.get(name, ("",))[0]

    def posted(self, name: str) -> str:
        """A form parameter, or empty."""
        return self.unverified_form.get(name, ("",))[0]

    def read_in(self, ui_locales: Sequence[str]) -> None:
        """From now on, this is what the request that it belongs to says of who reads; also where that is nothing."""
        self.reader.ui_locales = tuple(ui_locales)


Answer = Callable[[Visit], Awaitable[Reply]]


class TryAgain(MintwardenError):
    """What went wrong, and `where` (a path of ours) the person may try once more."""

    def __init__(self, error: MintwardenError, where: str) -> None:
        super().__init__(error.kind, error.public, hint=error.hint)
        self.where = where


class BrowserEndpoints:
    """What all of a deployment's browser endpoints share; `endpoint` makes one.

    `visits` bounds how often one address may come: a visit may leave something behind that waits for its person.
    """

    def __init__(
        self,
        *,
        pages: Pages,
        cookies: Cookies,
        gate: Gate,
        clock: Clock,
        peer: PeerReader,
        observer: Observer,
        references: Callable[[], str],
        monotonic: Callable[[], float],
        max_body: int,
        visits: Buckets | None = None,
    ) -> None:
        self.visits = visits
        self.pages = pages
        self.cookies = cookies
        self.gate = gate
        self.clock = clock
        self.peer = peer
        self.observer = observer
        self.references = references
        self.monotonic = monotonic
        self.max_body = max_body

    def endpoint(
        self,
        answer: Answer,
        *,
        route: str,
        path: str,
        methods: Sequence[str] = ("GET",),
        locales: Callable[[Values], Sequence[str]] | None = None,
    ) -> BrowserEndpoint:
        """An endpoint at `path` and below it, named `route` in logs and metrics.

        `locales` finds what somebody reads among the parameters that clients send there, for what goes wrong before
        their request is read.
        """
        return BrowserEndpoint(self, answer, route=route, path=path, methods=methods, locales=locales)


class BrowserEndpoint:
    """One of them, as an ASGI application."""

    def __init__(
        self,
        shared: BrowserEndpoints,
        answer: Answer,
        *,
        route: str,
        path: str,
        methods: Sequence[str],
        locales: Callable[[Values], Sequence[str]] | None,
    ) -> None:
        self._shared = shared
        self._answer = answer
        self._route = route
        self._path = path
        self._methods = tuple(methods)
        self._locales = locales

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request: admit, read, answer, observe."""
        shared = self._shared
        begun = shared.monotonic()
        reference, outcome, what, hint = shared.references(), "", "", ""
        address, reader = shared.peer.read(scope["client"], scope["headers"]), self._reader(scope)
        try:
            self._limit(address)
            reply = await self._admitted(scope, receive, address, reference, reader)
        except MintwardenError as error:
            reply, outcome = self._failed(reader, error, reference), error.kind.value
            what, hint = mistake(error)
        except asyncio.CancelledError:
            if not shared.gate.expired(asyncio.current_task()):
                raise
            late = MintwardenError(ErrorKind.UNAVAILABLE, "the request took too long")
            reply, outcome = self._failed(reader, late, reference), "timeout"
        except Exception as error:  # noqa: BLE001 - nobody foresaw it: a reference, and nothing more
            shared.observer.failed(reference, error)
            reply, outcome = self._page(reader, 500, "", reference), "server_error"
        await _send(send, reply)
        shared.observer.served(
            Served(
                route=self._route,
                status=reply.status,
                seconds=shared.monotonic() - begun,
                reference=reference,
                address=address,
                outcome=outcome,
                what=what,
                hint=hint,
            )
        )

    def _limit(self, address: str) -> None:
        visits = self._shared.visits
        wait = visits.take(block_of(address)) if visits is not None else 0
        if wait:
            raise HttpError(429, "too many visits from your address", (b"retry-after", b"%d" % wait))

    async def _admitted(self, scope: Scope, receive: Receive, address: str, reference: str, reader: Reader) -> Reply:
        gate = self._shared.gate
        if scope["method"] not in self._methods:
            allow = (b"allow", ", ".join(self._methods).encode())
            raise HttpError(405, "the method is not allowed here", allow)
        body = await arrived(receive, self._shared.max_body, gate) if scope["method"] == "POST" else b""
        task = await gate.enter()
        try:
            return await self._answer(self._visit(scope, body, address, reference, reader))
        except asyncio.CancelledError:
            if not gate.expired(task):
                raise
            raise MintwardenError(ErrorKind.UNAVAILABLE, "the request took too long") from None
        finally:
            gate.leave(task)

    def _reader(self, scope: Scope) -> Reader:
        """Who reads, as far as the address says; one that cannot be read is told of when it is."""
        wanted: Sequence[str] = ()
        if self._locales is not None:
            with contextlib.suppress(MintwardenError):
                wanted = self._locales(parse_form(scope["query_string"]))
        return Reader(languages_of(scope["headers"]), wanted)

    def _visit(self, scope: Scope, body: bytes, address: str, reference: str, reader: Reader) -> Visit:
        method = scope["method"]
        form: Values = {}
        document = b""
        if method == "POST":
            kind = _one(scope, b"content-type")
            if is_form(kind):
                form = parse_form(body)
                if self._locales is not None:
                    reader.ui_locales = tuple(self._locales(form)) or reader.ui_locales
            elif kind.partition(b";")[0].strip().lower() == JSON:
                document = body
            else:
                raise HttpError(415, "the body is neither a form nor JSON")
        return Visit(
            method=method,
            path=scope["path"][len(self._path) :].removeprefix("/"),
            unverified_query=parse_form(scope["query_string"]),
            unverified_form=form,
            unverified_json=document,
            cookies=self._shared.cookies.read(scope["headers"]),
            origin=_one(scope, b"origin").decode("latin-1"),
            reader=reader,
            address=address,
            received_at=self._shared.clock.now(),
            reference=reference,
        )

    def _failed(self, reader: Reader, error: MintwardenError, reference: str) -> Reply:
        status = status_of(error)
        again = error.where if isinstance(error, TryAgain) else ""
        if status < 500:
            reply = self._page(reader, status, error.public, "", again)
            return reply._replace(headers=(*reply.headers, *(error.headers if isinstance(error, HttpError) else ())))
        if error.kind is not ErrorKind.OVERLOADED:
            self._shared.observer.failed(reference, error)
        reply = self._page(reader, status, "", reference, again)
        return reply._replace(headers=(*reply.headers, later(error, reference))) if status == 503 else reply

    def _page(self, reader: Reader, status: int, detail: str, reference: str, again: str = "") -> Reply:
        pages = self._shared.pages
        return pages.error(reader.language(pages), status=status, detail=detail, reference=reference, again=again)


def redirect(location: str, *headers: Header, status: int = 303) -> Reply:
    """Send the browser elsewhere, with GET. Raises `INTERNAL` for what cannot be an address in a header."""
    if not (location.isascii() and location.isprintable()) or " " in location:
        raise MintwardenError(ErrorKind.INTERNAL, "a redirect leads to what is no address")
    return Reply(status, ((b"location", location.encode()), *GUARDS, *headers), b"")


def own_path(location: str) -> bool:
    """Is it a path on this very host, whoever reads it: no scheme, no host, nothing that a browser takes for one."""
    if not location.startswith("/") or location.startswith("//") or "\\" in location:
        return False
    if not (location.isascii() and location.isprintable()) or " " in location:
        return False
    parts = urlsplit(location)
    return not (parts.scheme or parts.netloc or parts.fragment)


def require_own_origin(visit: Visit, issuer: str) -> None:
    """Raise `INVALID_REQUEST` when a browser says that another site's page sent this."""
    parts = urlsplit(issuer)
    if visit.origin and visit.origin != f"{parts.scheme}://{parts.netloc}":
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "the request came from another site's page")


async def _send(send: Send, reply: Reply) -> None:
    """As plain messages: these headers hold handles and cookies, which `Cycle.respond` would keep."""
    length = (b"content-length", b"%d" % len(reply.body))
    await send({"type": "http.response.start", "status": reply.status, "headers": [*reply.headers, length]})
    await send({"type": "http.response.body", "body": reply.body})


def _one(scope: Scope, wanted: bytes) -> bytes:
    found = [value for name, value in scope["headers"] if name == wanted]
    return found[0] if len(found) == 1 else b""

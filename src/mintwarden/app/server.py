"""The server: one process or several, each with the whole program in it, on sockets bound once."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import itertools
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import ssl
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping
from typing import Any, Protocol

import uvicorn
from uvicorn.supervisors import Multiprocess

from mintwarden.app.config import Config, ServerConfig
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.connection import LimitedConnection
from mintwarden.web.metrics import MULTIPROCESS
from mintwarden.web.reply import Handler, Receive, Scope, Send, unanswered

BACKLOG = 2048
ACCEPTS = 16
"""Connections that one turn of the event loop takes. libuv takes one per listening socket: with many connections
at work a turn lasts milliseconds, and whoever comes new would wait for seconds.
"""

KEEP_ALIVE = 75
"""Seconds that an idle connection is kept; longer than the usual proxy keeps its own."""
_COMMON: Mapping[str, Any] = {
    "http": LimitedConnection,
    "ws": "none",
    "interface": "asgi3",
    "log_config": None,
    "access_log": False,
    "proxy_headers": False,  # `web.peer` reads them, from trusted proxies alone
    "server_header": False,
    "timeout_keep_alive": KEEP_ALIVE,
    "backlog": BACKLOG,
}
HAND_OVER = 0.0005
"""Seconds after which a busy event loop lets the writing thread have its turn: a commit takes about ten of them."""

COLLECT = (500_000, 10, 100)
"""Allocations between two looks of the garbage collector, and looks between those at older objects.

Several hundred requests under way hold some hundred thousand objects, all of which a look would go through in vain.
"""


class Running(Protocol):
    """The program between its start and its end."""

    @property
    def surface(self) -> Handler:
        """What answers requests."""
        ...

    async def close(self) -> None:
        """Let go of everything, in order, losing nothing."""
        ...


Opener = Callable[[Config], Awaitable[Running]]


class Program:
    """The program as an ASGI application of one process: opened at startup, closed when the last request is done."""

    def __init__(self, config: Config, opener: Opener) -> None:
        self._config = config
        self._opener = opener
        self._running: Running | None = None
        self.failure: Exception | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """A request, or the life span of the process."""
        if scope["type"] == "lifespan":
            return self._live(receive, send)
        return unanswered() if self._running is None else self._running.surface(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        _end_with_parent()
        try:
            with _not_collecting():
                self._running = await self._opener(self._config)
        except Exception as error:  # noqa: BLE001 - whatever it is, `serve` raises it again
            self.failure = error
            told = error.public if isinstance(error, MintwardenError) else type(error).__name__
            await send({"type": "lifespan.startup.failed", "message": told})
            return
        _settle()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._running.close()
        await send({"type": "lifespan.shutdown.complete"})


@contextlib.contextmanager
def _not_collecting() -> Generator[None, None, None]:
    """What is made at start is there to stay: looking for garbage among it again and again only takes time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _settle() -> None:
    """Take what was made at start out of the collector's sight, and have it look less often; hand over sooner.

    Bundle, clients and modules live as long as the process; going through them again and again cost a third of
    the time of a decision (`docs/adr/0007-hot-path.md`).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT)
    sys.setswitchinterval(HAND_OVER)


def _end_with_parent() -> None:
    """A worker whose parent was killed ends in order: it would keep the port from whoever starts next."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


class _Server(uvicorn.Server):
    """A server whose clean end on a signal is a clean end of the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def bind(config: Config) -> socket.socket:
    """The socket to serve on; raises `UNAVAILABLE` when the address is taken."""
    host, port = config.server.host, config.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise MintwardenError(
            ErrorKind.UNAVAILABLE,
            f"cannot listen on `{host}:{port}`: {(error.strerror or 'refused').lower()}",
            hint="choose another `port` in `[server]`",
        ) from error


def serve(config: Config, listening: socket.socket, opener: Opener, *, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way. `ready` is called before requests are taken.

    `opener` must be a plain function of a module when there are several workers. Raises what kept it from starting.
    """
    if config.server.workers == 1:
        program = Program(config, _announced(opener, ready))
        with contextlib.suppress(SystemExit):
            _Server(_settings(config, program)).run(sockets=_copies(listening, ACCEPTS))
        if program.failure is not None:
            raise program.failure
        return
    ready()
    with tempfile.TemporaryDirectory(prefix="mintwarden-metrics-") as shared:
        # Before any worker starts: they learn from it where to keep the numbers that they share.
        os.environ[MULTIPROCESS] = shared
        settings = _settings(config, functools.partial(Program, config, opener), factory=True)
        sockets = _copies(listening, max(2, ACCEPTS // config.server.workers))
        workers = Multiprocess(settings, sockets=sockets)
        workers.run()
        for each in sockets:
            each.close()
    if any(process.exitcode == uvicorn.config.STARTUP_FAILURE for process in workers.processes):
        raise MintwardenError(
            ErrorKind.UNAVAILABLE, "a worker did not start", hint="its log lines above say why; try `workers = 1`"
        )


def _copies(listening: socket.socket, count: int) -> list[socket.socket]:
    """The socket `count` times; the server closes them all when it ends."""
    return [listening, *(listening.dup() for _ in range(count - 1))]


def _announced(opener: Opener, ready: Callable[[], None]) -> Opener:
    async def opened(config: Config) -> Running:
        running = await opener(config)
        ready()
        return running

    return opened


def _settings(config: Config, app: Any, *, factory: bool = False) -> uvicorn.Config:
    server = config.server
    return uvicorn.Config(
        app,
        factory=factory,
        workers=server.workers,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        lifespan="on",
        timeout_graceful_shutdown=max(1, round(server.drain_timeout)),
        **_COMMON,
        **_tls(server),
    )


def _tls(server: ServerConfig) -> Mapping[str, Any]:
    if not server.tls_certificate:
        return {}
    known = tuple(file for file in (server.client_ca, server.client_certificates) if file)
    asking = {"ssl_context_factory": functools.partial(_asking, known)} if known else {}
    return {"ssl_certfile": server.tls_certificate, "ssl_keyfile": server.tls_key, **asking}


def _asking(known: tuple[str, ...], _config: uvicorn.Config, plain: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """TLS that asks for a client certificate; `known` are the files of those that it may be, or be issued by.

    Python's TLS lets a connection begin with no certificate, or with one that it can verify; with any other it fails
    (`docs/holder.md`). Each certificate of the files counts by itself, also one that another issued.
    """
    context = plain()
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    for file in known:
        context.load_verify_locations(cafile=file)
    return context


@contextlib.asynccontextmanager
async def serving(app: Handler, listening: socket.socket, *, server: ServerConfig | None = None) -> AsyncIterator[str]:
    """An application served from the present event loop, for tests and the quickstart; gives its base URL.

    `server` says with which TLS; plain HTTP without.
    """
    tls = _tls(server) if server is not None else {}
    settings = uvicorn.Config(app, lifespan="off", **_COMMON, **tls)
    embedded = _Embedded(settings)
    task = asyncio.create_task(embedded.serve(sockets=_copies(listening, ACCEPTS)))
    try:
        while not embedded.started and not task.done():  # noqa: ASYNC110 - uvicorn tells it in no other way
            await asyncio.sleep(0.005)
        host, port = listening.getsockname()[:2]
        yield f"{'https' if tls else 'http'}://{host}:{port}"
    finally:
        embedded.end()
        await task


class _Embedded(uvicorn.Server):
    """A server that leaves the process's signals alone, and ends when it is told to, not at its next look."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told = asyncio.Event()

    def end(self) -> None:
        """Take no more requests, finish what is under way, and return from `serve`."""
        self.should_exit = True
        self._told.set()

    async def main_loop(self) -> None:
        """As uvicorn's: what it does ten times a second, until the end."""
        ticks = itertools.count()
        while not await self.on_tick(next(ticks)):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await self._told.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, which lets a tenth of a second pass in any case; here only when there is something to end."""
        for server in self.servers:
            server.close()
        for each in sockets or ():
            each.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(0)  # idle connections are gone after one turn
        await self._wait_tasks_to_complete()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

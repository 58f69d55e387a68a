"""Structured log lines: one writer for the service's own and for those of the libraries.

The line of a request is encoded by hand, because structlog's pipeline would cost as much as a decision; it has the
same shape as every other line. Values are JSON strings, so that nothing a client sends can begin a line.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, BinaryIO

import msgspec
import structlog

from mintwarden.web.observe import Served

MAX_WAITING = 100_000
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class LineWriter:
    """Collects lines and writes them in one go when `flush` is called; what nobody takes in time is dropped."""

    def __init__(self, out: BinaryIO, *, dropped: Callable[[int], None] = lambda _count: None) -> None:
        self._out = out
        self._dropped = dropped
        self._lines: list[bytes] = []
        self._writing = threading.Lock()

    def write(self, line: bytes) -> None:
        """Take one line, without its end; safe from any thread."""
        if len(self._lines) >= MAX_WAITING:
            self._dropped(1)
            return
        self._lines.append(line)

    def flush(self) -> None:
        """Write what has come together. It may block: call it off the event loop."""
        with self._writing:
            lines, self._lines = self._lines, []
            if not lines:
                return
            try:
                self._out.write(b"\n".join(lines) + b"\n")
                self._out.flush()
            except (OSError, ValueError):
                self._dropped(len(lines))


class Logs:
    """Configures structlog and the standard library's logging onto one writer, for one process."""

    def __init__(self, writer: LineWriter, *, level: str, form: str) -> None:
        self.writer = writer
        self._form = form
        self._info = LEVELS[level] <= LEVELS["info"]
        self._render: Any = (
            structlog.processors.JSONRenderer(serializer=_encode)
            if form == "json"
            else structlog.dev.ConsoleRenderer(colors=False)
        )
        shared: list[Any] = [structlog.processors.add_log_level, _stamp, _safe]
        self.logger: Any = structlog.wrap_logger(
            _Sink(writer),
            processors=[*shared, structlog.processors.format_exc_info, self._render],
            wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        )
        self._handler = _Handler(self.logger)
        self._level = LEVELS[level]

    def adopt(self, *names: str) -> None:
        """Send the lines of these standard loggers here, and nowhere else."""
        for name in names:
            logger = logging.getLogger(name)
            logger.handlers = [self._handler]
            logger.propagate = False
            logger.setLevel(max(self._level, logging.INFO))

    def silence(self, name: str) -> None:
        """Say nothing of what this standard logger says: we say it ourselves."""
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = False

    def request(self, what: Served, now: int) -> None:
        """The line of one answered request. INVARIANT: `Served` holds nothing secret."""
        if not self._info:
            return
        if self._form == "json":
            if not (what.what.isprintable() and what.hint.isprintable()):  # hardly ever: the words of a client
                what = msgspec.structs.replace(what, what=_spelled_out(what.what), hint=_spelled_out(what.hint))
            self.writer.write(msgspec.json.encode(_RequestLine(when(now), "info", "request", what)))
        else:
            self.logger.info("request", **{k: v for k, v in msgspec.structs.asdict(what).items() if v})


class _RequestLine(msgspec.Struct, frozen=True):
    timestamp: str
    level: str
    event: str
    request: Served


class _Sink:
    """What structlog writes to."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def msg(self, line: str) -> None:
        self._writer.write(line.encode("utf-8", "backslashreplace"))

    log = debug = info = warning = error = critical = exception = fatal = msg


class _Handler(logging.Handler):
    """Brings a library's lines into the same shape."""

    def __init__(self, logger: Any) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        fields = {"exc_info": record.exc_info} if record.exc_info else {}
        getattr(self._logger, level if level in LEVELS else "error")(record.getMessage(), logger=record.name, **fields)


def when(millis: int) -> str:
    """A time as RFC 3339 in UTC."""
    return datetime.fromtimestamp(millis / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _stamp(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"timestamp": stamp, **event}


def _safe(_logger: object, _name: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Texts as `_spelled_out` has them."""
    return {key: _spelled_out(value) if isinstance(value, str) else value for key, value in event.items()}


def _spelled_out(text: str) -> str:
    """With what is not printed spelled out, in JSON too: JSON lets pass what a terminal obeys, such as U+009B, and what
    turns a line around.
    """
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _encode(event: object, **_options: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()

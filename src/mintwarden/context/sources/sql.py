"""Facts from the operator's own database, read by one parameterised query for everyone of a request.

The query takes `:keys` (`... where login in :keys`) and returns a column `key`. When the source is about one kind
of thing only, keys are bare ids (`alice`); otherwise entity keys (`User:alice`). A column `observed_at` (a
timestamp, or whole milliseconds since the epoch) and a column `groups` may be there; every other column is the fact
of that name, NULL for none. Sets, groups and records are arrays or JSON text.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from mintwarden.context.ports import FactDocument, Observation
from mintwarden.context.sources.breaker import Breaker
from mintwarden.context.spelling import read_datetime
from mintwarden.model.catalogue import Source
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.fact_type import FactType

Convert = Callable[[Any], Any]

_THREADS = 4
_MOST_ROWS = 10_000


class SqlSource:
    """One read-only query per read, off the event loop, within a time limit that the database keeps too.

    Takes `postgresql://` and `sqlite:///` URLs. Raises `MintwardenError(CONFIG)` for any other.
    """

    def __init__(self, *, source: Source, url: str, seconds: float = 1.0, breaker: Breaker | None = None) -> None:
        self._seconds = seconds
        self._breaker = breaker or Breaker()
        self._query = sa.text(source.query).bindparams(sa.bindparam("keys", expanding=True))
        self._bare = f"{source.about[0]}:" if len(source.about) == 1 else ""
        self._convert = {name: _converter(fact.type) for name, fact in source.facts.items()}
        self._engine = _open(url, seconds, source.connection)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"source-{source.id}")

    async def read(self, entities: Sequence[str], now: int) -> Mapping[str, Observation]:
        """See `ExternalSource`."""
        keys = {key.removeprefix(self._bare): key for key in entities}
        expired = threading.Event()
        with self._breaker.attempt(now):
            try:
                async with asyncio.timeout(self._seconds):
                    rows = await asyncio.get_running_loop().run_in_executor(
                        self._threads, self._rows, tuple(keys), expired
                    )
            except TimeoutError:
                raise MintwardenError(ErrorKind.SOURCE, "the source took too long") from None
            finally:
                expired.set()
            return self._observations(rows, keys)

    async def close(self) -> None:
        """Give the connections back."""
        await asyncio.get_running_loop().run_in_executor(None, self._threads.shutdown)
        self._engine.dispose()

    def _rows(self, keys: tuple[str, ...], expired: threading.Event) -> Sequence[Mapping[str, Any]]:
        if expired.is_set():
            return []
        try:
            with self._engine.connect() as connection:
                _stop_when(connection, expired)
                found = connection.execute(self._query, {"keys": keys}).mappings().fetchmany(_MOST_ROWS)
                connection.rollback()
                return [dict(row) for row in found]
        except (SQLAlchemyError, OSError) as error:
            raise MintwardenError(ErrorKind.SOURCE, "the query failed", hint=type(error).__name__) from None

    def _observations(self, rows: Sequence[Mapping[str, Any]], keys: Mapping[str, str]) -> Mapping[str, Observation]:
        found: dict[str, Observation] = {}
        for row in rows:
            key = keys.get(str(row.get("key")))
            if key is None:
                if "key" not in row:
                    raise MintwardenError(ErrorKind.SOURCE, "the query returns no column `key`")
                continue
            if key in found:
                raise MintwardenError(ErrorKind.SOURCE, "the query returns a key twice")
            found[key] = self._observation(row)
        return found

    def _observation(self, row: Mapping[str, Any]) -> Observation:
        try:
            facts = {name: convert(row[name]) for name, convert in self._convert.items() if row.get(name) is not None}
            groups = _array(row["groups"]) if row.get("groups") is not None else []
            at = _millis(row["observed_at"]) if "observed_at" in row else None
        except (ValueError, TypeError):
            raise MintwardenError(ErrorKind.SOURCE, "the query returns a value that cannot be read") from None
        return Observation(FactDocument(facts=facts, groups=groups), at)


def _open(url: str, seconds: float, name: str) -> Engine:
    try:
        parsed = make_url(url)
    except SQLAlchemyError:
        raise MintwardenError(ErrorKind.CONFIG, f"connection `{name}` has no database URL") from None
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database:
        return _open_sqlite(parsed, seconds)
    if backend == "postgresql":
        return _open_postgres(parsed, seconds)
    raise MintwardenError(
        ErrorKind.CONFIG, f"connection `{name}` is neither PostgreSQL nor a SQLite file", hint="see `[connections]`"
    )


def _open_sqlite(url: URL, seconds: float) -> Engine:
    """Opened anew for each read: an open file would stay the old one when an export puts a new one in its place."""
    address = f"file:{quote(url.database or '')}?mode=ro&uri=true"
    engine = sa.create_engine(f"sqlite:///{address}", poolclass=sa.pool.NullPool, connect_args={"timeout": seconds})

    def read_only(connection: Any, _record: Any) -> None:
        connection.execute("pragma query_only = on")

    sa.event.listen(engine, "connect", read_only)
    return engine


def _open_postgres(url: URL, seconds: float) -> Engine:
    millis = max(1, round(seconds * 1000))
    options = f"-c default_transaction_read_only=on -c statement_timeout={millis} -c lock_timeout={millis}"
    return sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=_THREADS,
        max_overflow=0,
        pool_timeout=seconds,
        pool_pre_ping=True,
        connect_args={"options": options, "connect_timeout": max(2, round(seconds)), "application_name": "mintwarden"},
        execution_options={"postgresql_readonly": True},
    )


def _stop_when(connection: Connection, expired: threading.Event) -> None:
    """SQLite keeps no time limit by itself: it is told to stop once nobody waits any more."""
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(lambda: int(expired.is_set()), 1000)


def _converter(kind: FactType) -> Convert:
    """From what a database driver returns to the JSON spelling of a fact; a wrong type is left for the reader."""
    if kind.kind == "bool":
        return lambda value: bool(value) if value in (0, 1) else value
    if kind.kind == "long":
        return lambda value: int(value) if isinstance(value, decimal.Decimal) and value == int(value) else value
    if kind.kind == "decimal":
        return _decimal
    if kind.kind == "datetime":
        return lambda value: _datetime(value) if isinstance(value, dt.date) else value
    if kind.kind == "duration":
        return lambda value: f"{value // dt.timedelta(milliseconds=1)}ms" if isinstance(value, dt.timedelta) else value
    if kind.kind == "ipaddr":
        return str
    if kind.kind == "set" and kind.element is not None:
        element = _converter(kind.element)
        return lambda value: [element(item) for item in _array(value)]
    if kind.kind == "record":
        return lambda value: json.loads(value) if isinstance(value, str) else value
    return lambda value: value


def _array(value: Any) -> list[Any]:
    if isinstance(value, str):
        value = json.loads(value)
    if not isinstance(value, list | tuple):
        raise TypeError("not an array")
    return list(value)


def _decimal(value: Any) -> Any:
    if isinstance(value, int | decimal.Decimal) and not isinstance(value, bool):
        text = f"{decimal.Decimal(value):f}"
        whole, _, fraction = text.partition(".")
        return f"{whole}.{fraction.rstrip('0') or '0'}"
    return value


def _datetime(value: dt.date) -> str:
    if not isinstance(value, dt.datetime):
        return value.isoformat()
    aware = value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)
    return aware.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _millis(value: Any) -> int:
    """NULL is no observation at all, so that it is as old as can be.

    SQLite has no type for times: text is read in every spelling of ISO 8601, UTC where it names no zone.
    """
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value)
    if not isinstance(value, dt.date):
        raise TypeError("not a time")
    return read_datetime(_datetime(value)).millis

"""Connections that are opened when needed, kept, and replaced when broken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg

from mintwarden.store.postgres.failure import Failures, broke_connection, unavailable
from mintwarden.store.schema import check_revision

CONNECT_SECONDS = 5.0
COMMAND_SECONDS = 15.0

Connection: TypeAlias = Any
"""An `asyncpg.Connection`: the library brings no types."""


class Links:
    """A few connections for one kind of work.

    Not asyncpg's pool: that one asks the server to reset a session whenever it is given back, a round trip that
    sessions do not need which never change a setting.
    """

    def __init__(self, url: str, *, size: int, read_only: bool = False) -> None:
        self._url = url
        self._settings = {
            # INVARIANT: a commit has reached the disk when it returns, whatever the server's default is
            "synchronous_commit": "on",
            "default_transaction_isolation": "read committed",
            "default_transaction_read_only": "on" if read_only else "off",
            "application_name": "mintwarden",
            "jit": "off",
        }
        self._idle: list[Connection] = []
        self._free = asyncio.Semaphore(size)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for the block alone; raises `UNAVAILABLE` for whatever fails on it."""
        async with self._free:
            connection: Connection | None = None
            try:
                connection = await self._take()
                yield connection
            except Failures as error:
                if connection is not None and broke_connection(error):
                    connection.terminate()
                raise unavailable(error) from error
            except asyncio.CancelledError:
                # what was under way may still be: nobody else may get its answers
                if connection is not None:
                    connection.terminate()
                raise
            finally:
                if connection is not None and not connection.is_closed():
                    self._idle.append(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection in a transaction, which is durable when the block is left."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def close(self) -> None:
        """Close the idle connections; none may be in use."""
        while self._idle:
            connection = self._idle.pop()
            try:
                await connection.close(timeout=CONNECT_SECONDS)
            except Failures:
                connection.terminate()

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        connection = await asyncpg.connect(
            self._url,
            timeout=CONNECT_SECONDS,
            command_timeout=COMMAND_SECONDS,
            server_settings=self._settings,
        )
        try:
            try:
                found = await connection.fetchval("SELECT version_num FROM alembic_version")
            except asyncpg.UndefinedTableError:
                found = None
            check_revision(found)
        except BaseException:
            connection.terminate()
            raise
        return connection

"""One embedded PostgreSQL for all tests that need one, with a database for each of them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator

import psycopg
import pytest

from mintwarden.store.migrate import migrate
from mintwarden.store.postgres.embedded import EmbeddedPostgres

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    # without fsync: what is tested here survives a crash of processes, which is all that a test can bring about
    with EmbeddedPostgres(settings={"max_connections": "100", "fsync": "off"}) as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE migrated")
        migrate(server.url("migrated"))
        yield server


def another_database(postgres: EmbeddedPostgres, *, migrated: bool = True) -> str:
    """The URL of one more database, with our schema unless told otherwise."""
    name = f"test_{next(_NUMBERS)}"
    template = "migrated" if migrated else "template0"
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    return postgres.url(name)


@pytest.fixture
def new_database(postgres: EmbeddedPostgres) -> Callable[..., str]:
    """Makes one more database, with our schema unless told otherwise; its URL."""
    return functools.partial(another_database, postgres)

"""PostgreSQL passes the suite, and what only PostgreSQL can be asked."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

from mintwarden.store import Store, contract, open_store
from mintwarden.store.contract.samples import MakeStore
from mintwarden.store.migrate import migrate
from mintwarden.store.postgres.embedded import EmbeddedPostgres

# One server for all of them.
pytestmark = pytest.mark.xdist_group("postgres")

_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(settings={"max_connections": "100", "fsync": "off"}) as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE migrated")
        migrate(server.url("migrated"))
        yield server


@pytest.fixture
def url(server: EmbeddedPostgres) -> str:
    name = f"test_{next(_NUMBERS)}"
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE migrated")
    return server.url(name)


@pytest.fixture
async def make_store(url: str) -> AsyncIterator[MakeStore]:
    opened: list[Store] = []

    async def make() -> Store:
        opened.append(await open_store(url))
        return opened[-1]

    yield make
    for store in opened:
        await store.close()


class TestFacts(contract.FactsContract): ...


class TestEntries(contract.EntriesContract): ...


class TestSubjectKeys(contract.SubjectKeysContract): ...


class TestTree(contract.TreeContract): ...


class TestNodes(contract.NodesContract): ...


class TestLeases(contract.LeasesContract): ...


class TestKeys(contract.KeysContract): ...


class TestCredentials(contract.CredentialsContract): ...


class TestDirectory(contract.DirectoryContract): ...

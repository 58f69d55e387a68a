"""The schema of both stores: made once, by whoever comes first, and refused when it does not fit."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from mintwarden.authn.ports import State
from mintwarden.govern.exception_ports import StoredException
from mintwarden.govern.ports import StoredVersion
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.store import open_store
from mintwarden.store.contract.samples import NOW
from mintwarden.store.migrate import MIGRATIONS, SchemaStatus, _connected, migrate, status
from mintwarden.store.schema import HEAD, REVISIONS, SUPPORTED

pytestmark = pytest.mark.xdist_group("postgres")


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new.db"
    make: Callable[..., str] = request.getfixturevalue("new_database")
    return make(migrated=False)


def set_revision(url: str, revision: str) -> None:
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.close()
    else:
        with psycopg.connect(url) as other:
            other.execute("UPDATE alembic_version SET version_num = %s", (revision,))


def back(url: str, revision: str) -> None:
    """Undo what came after a revision."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    environment = EnvironmentContext(
        config, script, fn=lambda found, _context: script._downgrade_revs(revision, found), destination_rev=revision
    )
    with _connected(url) as connection, environment:
        environment.configure(connection=connection, transactional_ddl=True)
        environment.run_migrations()


def test_the_list_of_revisions_is_what_the_folder_holds() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    assert tuple(r.revision for r in script.walk_revisions())[::-1] == REVISIONS
    assert script.get_heads() == [HEAD]
    assert HEAD in SUPPORTED


def test_migrate_makes_the_schema_once(empty: str) -> None:
    before, after = migrate(empty)
    assert (before.found, before.pending, before.usable) == (None, REVISIONS, False)
    assert (after.found, after.pending, after.usable) == (HEAD, (), True)
    assert migrate(empty) == (after, after)
    assert status(empty) == after


def test_several_processes_may_migrate_at_once(empty: str) -> None:
    start = threading.Barrier(6)

    def together(_: int) -> tuple[SchemaStatus, SchemaStatus]:
        start.wait()
        return migrate(empty)

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(together, range(6)))
    assert sum(before.found is None for before, _ in results) == 1
    assert all(after.found == HEAD for _, after in results)


async def test_a_store_without_a_schema_is_refused(empty: str) -> None:
    if empty.startswith("sqlite"):
        Path(empty.removeprefix("sqlite:///")).touch()
    with pytest.raises(MintwardenError) as caught:
        await open_store(empty)
    assert caught.value.kind is ErrorKind.STORE
    assert "mintwarden store migrate" in caught.value.hint


async def test_a_store_of_another_version_is_refused(empty: str) -> None:
    migrate(empty)
    set_revision(empty, "9999")
    with pytest.raises(MintwardenError, match="newer than this version knows") as caught:
        await open_store(empty)
    assert "mintwarden store migrate" in caught.value.hint
    with pytest.raises(MintwardenError, match="newer than this version knows"):
        migrate(empty)
    assert not status(empty).usable


async def test_opening_may_make_what_is_missing(empty: str) -> None:
    store = await open_store(empty, create=True)
    assert await store.entries.count() == 0
    await store.close()


def test_the_status_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(MintwardenError, match="the store is gone"):
        status(f"sqlite:///{tmp_path}/missing.db")


@pytest.mark.parametrize("revision", SUPPORTED[:-1])
async def test_nodes_run_before_the_store_is_migrated(empty: str, revision: str) -> None:
    """An index that is not there yet makes a page slower, and nothing else."""
    migrate(empty)
    back(empty, revision)
    assert status(empty).found == revision
    store = await open_store(empty)
    for number in range(3):
        one = StoredException(id=f"0199-{number}", document=b"{}", state="requested", changed_at=NOW)
        await store.exceptions.add(one)
        await store.versions.put_version(StoredVersion(f"sha256:{number}", b"", NOW + number), [])
        await store.states.add(
            [State(kind="grant", key=b"%d" % number, owner="User:a", expires_at=NOW + number, document=b"")]
        )

    async def told() -> list[list[object]]:
        return [
            [one.id for one in await store.exceptions.page(2, "0199-0", still_open=True)],
            [one.digest for one in await store.versions.versions(2)],
            [one.key for one in await store.states.owned("grant", "User:a", 2, b"0")],
            [one.key for one in await store.states.lasting("grant", "User:a", 2)],
        ]

    before = await told()
    assert before == [["0199-1", "0199-2"], ["sha256:2", "sha256:1"], [b"1", b"2"], [b"2", b"1"]]
    migrate(empty)
    assert await told() == before, "the store is migrated below a node that runs"
    await store.close()


async def test_scim_waits_for_its_tables_and_nothing_else_does(empty: str) -> None:
    migrate(empty)
    back(empty, "0009")
    store = await open_store(empty)
    with pytest.raises(MintwardenError) as caught:
        await store.scim.revision("directory")
    assert caught.value.kind is ErrorKind.UNAVAILABLE
    assert "scim_feeds" in caught.value.hint
    assert (await store.facts.read(["User:a"])).rows == {}
    migrate(empty)
    assert await store.scim.revision("directory") == 0
    await store.close()

"""What every external source does when there is something, nothing, something old, slow, false or broken.

Each source is read through the `Assembler`, against a real database or server on loopback.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from mintwarden.context.assemble import Assembler
from mintwarden.context.ports import FactBatch
from mintwarden.context.sources import HttpSource, OpenSource, open_source
from mintwarden.context.sources.breaker import FAILURES, OPEN_FOR, Breaker
from mintwarden.context.sources.http import SIZE_LIMIT
from mintwarden.context.sources.sql import SqlSource
from mintwarden.model.asked import Asked
from mintwarden.model.caller import Caller
from mintwarden.model.catalogue import Catalogue, Client, Source
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.fact_type import Fact, FactType
from mintwarden.model.facts import Facts, Reading
from mintwarden.model.values import Datetime, Decimal4, Duration, EntityUid, Record
from mintwarden.store.postgres.embedded import EmbeddedPostgres, executables
from tests.unit.authn.loopback import Loopback, answer, json_answer, never

NOW = 1_795_000_000_000
MAX_AGE = 60_000
SLOW = 0.3
STRING = FactType(kind="string")
FACTS = {
    "department": STRING,
    "level": FactType(kind="long"),
    "active": FactType(kind="bool"),
    "tenants": FactType(kind="set", element=STRING),
    "limit": FactType(kind="decimal"),
    "hired": FactType(kind="datetime"),
}
SAID: dict[str, Any] = {
    "department": "payments",
    "level": 3,
    "active": True,
    "tenants": ["t1", "t2"],
    "limit": "12.5",
    "hired": "2020-01-02T03:04:05.000Z",
}
COLUMNS = 'login as key, observed_at, groups, department, level, active, tenants, "limit", hired'
QUERY = f"select {COLUMNS} from people where login in :keys"


def source(kind: str, query: str = "") -> Source:
    return Source(
        id="outside",
        kind=kind,  # type: ignore[arg-type]
        about=("User",),
        facts={name: Fact(name=name, type=type_) for name, type_ in FACTS.items()},
        max_age=MAX_AGE,
        groups=True,
        connection="there",
        query=query,
    )


class Harness(Protocol):
    """A kind of source that can be brought into each state."""

    def said(self, facts: Mapping[str, Any], *, groups: Sequence[str] = (), age: int | None = None) -> None: ...

    def slow(self) -> None: ...

    def broken(self) -> None: ...

    def open(self, *, seconds: float = 5.0, breaker: Breaker | None = None) -> OpenSource: ...

    def asked(self) -> int | None:
        """How many requests it has seen, where that can be told."""
        ...


class Sqlite:
    """A SQLite file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "their people.db"
        self.query = QUERY
        with closing(sqlite3.connect(self.file)) as connection, connection:
            connection.execute(
                "create table people (login text primary key, observed_at, groups, department, level, active,"
                ' tenants, "limit", hired)'
            )

    def said(self, facts: Mapping[str, Any], *, groups: Sequence[str] = (), age: int | None = None) -> None:
        row = {**facts, "groups": list(groups), "observed_at": NOW - (age or 0), "login": "alice"}
        values = {n: json.dumps(v) if isinstance(v, list) else v for n, v in row.items()}
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join("?" * len(values))
        with closing(sqlite3.connect(self.file)) as connection, connection:
            connection.execute(f"insert into people ({names}) values ({marks})", list(values.values()))

    def slow(self) -> None:
        self.query = (
            "with recursive endless(n) as (select 1 union all select n + 1 from endless) "
            "select max(n) as key from endless where n not in :keys"
        )

    def broken(self) -> None:
        self.query = "select login as key from vanished where login in :keys"

    def open(self, *, seconds: float = 5.0, breaker: Breaker | None = None) -> OpenSource:
        return SqlSource(
            source=source("sql", self.query), url=f"sqlite:///{self.file}", seconds=seconds, breaker=breaker
        )

    def asked(self) -> int | None:
        return None


class Postgres:
    """A database of a real PostgreSQL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.query = QUERY
        with psycopg.connect(url) as connection:
            connection.execute("drop table if exists people")
            connection.execute(
                "create table people (login text primary key, observed_at timestamptz, groups text[], department text,"
                ' level numeric, active boolean, tenants text[], "limit" numeric(10, 4), hired timestamptz)'
            )

    def said(self, facts: Mapping[str, Any], *, groups: Sequence[str] = (), age: int | None = None) -> None:
        row = {**facts, "groups": list(groups), "login": "alice"}
        names = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join(["%s"] * len(row))
        with psycopg.connect(self.url) as connection:
            connection.execute(
                f"insert into people ({names}, observed_at) values ({marks}, to_timestamp(%s))",
                [*row.values(), (NOW - (age or 0)) / 1000],
            )

    def slow(self) -> None:
        self.query = "select pg_sleep(60)::text as key from (values ('x')) v(x) where x not in :keys"

    def broken(self) -> None:
        self.query = "select login as key from vanished where login in :keys"

    def open(self, *, seconds: float = 5.0, breaker: Breaker | None = None) -> OpenSource:
        return SqlSource(source=source("sql", self.query), url=self.url, seconds=seconds, breaker=breaker)

    def asked(self) -> int | None:
        return None


class Http:
    """A server on loopback."""

    def __init__(self, server: Loopback) -> None:
        self.server = server
        self.server.routes["/facts"] = json_answer({})

    def said(self, facts: Mapping[str, Any], *, groups: Sequence[str] = (), age: int | None = None) -> None:
        told: dict[str, Any] = {"facts": dict(facts), "groups": list(groups)}
        if age is not None:
            told["observed_at"] = NOW - age
        self.server.routes["/facts"] = json_answer({"User:alice": told, "User:mallory": told})

    def slow(self) -> None:
        self.server.routes["/facts"] = never

    def broken(self) -> None:
        self.server.routes["/facts"] = answer("500 Internal Server Error")

    def open(self, *, seconds: float = 5.0, breaker: Breaker | None = None) -> OpenSource:
        return HttpSource(source=source("http"), url=self.server.url + "/facts", seconds=seconds, breaker=breaker)

    def asked(self) -> int | None:
        return len(self.server.seen)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    if executables() is None:
        pytest.skip("explained: the embedded PostgreSQL is not installed")
    with EmbeddedPostgres() as server:
        yield server.url()


@pytest.fixture(params=["sqlite", "postgres", "http"])
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    async with AsyncExitStack() as stack:
        if request.param == "sqlite":
            yield Sqlite(tmp_path)
        elif request.param == "postgres":
            yield Postgres(request.getfixturevalue("postgres"))
        else:
            yield Http(await stack.enter_async_context(Loopback({})))


class Empty:
    """A store that holds nothing."""

    async def read(self, entities: Sequence[str]) -> FactBatch:
        return FactBatch({}, {}, 0)


def catalogue(one: Source) -> Catalogue:
    client = Client(
        id="c", name="c", kind="service", owner="o", principal="Workload", methods=(), grants=(), ceilings={},
        environments=("production",),
    )  # fmt: skip
    return Catalogue(
        name="n", issuer="i", owner="o", owner_contact="c", environments=("production",), tiers={}, purposes={},
        audiences={}, scopes={}, claims={}, sources={one.id: one}, clients={"c": client}, issuers={},
    )  # fmt: skip


async def facts(opened: OpenSource, now: int = NOW) -> Facts:
    assembler = Assembler(catalogue=catalogue(source("http")), facts=Empty(), external={"outside": opened})
    asked = Asked(grant="g", client_id="c", subject=EntityUid("User", "alice"), audience="a", scopes=())
    return (await assembler.assemble(asked, Caller(client_id="c", method="m"), now)).facts


async def reading(opened: OpenSource, now: int = NOW) -> Reading:
    found = await facts(opened, now)
    try:
        return found.readings["subject/outside"]
    finally:
        if found.readings["subject/outside"].state != "present":
            assert found.subject.attrs == {}
            assert found.subject.ancestors == frozenset()


async def test_present(harness: Harness):
    harness.said(SAID, groups=["staff"], age=MAX_AGE)
    opened = harness.open()
    found = await facts(opened)
    assert found.readings == {"subject/outside": Reading("present", NOW - MAX_AGE, MAX_AGE)}
    assert found.subject.attrs == {
        "department": "payments",
        "level": 3,
        "active": True,
        "tenants": frozenset({"t1", "t2"}),
        "limit": Decimal4(125_000),
        "hired": Datetime(1_577_934_245_000),
    }
    assert found.subject.ancestors == {EntityUid("Group", "staff")}
    await opened.close()


async def test_absent(harness: Harness):
    opened = harness.open()
    assert await reading(opened) == Reading("missing", 0, MAX_AGE)
    await opened.close()


async def test_absent_fact(harness: Harness):
    harness.said({name: value for name, value in SAID.items() if name != "level"}, age=0)
    opened = harness.open()
    assert await reading(opened) == Reading("missing", NOW, MAX_AGE, "fact `level` is absent")
    await opened.close()


async def test_stale(harness: Harness):
    harness.said(SAID, age=MAX_AGE + 1)
    opened = harness.open()
    assert await reading(opened) == Reading("stale", NOW - MAX_AGE - 1, MAX_AGE)
    await opened.close()


async def test_slow(harness: Harness):
    harness.slow()
    opened = harness.open(seconds=SLOW)
    assert await reading(opened) == Reading("failing", 0, MAX_AGE, "the source took too long")
    await opened.close()


async def test_lying(harness: Harness):
    harness.said({**SAID, "tenants": ["t1"], "department": "payments"}, age=-120_000)
    opened = harness.open()
    assert (await reading(opened)).state == "failing"
    await opened.close()


async def test_failing(harness: Harness):
    harness.broken()
    opened = harness.open()
    assert (await reading(opened)).state == "failing"
    await opened.close()


async def test_a_failing_source_is_left_alone_then_tried_once_then_back(harness: Harness):
    harness.broken()
    breaker = Breaker()
    opened = harness.open(breaker=breaker)
    for _ in range(FAILURES):
        assert "left alone" not in (await reading(opened)).detail
    before = harness.asked()
    assert "left alone" in (await reading(opened, NOW + OPEN_FOR - 1)).detail
    assert harness.asked() == before
    assert "left alone" not in (await reading(opened, NOW + OPEN_FOR)).detail
    assert "left alone" in (await reading(opened, NOW + OPEN_FOR + 1)).detail
    await opened.close()


async def test_one_batch_for_everyone(harness: Harness):
    harness.said(SAID)
    opened = harness.open()
    told = await opened.read(["User:alice", "User:nobody", "User:o'brien"], NOW)
    assert list(told) == ["User:alice"]
    assert harness.asked() in (None, 1)
    await opened.close()


WRONG = [("department", 3), ("level", "three"), ("active", "yes"), ("tenants", [1]), ("hired", "yesterday")]


@pytest.mark.parametrize(("name", "value"), WRONG)
async def test_a_wrong_type_is_a_lie(name: str, value: object, tmp_path: Path):
    database = Sqlite(tmp_path)
    database.said({**SAID, name: value}, age=0)
    opened = database.open()
    assert (await reading(opened)).state == "failing"
    await opened.close()
    async with Loopback({}) as server:
        service = Http(server)
        service.said({**SAID, name: value}, age=0)
        opened = service.open()
        assert (await reading(opened)).state == "failing"
        await opened.close()


@pytest.mark.parametrize(
    "told",
    [
        answer(body=b"[]"),
        answer(body=b"{"),
        answer(body=b"\xff"),
        answer(body=b'{"User:alice": 1}'),
        answer(body=b'{"User:alice": {"facts": [], "groups": []}}'),
        answer(body=b'{"User:alice": {"extra": 1}}'),
        answer(body=b'{"User:alice": {"observed_at": "now"}}'),
        answer(body=b"[" * 100_000),
        answer(body=b'{"a": "' + b"x" * SIZE_LIMIT + b'"}'),
        answer(kind="text/html"),
        answer("302 Found", location="/elsewhere"),
        answer("204 No Content", body=b""),
        b"not http at all\r\n\r\n",
        b"",
    ],
)
async def test_an_answer_that_was_not_agreed_is_failing(told: bytes):
    async with Loopback({"/facts": told, "/elsewhere": json_answer({})}) as server:
        opened = HttpSource(source=source("http"), url=server.url + "/facts")
        assert (await reading(opened)).state == "failing"
        assert [path for path, _, _ in server.seen] == ["/facts"]
        await opened.close()


async def test_the_request_is_what_was_agreed():
    async with Loopback({"/facts": json_answer({})}) as server:
        url = server.url.replace("127.0.0.1", "warden:s3cret@127.0.0.1") + "/facts"
        opened = HttpSource(source=source("http"), url=url)
        assert (await reading(opened)).state == "missing"
        ((_, head, body),) = server.seen
        assert json.loads(body) == {"keys": ["User:alice"]}
        assert b"authorization: basic d2fyzgvuonmzy3jlda==" in head.lower()
        await opened.close()


async def test_a_server_that_is_gone_is_failing(free_port: Callable[[], int]):
    opened = HttpSource(source=source("http"), url=f"http://127.0.0.1:{free_port()}/facts")
    assert await reading(opened) == Reading("failing", 0, MAX_AGE, "the source could not be reached")
    await opened.close()


@pytest.mark.parametrize(
    "query",
    [
        "insert into people (login) select 'x' from people where login in :keys",
        "delete from people where login in :keys returning login as key",
        "select login from people where login in :keys",
        "select login as key, 'not json' as groups from people where login in :keys",
        "select login as key from people where login in :keys union all select login from people",
    ],
)
async def test_a_query_that_writes_or_misleads_is_failing(query: str, tmp_path: Path, postgres: str):
    database, served = Sqlite(tmp_path), Postgres(postgres)
    for one in (database, served):
        one.said(SAID)
        one.query = query
        opened = one.open()
        assert (await reading(opened)).state == "failing"
        await opened.close()
    with closing(sqlite3.connect(database.file)) as connection, connection:
        assert connection.execute("select count(*) from people").fetchone() == (1,)
    with psycopg.connect(postgres) as server:
        assert server.execute("select count(*) from people").fetchone() == (1,)


async def test_a_database_that_is_gone_is_failing(tmp_path: Path, free_port: Callable[[], int]):
    for url in (f"sqlite:///{tmp_path / 'none.db'}", f"postgresql://nobody@127.0.0.1:{free_port()}/none"):
        opened = open_source(source("sql", QUERY), url=url, seconds=2.0)
        assert (await reading(opened)).detail == "the query failed"
        await opened.close()


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("http", "http://facts.example/x"),
        ("http", "ftp://127.0.0.1/x"),
        ("sql", "mysql://localhost/x"),
        ("sql", "sqlite://"),
        ("sql", "nonsense"),
        ("store", "https://facts.example"),
    ],
)
def test_a_connection_that_does_not_fit_refuses_to_start(kind: str, url: str):
    with pytest.raises(MintwardenError) as caught:
        open_source(source(kind, QUERY), url=url, seconds=1.0)
    assert caught.value.kind is ErrorKind.CONFIG


async def test_keys_are_whole_when_the_source_is_about_several_kinds(tmp_path: Path):
    database = Sqlite(tmp_path)
    with closing(sqlite3.connect(database.file)) as connection, connection:
        connection.execute("insert into people (login, department) values ('User:alice', 'x'), ('alice', 'y')")
    both = Source(
        id="outside", kind="sql", about=("User", "Agent"), facts={"department": Fact(name="department", type=STRING)},
        query="select login as key, department from people where login in :keys",
    )  # fmt: skip
    opened = open_source(both, url=f"sqlite:///{database.file}", seconds=5.0)
    told = await opened.read(["User:alice", "Agent:alice"], NOW)
    assert {key: one.document.facts for key, one in told.items()} == {"User:alice": {"department": "x"}}
    assert told["User:alice"].observed_at is None
    await opened.close()


async def test_what_a_database_returns_becomes_what_the_catalogue_says(postgres: str):
    kinds = {
        "span": FactType(kind="duration"),
        "home": FactType(kind="ipaddr"),
        "born": FactType(kind="datetime"),
        "seen": FactType(kind="datetime"),
        "amount": FactType(kind="decimal"),
        "whole": FactType(kind="decimal"),
        "limits": FactType(kind="set", element=FactType(kind="decimal")),
        "record": FactType(kind="record", fields={"a": FactType(kind="long")}),
        "parsed": FactType(kind="record", fields={"a": FactType(kind="long")}),
        "boss": FactType(kind="entity", entity="User"),
    }
    query = """select x as key, interval '90 minutes' as span, inet '10.0.0.0/8' as home, date '2000-01-02' as born,
        timestamptz '2000-01-02 03:04:05+01' as seen, 1.5000::numeric as amount, 7 as whole,
        array[1.25, 2]::numeric[] as limits, '{"a": 1}'::text as record, '{"a": 2}'::jsonb as parsed,
        'User::"ines"' as boss, date '2026-01-01' as observed_at from (values ('alice')) v(x) where x in :keys"""
    one = Source(
        id="outside",
        kind="sql",
        about=("User",),
        facts={name: Fact(name=name, type=kind) for name, kind in kinds.items()},
        query=query,
    )
    opened = open_source(one, url=postgres, seconds=5.0)
    assembler = Assembler(catalogue=catalogue(one), facts=Empty(), external={"outside": opened})
    asked = Asked(grant="g", client_id="c", subject=EntityUid("User", "alice"), audience="a", scopes=())
    found = (await assembler.assemble(asked, Caller(client_id="c", method="m"), NOW)).facts
    assert found.readings["subject/outside"] == Reading("present", 1_767_225_600_000)
    attrs = dict(found.subject.attrs)
    assert str(attrs.pop("home").network) == "10.0.0.0/8"
    assert attrs == {
        "span": Duration(5_400_000),
        "born": Datetime(946_771_200_000),
        "seen": Datetime(946_778_645_000),
        "amount": Decimal4(15_000),
        "whole": Decimal4(70_000),
        "limits": frozenset({Decimal4(12_500), Decimal4(20_000)}),
        "record": Record({"a": 1}),
        "parsed": Record({"a": 2}),
        "boss": EntityUid("User", "ines"),
    }
    await opened.close()


@pytest.mark.parametrize(
    ("observed", "at"),
    [
        ("null", 0),
        ("12", 12),
        ("'2026-01-01 00:00:00Z'", 1_767_225_600_000),
        ("datetime('2026-01-01')", 1_767_225_600_000),
        ("'2026-01-01'", 1_767_225_600_000),
        ("'2026-01-01T02:00:00.123456+02:00'", 1_767_225_600_123),
        ("'soon'", None),
        ("''", None),
        ("1.5", None),
    ],
)
async def test_when_a_row_was_observed(observed: str, at: int | None, tmp_path: Path):
    database = Sqlite(tmp_path)
    database.said(SAID)
    database.query = f"select login as key, {observed} as observed_at from people where login in :keys"
    opened = database.open()
    if at is None:
        with pytest.raises(MintwardenError):
            await opened.read(["User:alice"], NOW)
    else:
        assert (await opened.read(["User:alice"], NOW))["User:alice"].observed_at == at
    await opened.close()


async def test_a_file_that_is_replaced_is_read_anew(tmp_path: Path):
    database = Sqlite(tmp_path)
    database.said(SAID)
    opened = database.open()
    assert (await opened.read(["User:alice"], NOW))["User:alice"].document.facts["level"] == 3
    (tmp_path / "new").mkdir()
    exported = Sqlite(tmp_path / "new")
    exported.said({**SAID, "level": 4})
    exported.file.replace(database.file)
    assert (await opened.read(["User:alice"], NOW))["User:alice"].document.facts["level"] == 4
    await opened.close()

"""Single values: what each kind takes and what it refuses."""

from __future__ import annotations

import datetime

import pytest

from mintwarden.policy.bundle import kinds
from mintwarden.policy.bundle.facttypes import fact_type
from mintwarden.policy.bundle.problem import Place, Problems
from mintwarden.policy.bundle.shape import BAD, Key, Table, each_named, list_of, read_table, table_of

PLACE = Place("a.toml", ("key",))


def _check(kind, value) -> tuple[object, int]:
    problems = Problems()
    return kind(value, PLACE, problems), len(problems)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (kinds.identifier, "a.b-c_1", "a.b-c_1"),
        (kinds.entity_id, "https://app.example/id", "https://app.example/id"),
        (kinds.scope_name, "a:b/c.d", "a:b/c.d"),
        (kinds.fact_name, "risk_score", "risk_score"),
        (kinds.text(), "x", "x"),
        (kinds.boolean, False, False),
        (kinds.integer(0, 3), 3, 3),
        (kinds.share, 1, 1.0),
        (kinds.duration(), "15m", 900),
        (kinds.duration(), "2d", 172_800),
        (kinds.duration(least=0), "0s", 0),
        (kinds.moment, "1970-01-01T00:00:01.5Z", 1500),
        (kinds.moment, "1970-01-01T01:00:00+01:00", 0),
        (kinds.moment, datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC), 0),
        (kinds.https_url, "https://host/path?x=1", "https://host/path?x=1"),
        (kinds.https_url, "http://127.0.0.1:80/", "http://127.0.0.1:80/"),
        (kinds.https_url, "http://[::1]/", "http://[::1]/"),
        (kinds.identifier_uri, "urn:x:y", "urn:x:y"),
        (kinds.network, "10.0.0.0/8", "10.0.0.0/8"),
        (kinds.network, "192.0.2.1", "192.0.2.1/32"),
        (kinds.network, "2001:db8::/32", "2001:db8::/32"),
    ],
)
def test_a_good_value(kind, value, expected):
    assert _check(kind, value) == (expected, 0)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (kinds.identifier, ""),
        (kinds.identifier, "-a"),
        (kinds.identifier, "a b"),
        (kinds.identifier, "ä"),
        (kinds.identifier, "a" * 129),
        (kinds.identifier, "a\n"),
        (kinds.identifier, 1),
        (kinds.entity_id, 'a"b'),
        (kinds.entity_id, "a\\b"),
        (kinds.scope_name, "a b"),
        (kinds.fact_name, "in"),
        (kinds.fact_name, "a-b"),
        (kinds.fact_name, "1a"),
        (kinds.text(), ""),
        (kinds.text(), 1),
        (kinds.text(most=3), "four"),
        (kinds.choice("a"), ["a"]),
        (kinds.boolean, 1),
        (kinds.boolean, "true"),
        (kinds.integer(0, 3), True),
        (kinds.integer(0, 3), 4),
        (kinds.integer(0, 3), 1.0),
        (kinds.share, -0.1),
        (kinds.share, float("nan")),
        (kinds.share, True),
        (kinds.duration(), 15),
        (kinds.duration(), "15"),
        (kinds.duration(), "-15m"),
        (kinds.duration(), "1h30m"),
        (kinds.duration(), "999999999d"),
        (kinds.duration(), "١m"),
        (kinds.moment, "2026-11-24"),
        (kinds.moment, "2026-11-24T00:00:00"),
        (kinds.moment, datetime.datetime(2026, 1, 1)),  # noqa: DTZ001 - without a zone, on purpose
        (kinds.moment, "x" * 100),
        (kinds.moment, 7),
        (kinds.https_url, "ftp://host/"),
        (kinds.https_url, "https://user@host/"),
        (kinds.https_url, "https://host/#x"),
        (kinds.https_url, "https://host:port/"),
        (kinds.https_url, "https://ho st/"),
        (kinds.https_url, "https:///path"),
        (kinds.https_url, "https://[::1/"),
        (kinds.https_url, "http://example.com/"),
        (kinds.identifier_uri, "urn:"),
        (kinds.identifier_uri, "https://host/#x"),
        (kinds.identifier_uri, "https://host/ä"),
        (kinds.identifier_uri, "1:x"),
        (kinds.identifier_uri, 'urn:"'),
        (kinds.network, "10.0.0.1/8"),
        (kinds.network, "10.0.0.0/33"),
        (kinds.network, 10),
        (fact_type, "map"),
        (fact_type, ["string"]),
        (list_of(kinds.boolean), True),
        (list_of(kinds.boolean, least=1), []),
        (list_of(kinds.boolean, most=1), [True, False]),
        (each_named(kinds.identifier, kinds.boolean), []),
        (each_named(kinds.identifier, kinds.boolean, most=1), {"a": True, "b": True}),
    ],
)
def test_a_bad_value(kind, value):
    assert _check(kind, value) == (BAD, 1)


def test_bad_parts_are_left_out_and_named():
    assert _check(list_of(kinds.boolean, unique=False), [True, "x", True]) == ((True, True), 1)
    assert _check(list_of(kinds.integer(0, 9)), [1, 1, 2]) == ((1, 2), 1)
    assert _check(each_named(kinds.identifier, kinds.boolean), {"a": True, "-": True, "b": 1}) == ({"a": True}, 2)


TABLE = Table("[t]", (Key("a", kinds.boolean, default=False, required=True), Key("b", table_of(Table("[t.b]", ())))))


def test_a_table_is_always_complete():
    problems = Problems()
    assert read_table(TABLE, {"b": {}}, PLACE, problems) == {"a": False, "b": {}}
    assert read_table(TABLE, {"a": 1}, PLACE, problems) == {"a": False, "b": None}
    assert read_table(TABLE, [], PLACE, problems) == {"a": False, "b": None}
    assert [problem.message for problem in problems.all()] == [
        "`1` is neither `true` nor `false`",
        "`[t]` is not a table",
        "`a` is missing in `[t]`",
    ]

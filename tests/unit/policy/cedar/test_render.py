"""Expressions and values as text for people."""

from __future__ import annotations

import pytest

from mintwarden.model.values import Datetime, Decimal4, Duration, EntityUid, Record, Value
from mintwarden.policy.cedar.literals import read_datetime, read_duration, read_ip
from mintwarden.policy.cedar.render import render, render_value, spell_datetime, spell_duration
from tests.unit.policy.cedar.asking import rule_when

SAME = """
principal.a && principal.b || principal.c && !principal.d
(principal.a || principal.b) && principal.c
principal.a && (principal.b && principal.c)
principal.a + 1 - (2 - 3) * 4 == -5
-(5) == -principal.a
(1 < 2) == (3 >= 2)
if principal.a then 1 == 2 else if principal.b then true else false
(if principal.a then 1 else 2) == 1
principal["odd name"] == {b: [1, "x"], "odd name": 1}["odd name"]
principal has b
principal has "odd name"
principal.a like "x\\*y*\\u{7f}"
principal is User
principal is Ns::User in [Group::"a", Group::"b"]
principal.a.contains("\\"\\\\\\n")
ip("::1").isInRange(ip("::/8")) && principal.a.isEmpty()
datetime("2026-11-24").offset(duration("1d")).toDate() != principal.t
decimal("1.0").lessThanOrEqual(decimal("2.0"))
principal.getTag("x") == principal.hasTag("y")
!(!principal.a)
"""


@pytest.mark.parametrize("text", SAME.strip().splitlines())
def test_text_comes_back_as_it_was_written(text: str) -> None:
    rule, _ = rule_when(text)
    assert render(rule.template.clauses[0].expr) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (-3, "-3"),
        ("é\n", '"é\\n"'),
        ("\x7f", '"\\u{7f}"'),
        (frozenset({"b", "a"}), '["a", "b"]'),
        (Record({"b c": 1, "a": Record()}), '{a: {}, "b c": 1}'),
        (Record({"if": 1}), '{"if": 1}'),
        (EntityUid("User", "alice"), 'User::"alice"'),
        (Decimal4(-12_500), 'decimal("-1.25")'),
        (Decimal4(20_000), 'decimal("2.0")'),
        (read_ip("10.0.0.1/8"), 'ip("10.0.0.1/8")'),
        (read_ip("::ffff:7f00:1"), 'ip("::ffff:7f00:1")'),
        (Duration(0), 'duration("0ms")'),
        (Duration(-90_061_001), 'duration("-1d1h1m1s1ms")'),
        (Datetime(1_795_000_000_000), 'datetime("2026-11-18T11:06:40Z")'),
        (Datetime(-1), 'datetime("1969-12-31T23:59:59.999Z")'),
        (Datetime(2**63 - 1), 'datetime("1970-01-01").offset(duration("9223372036854775807ms"))'),
    ],
)
def test_values(value: Value, text: str) -> None:
    assert render_value(value) == text


@pytest.mark.parametrize("text", ["0000-01-01", "0000-02-29", "1600-02-29", "1900-03-01", "2000-02-29", "9999-12-31"])
def test_datetimes_are_read_back(text: str) -> None:
    assert spell_datetime(read_datetime(text).millis) == f"{text}T00:00:00Z"


@pytest.mark.parametrize("millis", [0, 1, -1, 86_399_999, 10**15, -(2**63)])
def test_durations_are_read_back(millis: int) -> None:
    assert read_duration(spell_duration(millis)).millis == millis

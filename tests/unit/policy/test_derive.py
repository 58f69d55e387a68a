"""Derived claims: what an expression may read and be, and that evaluating one never raises."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintwarden.model.facts import Facts
from mintwarden.model.values import Datetime, Decimal4, Duration, Entity, EntityUid, Record
from mintwarden.policy.bundle.facttypes import FACT_TYPES
from mintwarden.policy.derive import (
    MAX_ELEMENTS,
    MAX_ENCODED,
    MAX_INPUT,
    Derived,
    ExpressionRefused,
    as_claim,
    compile_derivation,
)


def facts(attrs: dict | None = None, **context: dict) -> Facts:
    return Facts(
        subject=Entity(EntityUid("User", "ada"), attrs or {}),
        context=Record({name: Record(members) for name, members in context.items()}),
    )


def derive(expression: str, kind: str, given: Facts, granted: tuple[str, ...] = ()) -> Derived:
    return compile_derivation(expression, FACT_TYPES[kind]).derive(given, granted)


@pytest.mark.parametrize(
    ("expression", "kind", "value"),
    [
        ("subject.department", "string", "support"),
        ('subject.department + "-x"', "string", "support-x"),
        ("subject.tenants.size()", "long", 2),
        ('subject.tenants.filter(t, t.startsWith("n"))', "set<string>", ["north"]),
        ("subject.tenants.map(t, t + t)", "set<string>", ["northnorth", "southsouth"]),
        ('"a:read" in scopes', "bool", True),
        ('scopes.exists(s, s.endsWith(":write"))', "bool", False),
        ('has(subject.manager) ? subject.manager : "none"', "string", "none"),
        ("context.request.tenant", "string", "north"),
        ('has(context.session.risk) ? "known" : "unknown"', "string", "unknown"),
        ("timestamp(subject.hired).getFullYear()", "long", 2020),
        ("timestamp(subject.hired)", "datetime", "2020-01-02T00:00:00.000Z"),
        ("subject.hired", "datetime", "2020-01-02T00:00:00.000Z"),
        ('duration("90s")', "duration", 90_000),
        ("subject.shift", "duration", 3_600_000),
        ("subject.limit", "decimal", "12.5"),
        ('subject.department.matches("^sup") ? [3, 1, 3] : [2]', "set<long>", [1, 3]),
        ("int(subject.limit == '12.5' ? '7' : '8')", "long", 7),
        ("subject.department == 'x' ? 'x' : null", "string", None),
    ],
)
def test_an_expression_gives_its_claim(expression, kind, value):
    given = facts(
        {
            "department": "support",
            "tenants": frozenset({"south", "north"}),
            "hired": Datetime(1_577_923_200_000),
            "shift": Duration(3_600_000),
            "limit": Decimal4(125_000),
        },
        request={"tenant": "north"},
    )
    assert derive(expression, kind, given, ("a:read",)) == Derived(value)


def test_an_absent_fact_makes_the_claim_absent_without_a_fault():
    assert derive("subject.department", "string", facts()) == Derived(None)
    assert derive("context.session.risk", "long", facts()) == Derived(None)


def test_evaluate_gives_the_value_alone():
    assert compile_derivation("subject.a", FACT_TYPES["long"]).evaluate(facts({"a": 7}), ()) == 7


@pytest.mark.parametrize(
    ("expression", "kind", "fault"),
    [
        ("1 / subject.zero", "long", "the expression failed"),
        ("subject.big + subject.big", "long", "the expression failed"),
        ("subject.zero + subject.text", "long", "the expression failed"),
        ("int(subject.text)", "long", "the expression failed"),
        ("timestamp(subject.text)", "datetime", "the expression failed"),
        ("subject.list[5]", "string", "the expression failed"),
        ("subject.zero ? 1 : 2", "long", "the expression failed"),
        ("subject.text", "long", "gave a str, not a long"),
        ("subject.zero", "bool", "gave a int, not a bool"),
        ("subject.list", "set<long>", "gave a list, not a set"),
        ("{'a': 1}.b", "long", "no such member"),
    ],
)
def test_a_failing_expression_is_a_fault_and_no_claim(expression, kind, fault):
    given = facts({"zero": 0, "big": 2**62, "text": "x", "list": frozenset({"a"})})
    derived = derive(expression, kind, given)
    assert derived.value is None
    assert fault in derived.fault


def test_facts_beyond_the_limit_are_a_fault():
    assert "larger than" in derive("subject.a", "string", facts({"a": "x" * (MAX_INPUT + 1)})).fault
    many = frozenset(str(number) for number in range(1_000))
    assert "larger than" in derive("subject.a", "set<string>", facts({"a": many})).fault


@pytest.mark.parametrize(
    ("value", "kind", "fault"),
    [
        ("x" * MAX_ENCODED, "string", f"more than {MAX_ENCODED} bytes"),
        (list(range(MAX_ELEMENTS + 1)), "set<long>", f"more than {MAX_ELEMENTS} elements"),
        (True, "long", "gave a bool"),
        (2**63, "long", "gave a int"),
        (b"x", "string", "gave a bytes"),
        (1.5, "decimal", "gave a float"),
        ({"a": 1}, "string", "gave a dict"),
        (datetime(2026, 1, 1), "datetime", "gave a datetime"),  # noqa: DTZ001 - without a zone, on purpose
        (["a", 1], "set<string>", "gave a list"),
    ],
)
def test_a_result_that_does_not_fit_is_a_fault(value, kind, fault):
    derived = as_claim(value, FACT_TYPES[kind])
    assert derived.value is None
    assert fault in derived.fault


def test_results_are_spelled_as_facts_are():
    assert as_claim(datetime(2026, 1, 1, tzinfo=UTC), FACT_TYPES["datetime"]).value == "2026-01-01T00:00:00.000Z"
    assert as_claim(timedelta(seconds=-1), FACT_TYPES["duration"]).value == -1000


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "not CEL"),
        ("1 +", "not CEL"),
        ("subject", "read fact by fact"),
        ("context.request", "`context.request` is read fact by fact"),
        ("context", "read fact by fact"),
        ("subject['department']", "read fact by fact"),
        ("subject.map(x, x)", "read fact by fact"),
        (".subject.a", "cannot start with `.`"),
        ("subjekt.a", "unknown name `subjekt`"),
        ("foo(1)", "unknown function `foo`"),
        ("subject.a.upper()", "unknown function `upper`"),
        ("matches(subject.a, 'x')", "is written as"),
        ("scopes.map(x)", "needs a name of its own"),
        ("scopes.map(scopes, scopes)", "needs a name of its own"),
        ("x + scopes.map(x, x)[0]", "unknown name `x`"),
        ("{a: 1}", "unknown name `a`"),
        ("`a`", "unexpected"),
        ("dyn(1)", "unknown function `dyn`"),
        ("type(1) == int", "unknown function `type`"),
        ("bytes('a')", "unknown function `bytes`"),
        ("'a\nb'", "unexpected"),
    ],
)
def test_an_expression_that_is_not_fit_is_refused(expression, message):
    with pytest.raises(ExpressionRefused, match=message.replace("`", ".")):
        compile_derivation(expression, FACT_TYPES["string"])


def test_a_refusal_says_where():
    with pytest.raises(ExpressionRefused) as caught:
        compile_derivation("scopes.size() + subjct.a", FACT_TYPES["long"])
    assert caught.value.fault.offset == 16
    assert caught.value.fault.wrong == "subjct"
    with pytest.raises(ExpressionRefused) as caught:
        compile_derivation("1 +\n  ) 2", FACT_TYPES["long"])
    assert caught.value.fault.offset == 6


@pytest.mark.parametrize(
    ("expression", "reads"),
    [
        ("scopes.size()", set()),
        ("subject.a + subject.b + context.request.tenant", {"subject.a", "subject.b", "context.request.tenant"}),
        ("has(subject.a)", {"subject.a"}),
        ("'subject.a' + subject.b // subject.c", {"subject.b"}),
        ("scopes.filter(s, s in subject.a)", {"subject.a"}),
        ('r"\\" + subject.a + """ " subject.b """', {"subject.a"}),
    ],
)
def test_reads_are_found(expression, reads):
    assert compile_derivation(expression, FACT_TYPES["string"]).reads == reads


def test_types_are_tried_before_any_fact_is_there():
    types = {"subject.a": FACT_TYPES["string"]}
    assert "string + int" in compile_derivation("subject.a + 1", FACT_TYPES["string"]).trial(types)
    assert "not a long" in compile_derivation("subject.a", FACT_TYPES["long"]).trial(types)
    assert compile_derivation("int(subject.a)", FACT_TYPES["long"]).trial(types) == ""
    assert compile_derivation("null", FACT_TYPES["long"]).trial(types) == ""


@pytest.mark.parametrize(
    "expression",
    [
        'r"\\" + subject.secret + r"\\"',
        "r'\\' + subject.secret + r'\\'",
        'br"\\" + subject.secret + "\\"',
        "'''a''' + subject.secret + ''''''",
        '"a" + subject.secret + "b"',
        "'a\\\\' + subject.secret",
        "'a' // '\n + subject.secret + ''",
    ],
)
def test_no_spelling_of_strings_hides_a_read(expression):
    try:
        derivation = compile_derivation(expression, FACT_TYPES["string"])
    except ExpressionRefused:
        return
    assert derivation.reads == {"subject.secret"}


_WORDS = (
    "subject.a subject.l scopes context.request.t 1 'x' true null ( ) [ ] { } , : ? . ! - + == && || < in has( size( "
    ".map(x, .filter(x, .exists(x, x .size() .startsWith( .matches('a') int( string( timestamp( duration('1s') [0] //"
).split(" ")


@given(st.lists(st.sampled_from(_WORDS), max_size=30).map(" ".join), st.sampled_from(sorted(FACT_TYPES)))
def test_no_expression_raises_anything_but_a_refusal(expression, kind):
    try:
        derivation = compile_derivation(expression, FACT_TYPES[kind])
    except ExpressionRefused:
        return
    given_facts = facts({"a": "x", "l": frozenset({"a", "b"})}, request={"t": "y"})
    derived = derivation.derive(given_facts, ("p",))
    assert derived == derivation.derive(given_facts, ("p",))
    assert derived.value is None or not derived.fault


@given(st.text(max_size=60))
def test_no_text_raises_anything_but_a_refusal(expression):
    with contextlib.suppress(ExpressionRefused):
        compile_derivation(expression, FACT_TYPES["string"]).derive(facts(), ())

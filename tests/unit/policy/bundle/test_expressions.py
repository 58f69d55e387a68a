"""The form of an expression: its limits, one by one, at and beyond each."""

from __future__ import annotations

import pytest

from mintwarden.policy.bundle.expressions import Fault, Form, inspect_expression

ROOTS = {"subject": 1, "context": 2, "scopes": 0}

LIMITS = {
    "length": ('"' + "a" * 998 + '"', '"' + "a" * 999 + '"'),
    "words": ("1" + "+1" * 199, "1" + "+1" * 200),
    "depth": ("(" * 20 + "1" + ")" * 20, "(" * 21 + "1" + ")" * 21),
    "choices": ("true?1:" * 16 + "1", "true?1:" * 17 + "1"),
    "signs": ("!!!!true", "!!!!!true"),
    "comprehensions": ("scopes.map(x,x).map(x,x)", "scopes.map(x,x).map(x,x).map(x,x)"),
    "uses": ("scopes.map(x,x+x+x+x)", "scopes.map(x,x+x+x+x+x)"),
    "reads within": ("scopes.map(x,subject.a+subject.b)", "scopes.map(x,subject.a+subject.b+subject.c)"),
    "matches": ("||".join(["'a'.matches('b')"] * 4), "||".join(["'a'.matches('b')"] * 5)),
    "pattern": (f"'a'.matches('{'b' * 198}')", f"'a'.matches('{'b' * 199}')"),
    "nesting": ("scopes.map(x,x).filter(y,y)", "scopes.map(x,scopes.filter(y,y))"),
    "patterns outside": ("'a'.matches('b')", "scopes.filter(x,x.matches('b'))"),
    "pattern written out": ("'a'.matches('b')", "'a'.matches('b'+'c')"),
    "unfinished": ("'a'.matches('b')", "'a'.matches("),
    "variable": ("scopes.map(x,x)", "scopes.map("),
    "variable after use": ("scopes.map(x,(x))", "scopes.map(x,(x))+[x]"),
    "path": ("subject.a", "subject."),
    "longer path": ("context.request.a", "context.request"),
    "call on a fact": ("subject.a.size()", "subject.size()"),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_holds_and_nothing_before_it(limit):
    within, beyond = LIMITS[limit]
    assert isinstance(inspect_expression(within, ROOTS), Form)
    assert isinstance(inspect_expression(beyond, ROOTS), Fault)


def test_a_root_may_be_read_as_a_whole_where_it_is_allowed():
    form = inspect_expression("claims['a'].b == 1 && claims.c.all(x, x in claims.d)", {"claims": 0})
    assert isinstance(form, Form)
    assert set(form.reads) == {"claims"}
    assert form.names == {"claims", "x"}
    assert form.calls == {"all"}


def test_brackets_that_close_nothing_are_the_parsers_matter():
    assert isinstance(inspect_expression(")", ROOTS), Form)

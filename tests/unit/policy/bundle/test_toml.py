"""TOML: what is refused before it is parsed, and where the parser stumbled."""

from __future__ import annotations

import pytest

from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.problem import BundleRefused, Problems
from mintwarden.policy.bundle.toml import MAX_DEPTH, MAX_DOTS, MAX_KEYS, parse_toml


def _parse(text: str) -> tuple[object, list[str]]:
    problems = Problems()
    return parse_toml("a.toml", text, problems), [str(problem) for problem in problems.all()]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = [" * 1 + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "]", f"a.toml:1:21: is nested deeper than {MAX_DEPTH}"),
        ("y = 1\n" + ".".join("a" * (MAX_DOTS + 2)) + " = 1", f"a.toml:2:34: is nested deeper than {MAX_DEPTH}"),
        ("x = 1\n" * (MAX_KEYS + 1), f"a.toml:{MAX_KEYS + 1}:3: has more than {MAX_KEYS} keys"),
        ("x = ", "a.toml:1:1: is not TOML: invalid value before the end"),
        ("[a]\nx = 1\nx = 2\n", "a.toml:3:6: is not TOML: cannot overwrite a value"),
        ("x = 1 y", "a.toml:1:7: is not TOML: expected newline or end of document after a statement"),
        ("x = " + "9" * 5_000, "a.toml: is not TOML: a number is too long or the nesting too deep"),
    ],
)
def test_a_text_that_is_refused(text, problem):
    assert _parse(text) == (None, [problem])


@pytest.mark.parametrize(
    "text",
    [
        "x = [" + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1) + "]",
        'x = "' + "[" * 100 + '"',
        "x = '" + "." * 100 + "'",
        'x = """\n' + "[[[\n" * 100 + '""" # [[[',
        "x = '''" + "{" * 100 + "'''",
        "# " + "[" * 100,
        "x = 1.5\n" * 1,
        'x = """a"" b\\""" """',
    ],
)
def test_brackets_and_dots_that_mean_nothing_do_not_count(text):
    document, problems = _parse(text)
    assert problems == []
    assert document is not None


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("max_ttl = 15m\n", '`max_ttl = "15m"`'),
        ("name = orders\n", '`max_ttl = "15m"`'),
        ("[a]\n[b]\n[a]\n", "below one header"),
        ("a = 1\na = 2\n", "each key once"),
        ("client\n", "`key = value`"),
    ],
)
def test_a_usual_mistake_is_told_with_what_to_write(text, remedy):
    problems = Problems()
    assert parse_toml("bundle.toml", text, problems) is None
    (problem,) = problems.all()
    assert problem.line > 0
    assert remedy in problem.remedy


def test_a_head_that_is_no_toml_is_not_missing_too():
    with pytest.raises(BundleRefused) as refused:
        build_bundle({"bundle.toml": "name = x\n", "audiences/a.toml": "[audience]\nid = 'a'\n"})
    assert not [problem for problem in refused.value.problems if "missing or unreadable" in problem.message]

"""Positions of keys and values in TOML, however it is written."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintwarden.policy.bundle.positions import Path, locate

TEXT = '''# a comment with [brackets] and "quotes
top = 1
"quoted key" = 'a = "b"' # [x]
[table]
key = [ 1, "two, three", { a.b = 4, 'c' = """
five""" } ]
[table.sub . "dotted.key"]
x = 2026-11-24T02:30:00Z
[[many]]
id = "first"
[[many]]
id = "second"
[many.given]
deep.er = true
[[many.given.list]]
y = 1
'''


@pytest.mark.parametrize(
    ("path", "key", "position"),
    [
        (("top",), True, (2, 1)),
        (("top",), False, (2, 7)),
        (("quoted key",), False, (3, 16)),
        (("table",), True, (4, 2)),
        (("table", "key", 1), False, (5, 12)),
        (("table", "key", 2, "a", "b"), True, (5, 30)),
        (("table", "key", 2, "c"), False, (5, 43)),
        (("table", "sub", "dotted.key"), True, (7, 14)),
        (("table", "sub", "dotted.key", "x"), False, (8, 5)),
        (("many", 0, "id"), False, (10, 6)),
        (("many", 1, "id"), False, (12, 6)),
        (("many", 1), True, (11, 1)),
        (("many", 1, "given", "deep", "er"), False, (14, 11)),
        (("many", 1, "given", "list", 0, "y"), True, (16, 1)),
    ],
)
def test_a_position_is_found(path, key, position):
    tomllib.loads(TEXT)
    assert locate(TEXT)[path, key] == position


def test_escapes_in_keys_are_read():
    text = '"a\\tb" = 1\n"\\u00e4\\"" = 2\n'
    assert set(tomllib.loads(text)) == {"a\tb", 'ä"'}
    assert {path[0] for path, _ in locate(text)} == {"a\tb", 'ä"'}


@pytest.mark.parametrize(
    "text", ["", "\n", "= 1", "[", "[a", "a", "a =", "a = [", "a = {b", "a = {b = ", "a = ]", '"', "a = '''"]
)
def test_broken_text_gives_what_there_is(text):
    locate(text)


_KEYS = st.text(st.sampled_from("abc"), min_size=1, max_size=2)
_SCALARS = st.integers(-5, 5) | st.booleans() | st.text(st.sampled_from("x[]{}#=,'."), max_size=4)
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3))


def _inline(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name} = {_inline(item)}' for name, item in value.items())}}}"
    return str(value)


def _paths(value: Any, path: Path = ()) -> set[Path]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path, *(found for step, item in inner for found in _paths(item, (*path, step)))} - {()}


@given(st.dictionaries(_KEYS, _VALUES, max_size=4), st.dictionaries(_KEYS, st.dictionaries(_KEYS, _VALUES), max_size=3))
def test_every_value_has_a_position(top, tables):
    tables = {f"t{name}": table for name, table in tables.items()}
    lines = [f"{name} = {_inline(value)}" for name, value in top.items()]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {_inline(value)}" for key, value in table.items())]
    text = "\n".join(lines)
    assert tomllib.loads(text) == {**top, **tables}
    assert {path for path, _ in locate(text)} == _paths({**top, **tables})


def test_a_json_object_has_positions_too():
    found = locate('{\n  "facts": {"User:a.b": {"hr": {"groups": ["x",\n "y"], "age": "1m"}}}\n}\n')
    assert found[("facts", "User:a.b", "hr"), True] == (2, 26)
    assert found[("facts", "User:a.b", "hr", "groups", 1), False] == (3, 2)
    assert found[("facts", "User:a.b", "hr", "age"), False] == (3, 15)

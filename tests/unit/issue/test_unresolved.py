from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintwarden.issue.unresolved import MARK, Unresolved, legible
from mintwarden.model.errors import ErrorKind

PLAIN = ("payments:admin-typo", "a", "9", "https://api.example.com/scope", "a.b_c:d/e*f+g-h", "x" * 64)
STRANGE = (
    "",
    " ",
    "*",
    "-a",
    "x" * 65,
    "a b",
    "a\n",
    "\x7f",
    "a@b",
    "<b>",
    "\u202ea",
    "ä",
    "\ud800",
    f"{MARK}A",
    "a~",
    "a%b",
)


@pytest.mark.parametrize("name", PLAIN)
def test_what_looks_like_a_name_stands_as_it_is(name: str) -> None:
    assert legible(name) == name


@pytest.mark.parametrize("name", STRANGE)
def test_anything_else_is_found_by_its_digest(name: str) -> None:
    shown = legible(name)
    assert shown.startswith(MARK)
    digest = urlsafe_b64decode(shown.removeprefix(MARK) + "=")
    assert digest == hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()


@given(st.text())
def test_whatever_was_sent_is_short_and_plain(name: str) -> None:
    shown = legible(name)
    assert len(shown) <= 64
    assert shown.isascii()
    assert shown.isprintable()
    assert not set(shown) & set(" \"'<>&\\`")
    assert (shown == name) != shown.startswith("~"), "nobody forges a digest"


def test_no_text_of_the_error_holds_what_was_sent() -> None:
    name = "<script>"
    error = Unresolved(ErrorKind.INVALID_SCOPE, "public", "hint", scopes=(name, name, "b"), details=(name,))
    assert (error.scopes, error.details) == ((legible(name), "b"), (legible(name),))
    assert name not in f"{error} {error!r} {error.public} {error.hint}"

from __future__ import annotations

import hashlib
import random
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintwarden.authn.secrets import generate_secret
from mintwarden.issue.unresolved import MARK, Unresolved, legible
from mintwarden.model.errors import ErrorKind

PLAIN = (
    "payments:admin-typo",
    "a",
    "9",
    "https://api.example.com/scope",
    "https://graph.microsoft.com/User.Read.All",
    "a.b_c:d/e*f+g-h",
    "x" * 64,
    "urn:example:PaymentsAdministrator2",
    "PaymentsAdministratorOfEverything",
    "0f8fad5b-d9cb-469f-a165-70867728950e",
    "payments:20261126:2300",
)
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


@given(st.binary(min_size=32, max_size=32))
def test_a_secret_in_the_wrong_place_is_no_name(drawn: bytes) -> None:
    """One of ours, of whatever was drawn; and what others make of as much chance, as they usually do."""
    ours = generate_secret(lambda _: drawn)
    for secret in (ours, f"payments:{ours}", "mwr_" + ours[3:], drawn.hex(), f"key-{drawn.hex()}"):
        assert legible(secret).startswith(MARK)


@pytest.mark.parametrize("length", [16, 18, 24, 32])
def test_what_is_drawn_at_random_is_no_name(length: int) -> None:
    """Codes, identifiers of sessions, keys: told by their looks alone, so that a few of the shortest get by."""
    chance = random.Random(length)
    drawn = [urlsafe_b64encode(chance.randbytes(length)).rstrip(b"=").decode() for _ in range(500)]
    assert sum(legible(one) == one for one in drawn) < 50


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

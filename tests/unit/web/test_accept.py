from __future__ import annotations

import pytest

from mintwarden.web.accept import LONGEST, accept_of, asks_for, takes

SPECIAL, USUAL = "application/token-introspection+jwt", "application/json"


@pytest.mark.parametrize(
    "accept",
    [
        SPECIAL,
        SPECIAL.upper(),
        f" {SPECIAL} ; q=0.5 ",
        f"{SPECIAL}, {USUAL}",
        f"{USUAL};q=0.9,{SPECIAL}",
        f"{USUAL};q=0.3,{SPECIAL};q=0.300",
        f"text/html,,{SPECIAL},*/*;q=0.8",
    ],
)
def test_it_is_asked_for(accept):
    assert asks_for(accept, SPECIAL, USUAL)


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/*",
        USUAL,
        f"{SPECIAL};q=0",
        f"{SPECIAL};q=0.000",
        f"{SPECIAL};q=0.2, {USUAL};q=0.3",
        f"{SPECIAL};q=0.9, {USUAL}",
        f"{SPECIAL};q=high",
        f"{SPECIAL};q=nan",
        f"{SPECIAL};q=2",
        f"{SPECIAL};q=-1",
        f"x{SPECIAL}",
        f"{SPECIAL}x",
        f"text/html;a={SPECIAL}",
        f"{SPECIAL},{'a/b,' * LONGEST}",
    ],
)
def test_it_is_not_asked_for(accept):
    assert not asks_for(accept, SPECIAL, USUAL)


@pytest.mark.parametrize(
    "accept", ["", " ", "*/*", "application/*", SPECIAL, f"text/html, {SPECIAL};q=0.1", "a" * 2000]
)
def test_it_is_taken(accept):
    assert takes(accept, SPECIAL)


@pytest.mark.parametrize("accept", [USUAL, "text/*", f"*/*, {SPECIAL};q=0", f"{SPECIAL};q=x", "application/*;q=0, */*"])
def test_it_is_not_taken(accept):
    assert not takes(accept, SPECIAL)


def test_several_headers_are_one_list():
    assert accept_of([(b"accept", b"a/b"), (b"host", b"x"), (b"accept", b"c/d")]) == "a/b,c/d"
    assert accept_of([]) == ""

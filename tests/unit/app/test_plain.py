"""What others wrote is told to people in lines that nothing in them can forge, hide or move."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import pytest
from msgspec.structs import replace

from mintwarden.app.cli.plain import plain
from mintwarden.app.cli.policy_standing import print_standing
from mintwarden.govern.standing import State, stand
from mintwarden.policy.approve.risk import Reason, Risk
from mintwarden.policy.bundle.load import build_bundle
from tests.unit.policy.approve.small import team, texts

FORGERY = "Ann\x1b[2J\x1b[Hquorum 1: an ordinary change\nnothing is lacking\r\x9b1A\u202e\u2028"


def told(function, *arguments) -> str:
    written = io.StringIO()
    with redirect_stdout(written):
        function(*arguments)
    return written.getvalue()


def test_an_owner_forges_no_line_of_what_approvers_are_shown():
    """Whoever proposes a version writes its owner; whoever approves it reads that on a terminal."""
    bundle = build_bundle(texts(team(), ("bundle.toml", 'name = "Token Governance"', f"name = {toml(FORGERY)}")))
    assert bundle.catalogue.owner == FORGERY
    standing = stand(State(None, None, None), bundle, (), "approve", 0, within=0)
    reason = Reason("claim", FORGERY, "is of another sensitivity")
    page = told(print_standing, replace(standing, risk=Risk("higher", (reason,))))
    assert "nothing is lacking" not in page.splitlines()
    assert all(line.isprintable() for line in page.splitlines())
    assert [line for line in page.splitlines() if line.startswith("quorum")] == [
        "quorum    2: the first version: its own larger quorum"
    ]


@pytest.mark.parametrize(
    "char", ["\x1b", "\x9b", "\x07", "\r", "\n", "\u202e", "\u2066", "\u2028", "\x85", "\ud800", "\x7f"]
)
def test_what_is_not_printable_is_spelled(char):
    assert plain(f"a{char}b") == f"a\\u{{{ord(char):x}}}b"
    assert plain("Zoë 🔑 `x`") == "Zoë 🔑 `x`"


def toml(text: str) -> str:
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text) + '"'

"""Which recorded decisions a revocation is about: the same as those whose tokens are refused by it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from mintwarden.authn.ports import About, Revocation
from mintwarden.authn.revoked import link_of
from mintwarden.govern.status_marks import is_about
from mintwarden.model.asked import Asked
from mintwarden.model.values import EntityUid

AT = 1_795_000_000_400
ALICE, BOT = EntityUid("User", "alice"), EntityUid("Agent", "bot")
ASKED = Asked(
    grant="token_exchange",
    client_id="web",
    subject=ALICE,
    actors=(BOT,),
    audience="payments",
    scopes=(),
    session="s1",
    grant_id="g1",
    lineage=("t0",),
    status=(0, 7),
    signing_key="k1",
)
ENTRY = {"id": "t1", "at": AT, "bundle": "sha256:a", "actors": [{}]}
CATALOGUE = cast("Any", SimpleNamespace(clients={"web": SimpleNamespace(principal="Workload")}))
NAMES: list[tuple[About, str]] = [
    ("token", "t1"),
    ("token", "t0"),
    ("client", "web"),
    ("subject", "User:alice"),
    ("actor", "Agent:bot"),
    ("link", link_of(ALICE, BOT)),
    ("session", "s1"),
    ("grant", "g1"),
    ("bundle", "sha256:a"),
]


def row(about: About, value: str, before: int = AT) -> Revocation:
    return Revocation(about=about, value=value, before=before, until=before)


@pytest.mark.parametrize(("about", "value"), NAMES)
def test_what_it_is_revoked_by(about: About, value: str):
    assert is_about(row(about, value), ASKED, ENTRY, CATALOGUE)
    assert is_about(row(about, value, AT // 1000 * 1000), ASKED, ENTRY, CATALOGUE), "in the same second"
    once = about in ("token", "grant")  # neither begins again
    assert is_about(row(about, value, AT // 1000 * 1000 - 1), ASKED, ENTRY, CATALOGUE) == once, "issued after it"
    assert not is_about(row(about, f"{value}x"), ASKED, ENTRY, CATALOGUE)


def test_a_client_that_asked_to_stay_hidden_and_does_not():
    asked = Asked(
        grant="token_exchange", client_id="web", subject=ALICE, impersonate=True, audience="payments", scopes=()
    )
    by = row("actor", "Workload:web")
    assert is_about(by, asked, ENTRY, CATALOGUE)
    hidden = {name: value for name, value in ENTRY.items() if name != "actors"}
    assert not is_about(by, asked, hidden, CATALOGUE)


def test_a_key_ends_whatever_it_signed_whichever_date_that_bears():
    assert is_about(row("key", "k1", 1), ASKED, ENTRY, CATALOGUE)
    assert not is_about(row("key", "k2"), ASKED, ENTRY, CATALOGUE)

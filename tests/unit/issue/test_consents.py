"""What somebody allowed is remembered until it, or what it was given with, is taken back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest

from mintwarden.authn.ports import About, Revocation
from mintwarden.authn.shelf import Shelf
from mintwarden.issue.authorization.consent import KIND, Consent, Consents
from mintwarden.mint.master import LocalMasterKey
from mintwarden.model.values import EntityUid
from mintwarden.store import Store

NOW = 1_795_000_000_000
ALICE = EntityUid("User", "alice")
WHERE = ("", "production", "", "", "")
SEAL = LocalMasterKey(bytes(32), random_bytes=os.urandom)


async def unseen(_person: EntityUid, _detail: Mapping[str, object], _private: Mapping[str, object]) -> None:
    """Writes nothing down."""


@pytest.mark.parametrize(
    ("about", "value", "before", "stands"),
    [
        ("client", "web", NOW, False),
        ("client", "web", NOW - 1, True),  # what a client had before it was revoked, and has again
        ("subject", "User:alice", NOW, False),
        ("subject", "User:alice", NOW - 1, True),
        ("grant", "g1", NOW, False),
        ("grant", "g1", NOW - 1, False),  # by a clock that is behind: a grant never begins again
        ("grant", "g2", NOW, True),
        ("client", "other", NOW, True),
    ],
)
async def test_what_takes_it_back(store: Store, about: About, value: str, before: int, stands: bool) -> None:
    shelf: Any = Shelf(KIND, Consent, states=store.states, seal=SEAL)
    consents = Consents(shelf=shelf, revocations=store.revocations, record=unseen)
    consent = Consent(
        client_id="web", scopes=("pay",), confines=WHERE, grants=("g1",), given_at=NOW, ends=NOW + 3_600_000
    )
    await consents.give(ALICE, consent, ("pay",), {}, {})
    assert await consents.covers(ALICE, "web", ("pay",), WHERE, NOW)
    await store.revocations.revoke([Revocation(about=about, value=value, before=before, until=NOW + 3_600_000)])
    assert await consents.covers(ALICE, "web", ("pay",), WHERE, NOW) == stands

"""Interactions: for the browser that began them, and no other."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mintwarden.authn.interactions import KIND, Interaction, Interactions, cookie_of, secret_digest
from mintwarden.authn.shelf import Shelf
from mintwarden.authn.sign_in import Demand
from mintwarden.mint.master import LocalMasterKey
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.store import open_store

NOW = 1_795_000_000_000
BEGUN = Interaction(demand=Demand(), browser=secret_digest("1"), return_path="/next")


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf[Interaction]]:
    store = await open_store(f"sqlite:///{tmp_path}/mintwarden.db", create=True)
    yield Shelf(KIND, Interaction, states=store.states, seal=LocalMasterKey(bytes(32), random_bytes=os.urandom))
    await store.close()


async def test_login_cross_site_request_forgery(shelf: Shelf[Interaction]) -> None:
    """A browser that did not begin the interaction is not led into it."""
    await shelf.add("handle", BEGUN, ends=NOW + 1000)
    interactions = Interactions(shelf)
    held = await interactions.open("handle", {cookie_of("handle"): "1"}, NOW)
    assert held.value.return_path == "/next"
    for handle, cookies, now in (
        ("handle", {}, NOW),
        ("handle", {cookie_of("handle"): ""}, NOW),
        ("handle", {cookie_of("other"): "1"}, NOW),
        ("handle", {cookie_of("handle"): "2"}, NOW),
        ("other", {cookie_of("other"): "1"}, NOW),
        ("", {cookie_of(""): "1"}, NOW),
        ("handle", {cookie_of("handle"): "1"}, NOW + 1000),
    ):
        with pytest.raises(MintwardenError) as caught:
            await interactions.open(handle, cookies, now)
        assert caught.value.kind is ErrorKind.INVALID_REQUEST


async def test_the_sign_in_that_it_led_to_is_noted(shelf: Shelf[Interaction]) -> None:
    await shelf.add("handle", BEGUN, ends=NOW + 1000)
    interactions = Interactions(shelf)
    cookies = {cookie_of("handle"): "1"}
    await interactions.signed_in(await interactions.open("handle", cookies, NOW), "sid-1")
    assert (await interactions.open("handle", cookies, NOW)).value.session == "sid-1"


async def test_interaction_hijack_by_who_learned_its_handle(shelf: Shelf[Interaction]) -> None:
    """The cookie's name follows from the handle; what is in it does not, so its presence is worth nothing."""
    await shelf.add("handle", BEGUN, ends=NOW + 1000)
    for forged in ("", "0", "handle", secret_digest("1"), cookie_of("handle")):
        with pytest.raises(MintwardenError):
            await Interactions(shelf).open("handle", {cookie_of("handle"): forged}, NOW)

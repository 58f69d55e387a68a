"""What a stranger writes where the id of a client stands reaches the store only where it may be one of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from mintwarden.authn.ports import Credentials
from mintwarden.govern.open_registration import OpenOffice
from mintwarden.model.catalogue import OpenRegistration
from mintwarden.model.errors import ErrorKind, MintwardenError
from tests.conftest import FrozenClock

OWN = "A-b_9" + "x" * 17


class Asked:
    """Nothing is kept, and what was looked for is."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    async def of(self, client_ids: Sequence[str]) -> Credentials:
        self.ids += client_ids
        return Credentials(1, {})

    async def registered(self, limit: int, after: str = "") -> Sequence[str]:
        raise AssertionError


@pytest.mark.parametrize(
    ("client_id", "asked"),
    [
        (f"self-{OWN}", True),
        (OWN, False),
        ("self-", False),
        (f"self-{OWN}x", False),
        (f"self-{OWN[:-1]}", False),
        (f"self-{OWN[:-1]}\0", False),
        (f"self-{OWN[:-1]}\ud800", False),
        (f"self-{OWN}\n", False),
        (f"self-{OWN[:-1]}é", False),
        ("self-" + "x" * 100_000, False),
    ],
)
async def test_nothing_but_an_id_of_ours_is_looked_for(client_id: str, asked: bool, clock: FrozenClock) -> None:
    store = Asked()
    unused: Any = None
    bounds = OpenRegistration(
        to="anyone", prefix="self-", kind="web", principal="Workload", owner="o", environments=(), ceilings={},
        methods=(), grants=(),
    )  # fmt: skip
    office = OpenOffice(
        catalogue=unused, bounds=bounds, lookup=store, writer=unused, revoker=unused, scribe=unused,
        clock=clock, pepper=b"p", random_bytes=bytes, check_keys=unused, statement=unused,
    )  # fmt: skip
    with pytest.raises(MintwardenError) as caught:
        await office.read(client_id, "mwg_x")
    assert caught.value.kind is ErrorKind.INVALID_TOKEN
    assert store.ids == ([client_id] if asked else [])

"""A page of clients: those of the bundle from memory, of the others no more than it answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from mintwarden.authn.ports import ClientRecord, Credentials
from mintwarden.govern.clients import ClientOffice
from mintwarden.policy.bundle.model import Bundle
from tests.conftest import FrozenClock
from tests.unit.policy.company import load_company


@dataclasses.dataclass
class Kept:
    """Registered clients, and how many of each were read."""

    records: dict[str, ClientRecord]
    read: list[int] = dataclasses.field(default_factory=list)
    gone: set[str] = dataclasses.field(default_factory=set)

    async def of(self, client_ids: Sequence[str]) -> Credentials:
        found = {name: self.records[name] for name in client_ids if name in self.records and name not in self.gone}
        self.read.append(len(found))
        return Credentials(1, {}, found)

    async def registered(self, limit: int, after: str = "") -> Sequence[str]:
        found = [name for name, record in sorted(self.records.items()) if record.record is not None and name > after]
        self.read.append(len(found[:limit]))
        return found[:limit]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_company(tmp_path_factory.mktemp("bundle"))


def _office(bundle: Bundle, kept: Kept, clock: FrozenClock) -> ClientOffice:
    unused: Any = None
    return ClientOffice(
        catalogue=bundle.catalogue,
        reader=kept,
        writer=unused,
        scribe=unused,
        clock=clock,
        pepper=b"",
        random_bytes=bytes,
        refuses=lambda _client: "",
        check_keys=lambda _keys: None,
    )


def _registered(bundle: Bundle, names: Sequence[str]) -> dict[str, ClientRecord]:
    """Clients of those names; and what is kept beside one of the bundle, which is none of them."""
    model = next(iter(bundle.catalogue.clients.values()))
    made = [msgspec.structs.replace(model, id=name) for name in names]
    beside = ClientRecord(client_id=model.id, keys=b"[]", version=1)
    return {model.id: beside} | {
        one.id: ClientRecord(client_id=one.id, record=msgspec.json.encode(one), version=1) for one in made
    }


async def test_a_page_reads_what_it_answers(bundle: Bundle, clock: FrozenClock) -> None:
    names = [f"z-{number:04}" for number in range(500)]
    kept = Kept(_registered(bundle, names))
    office = _office(bundle, kept, clock)
    bundled = sorted(bundle.catalogue.clients)
    first, after = await office.page(len(bundled) + 2)
    assert [one.client.id for one in first] == [*bundled, *names[:2]]
    assert after == names[1]
    assert {one.client.id: one.version for one in first}[next(iter(bundle.catalogue.clients))] == 1
    kept.read.clear()
    second, after = await office.page(10, after)
    assert [one.client.id for one in second] == names[2:12]
    assert kept.read == [11, 10]
    last, after = await office.page(10, names[-3])
    assert ([one.client.id for one in last], after) == (names[-2:], "")


async def test_one_that_deletes_itself_meanwhile_is_left_out(bundle: Bundle, clock: FrozenClock) -> None:
    names = ["z-1", "z-2", "z-3", "z-4"]
    kept = Kept(_registered(bundle, names), gone={"z-2", "z-3"})
    listed, after = await _office(bundle, kept, clock).page(3, max([*bundle.catalogue.clients, "z"]))
    assert ([one.client.id for one in listed], after) == (["z-1"], "z-3")

"""A page costs what it answers, in either store, however much there is beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mintwarden.authn.ports import ClientRecord, ClientSecret, State
from mintwarden.govern.exception_ports import StoredException
from mintwarden.govern.ports import Activation, OpenFinding, StoredVersion, VersionName
from mintwarden.review.finding_states import FindingState
from mintwarden.store import Store, open_store
from mintwarden.store.contract.samples import NOW
from mintwarden.store.store import DocumentChange
from tests.contract.reading import Work, rows, steps

pytestmark = pytest.mark.xdist_group("postgres")

FEW, MANY = 20, 400
LIMIT = 5
TWICE = 2
"""Another plan may visit an index and its table one after the other; what there is besides is twenty times as much."""


class Reading:
    """A store, and how much it reads."""

    def __init__(self, store: Store, url: str) -> None:
        self.store = store
        self._url = url

    async def of(self, part: object, work: Work) -> int:
        """Steps or rows of `work`, which asks `part`."""
        if self._url.startswith("sqlite"):
            return await steps(part, work)
        return await rows(part, self._url, work)


@pytest.fixture(params=["sqlite", "postgres"])
async def reading(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Reading]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/mintwarden.db"
    else:
        new_database: Callable[[], str] = request.getfixturevalue("new_database")
        url = new_database()
    store = await open_store(url, create=True)
    yield Reading(store, url)
    await store.close()


async def _exceptions(store: Store, first: int, beyond: int, state: str) -> None:
    for number in range(first, beyond):
        one = StoredException(id=f"0199-{number:06}", document=b"{}", state=state, changed_at=NOW)  # type: ignore[arg-type]
        assert await store.exceptions.add(one)


@pytest.mark.parametrize("still_open", [False, True])
async def test_a_page_of_exceptions(reading: Reading, still_open: bool) -> None:
    """INVARIANT: those that ended, and of those there are ever more, cost whoever looks at what is open nothing."""
    exceptions = reading.store.exceptions

    async def page() -> None:
        assert len(await exceptions.page(LIMIT, "0199-000003", still_open=still_open)) == LIMIT

    await _exceptions(reading.store, 0, FEW, "requested")
    few = await reading.of(exceptions, page)
    await _exceptions(reading.store, FEW, MANY, "ended")
    await _exceptions(reading.store, MANY, MANY + FEW, "requested")
    assert await reading.of(exceptions, page) <= TWICE * few


async def test_what_is_open_is_found_without_what_ended(reading: Reading) -> None:
    """Read after every change of what is in force, and whenever exceptions are settled."""
    exceptions = reading.store.exceptions
    await _exceptions(reading.store, 0, 3, "active")
    both = [exceptions.in_force, lambda: exceptions.find(("requested", "active"))]
    before = [await reading.of(exceptions, work) for work in both]
    await _exceptions(reading.store, 3, MANY, "ended")
    after = [await reading.of(exceptions, work) for work in both]
    assert all(later <= TWICE * few for few, later in zip(before, after, strict=True)), (before, after)


async def _clients(store: Store, first: int, beyond: int) -> None:
    for number in range(first, beyond):
        name = f"c-{number:06}"
        await store.credentials.put_client(ClientRecord(client_id=name, record=b"{}", version=1, changed_at=NOW))
    secrets = [
        ClientSecret(client_id=f"c-{number:06}", scheme="hmac-sha256", digest=b"1", created_at=NOW)
        for number in range(first, beyond)
    ]
    await store.credentials.add_secrets(secrets)


async def test_a_page_of_clients(reading: Reading) -> None:
    credentials = reading.store.credentials

    async def page() -> None:
        names = await credentials.registered(LIMIT, "c-000003")
        assert len((await credentials.of(names)).secrets) == LIMIT

    await _clients(reading.store, 0, FEW)
    few = await reading.of(credentials, page)
    await _clients(reading.store, FEW, MANY)
    assert await reading.of(credentials, page) <= TWICE * few


async def _states(store: Store, first: int, beyond: int, owner: str) -> None:
    await store.states.add(
        [
            State(
                kind="approval_request", key=b"%06d" % number, owner=owner, expires_at=NOW + number, document=b"sealed"
            )
            for number in range(first, beyond)
        ]
    )


@pytest.mark.parametrize("back", [False, True])
async def test_a_page_of_what_is_remembered(reading: Reading, back: bool) -> None:
    """Requests for approvals from what ends first, grants from what ends last."""
    states = reading.store.states

    async def page() -> None:
        found = await states.lasting("approval_request", "lead", LIMIT, (NOW + 10, b""), back=back)
        assert len(found) == LIMIT

    await _states(reading.store, 0, FEW, "lead")
    few = await reading.of(states, page)
    await _states(reading.store, FEW, MANY, "lead")
    await _states(reading.store, MANY, 2 * MANY, "other")
    assert await reading.of(states, page) <= TWICE * few


async def _emergencies(store: Store, first: int, beyond: int) -> None:
    for number in range(first, beyond):
        before = f"sha256:{number - 1}" if number > 1 else ""
        glass = Activation(
            number=number,
            digest=f"sha256:{number}",
            previous=before,
            kind="activate",
            at=NOW,
            entry_id=b"%d" % number,
        )
        finding = OpenFinding(id=f"break-glass-{number:06}", kind="break_glass", about=str(number), opened_at=NOW)
        assert await store.versions.activate(glass, finding)


async def test_a_page_of_emergencies(reading: Reading) -> None:
    versions = reading.store.versions

    async def page() -> None:
        assert len(await versions.findings_page(LIMIT, "break-glass-000003")) == LIMIT
        assert await versions.finding("break-glass-000003") is not None

    await _emergencies(reading.store, 1, FEW)
    few = await reading.of(versions, page)
    await _emergencies(reading.store, FEW, MANY)
    assert await reading.of(versions, page) <= TWICE * few


async def test_what_was_said_of_some_findings(reading: Reading) -> None:
    states = reading.store.finding_states

    async def some() -> None:
        assert len(await states.of([f"lint-{number:06}" for number in range(LIMIT)])) == LIMIT

    async def say(first: int, beyond: int) -> None:
        for number in range(first, beyond):
            await states.say(FindingState(id=f"lint-{number:06}", version=1, changed_at=NOW))

    await say(0, FEW)
    few = await reading.of(states, some)
    await say(FEW, MANY)
    assert await reading.of(states, some) <= TWICE * few


async def _versions(store: Store, first: int, beyond: int) -> None:
    for number in range(first, beyond):
        await store.versions.put_version(StoredVersion(f"sha256:{number:064}", b"x" * 2_000, NOW + number // 3), [])


async def test_a_page_of_versions(reading: Reading) -> None:
    """From the newest on, and far behind it."""
    versions = reading.store.versions
    behind = VersionName(f"sha256:{10:064}", NOW + 3)

    async def both() -> None:
        assert len(await versions.versions(LIMIT)) == LIMIT
        assert len(await versions.versions(LIMIT, behind)) == LIMIT

    await _versions(reading.store, 0, FEW)
    few = await reading.of(versions, both)
    await _versions(reading.store, FEW, MANY)
    assert await reading.of(versions, both) <= TWICE * few


async def test_a_page_of_activations(reading: Reading) -> None:
    versions = reading.store.versions

    async def both() -> None:
        assert len(await versions.activations(LIMIT)) == LIMIT
        assert len(await versions.activations(LIMIT, 8)) == LIMIT

    await _emergencies(reading.store, 1, FEW)
    few = await reading.of(versions, both)
    await _emergencies(reading.store, FEW, MANY)
    assert await reading.of(versions, both) <= TWICE * few


async def test_a_page_of_entities(reading: Reading) -> None:
    directory = reading.store.directory

    async def page() -> None:
        assert len(await directory.page("hr", "User:000003", LIMIT)) == LIMIT

    async def put(first: int, beyond: int, source: str) -> None:
        await directory.apply(
            [DocumentChange(f"User:{number:06}", source, b"{}", NOW) for number in range(first, beyond)]
        )

    await put(0, FEW, "hr")
    few = await reading.of(directory, page)
    await put(FEW, MANY, "hr")
    await put(0, MANY, "other")
    assert await reading.of(directory, page) <= TWICE * few


async def test_a_page_of_what_belongs_to_somebody(reading: Reading) -> None:
    states = reading.store.states

    async def page() -> None:
        assert len(await states.owned("approval_request", "lead", LIMIT, b"%06d" % 3)) == LIMIT

    await _states(reading.store, 0, FEW, "lead")
    few = await reading.of(states, page)
    await _states(reading.store, FEW, MANY, "lead")
    others = [
        State(kind="approval_request", key=b"%06d%03d" % (n, m), owner=f"o-{m}", expires_at=NOW, document=b"sealed")
        for n in range(MANY)
        for m in range(FEW)
    ]
    await reading.store.states.add(others)
    assert await reading.of(states, page) <= TWICE * few

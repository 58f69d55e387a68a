"""A small company with approvers, its store and ledger on disk, and everybody's key at hand."""

from __future__ import annotations

import contextlib
import functools
import itertools
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from mintwarden.context.exceptions import Ratchet
from mintwarden.govern.exceptions import Exceptions, Known, Wanted
from mintwarden.ledger.record import Recorder
from mintwarden.ledger.reveal import read_entry
from mintwarden.ledger.seal import Sealer
from mintwarden.model.ids import decision_id
from mintwarden.model.values import EntityUid
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.exception_proof import endangered
from mintwarden.policy.exception_request import ExceptionRequest, statement
from mintwarden.store import Store, open_store
from tests.conftest import FrozenClock
from tests.property.company import FILES, RULES
from tests.unit.policy.approve.signing import Soft, soft
from tests.unit.policy.company import BUNDLE, load_company

ALICE = EntityUid("User", "alice")
RITA = EntityUid("User", "rita")
SELF = EntityUid("Workload", "mintwarden")
PEOPLE = ("ann", "ben", "cem", "rita", "alice")
HOUR = 3_600_000
DAY = 24 * HOUR
LOW = 'exception_max = "7d"\nexception_approvals = 1\n'
HIGH = 'exception_max = "1d"\nexception_approvals = 2\n'


@functools.cache
def key_of(person: str) -> Soft:
    """The person's SSH key, the same all along."""
    return soft()


def head(low: str = LOW, high: str = HIGH, people: tuple[str, ...] = PEOPLE) -> str:
    """`bundle.toml` with approvers who are users of the same name in small letters."""
    written = BUNDLE.replace("[tiers.low]\n", f"[tiers.low]\n{low}").replace("[tiers.high]\n", f"[tiers.high]\n{high}")
    return written + "".join(
        f'[[approvers]]\nname = "{name.title()}"\nuser = "{name}"\nkeys = ["{key_of(name).text}"]\n' for name in people
    )


def company(folder: Path, **how: Any) -> Bundle:
    """The bundle; `how` is for `head`."""
    assertions = how.pop("assertions", "")
    files = {**FILES, "bundle.toml": head(**how)}
    if assertions:
        files["assertions/all.toml"] = assertions
    return load_company(folder, rules=RULES, files=files)


def signed(request: ExceptionRequest, person: str, at: int, *, key: str = "", name: str = "") -> str:
    """The person's signed approval; `at` in milliseconds."""
    text = statement(request, name or person.title(), at // 1000)
    return f"{text}\n{key_of(key or person).armor(text.encode())}"


class Office(Struct, frozen=True, kw_only=True):
    """Somewhere exceptions are dealt with: one process on the store."""

    store: Store
    clock: FrozenClock
    exceptions: Exceptions
    elapsed: list[float]

    def wanted(self, **changes: Any) -> Wanted:
        settings: dict[str, Any] = {
            "principal": ALICE,
            "scope": "pay:read",
            "expires_at": self.clock.now() + HOUR,
            "reason": "the migration of the batch is late",
            "ticket": "OPS-7",
            "control": "its tokens are reviewed daily",
            **changes,
        }
        return Wanted(**settings)

    async def request(self, requester: EntityUid = RITA, **changes: Any) -> Known:
        return await self.exceptions.request(self.wanted(**changes), requester, endangered=endangered)

    async def approve(self, known: Known, *people: str) -> Known:
        for person in people:
            text = signed(known.request, person, self.clock.now())
            known = await self.exceptions.approve(known.request.id, text)
        return known

    async def active(self, **changes: Any) -> Known:
        """One that is in force."""
        known = await self.request(**changes)
        return await self.approve(known, *("ann", "ben")[: known.needed])

    async def ids_in_force(self) -> list[str]:
        return [grant.id for grant in (await self.exceptions.in_force()).grants]

    async def told(self) -> list[tuple[str, str]]:
        """Kind and change of every entry about exceptions, in order."""
        entries = [read_entry(stored.entry) for stored in await self.store.entries.by_index(0, 10_000)]
        return [(entry["kind"], entry["detail"]["change"]) for entry in entries if "exception" in entry["detail"]]


def office(store: Store, bundle: Bundle, clock: FrozenClock) -> Office:
    """One process's view: its own recorder and its own monotonic clock (`elapsed`)."""
    numbers = itertools.count(1)
    elapsed = [0.0]

    def new_id() -> bytes:
        return decision_id(clock.now(), secrets.token_bytes(6) + next(numbers).to_bytes(4, "big"))

    sealer = Sealer(secret=b"s" * 32, random_bytes=secrets.token_bytes)
    return Office(
        store=store,
        clock=clock,
        elapsed=elapsed,
        exceptions=Exceptions(
            bundle=bundle,
            store=store.exceptions,
            entries=store.entries,
            recorder=Recorder(appender=store.entries, sealer=sealer, issuer="https://tokens.example"),
            keys=store.subject_keys,
            clock=clock,
            new_id=new_id,
            ratchet=Ratchet(lambda: elapsed[0]),
        ),
    )


@contextlib.asynccontextmanager
async def opened(folder: Path, bundle: Bundle, clock: FrozenClock) -> AsyncIterator[Office]:
    """An office on a store of its own in `folder`."""
    store = await open_store(f"sqlite:///{folder}/exceptions.db", create=True)
    try:
        yield office(store, bundle, clock)
    finally:
        await store.close()

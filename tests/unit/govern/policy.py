"""A store with the small bundle's people around it, and everything that they can do."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mintwarden.govern.ports import Activation
from mintwarden.govern.versions import Versions
from mintwarden.ledger.record import Recorder
from mintwarden.ledger.seal import Sealer
from mintwarden.model.ids import decision_id
from mintwarden.policy.approve.signed import Signed
from mintwarden.policy.approve.statement import Statement
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.store import Store, open_store
from tests.conftest import START, FrozenClock
from tests.unit.policy.approve.signing import ISSUER, Soft
from tests.unit.policy.approve.small import team, texts

_NUMBERS = itertools.count(1)
REASON = "because of the incident"


@functools.cache
def digest_of(items: tuple[tuple[str, str], ...]) -> str:
    return build_bundle(dict(items)).digest


class Office:
    """`versions` over a store; `word` is what somebody signs on top of what governs now."""

    def __init__(
        self, store: Store, *, prover: Any = lambda _bundle: (), keys: Mapping[str, Soft] | None = None
    ) -> None:
        self.store = store
        self.clock = FrozenClock(START)
        self.keys = dict(keys or team())
        self.recorder = Recorder(
            appender=store.entries, sealer=Sealer(secret=b"s" * 32, random_bytes=lambda n: b"r" * n), issuer=ISSUER
        )
        self.versions = Versions(
            store=store.versions,
            recorder=self.recorder,
            keys=store.subject_keys,
            new_id=lambda: decision_id(self.clock.now(), next(_NUMBERS).to_bytes(10, "big")),
            issuer=ISSUER,
            prover=prover,
        )

    @property
    def now(self) -> int:
        return self.clock.now()

    def texts(self, *changes: tuple[str, str, str]) -> dict[str, str]:
        return texts(self.keys, *changes)

    async def word(self, digest: str, name: str, act: str = "approve", *, key: str = "", **values: Any) -> Signed:
        active = await self.store.versions.active()
        members: dict[str, Any] = {
            "issuer": ISSUER, "bundle": "small", "digest": digest, "base": active.digest if active else "",
            "after": active.number if active else 0, "at": self.now // 1000,
        } | values  # fmt: skip
        return self.keys[key or name].sign(Statement(act=act, name=name, **members))  # type: ignore[arg-type]

    async def hand_in(self, bundle: Mapping[str, str], author: str = "Dan", approvers: Sequence[str] = (),
                      act: str = "approve") -> str:  # fmt: skip
        """Put a version into the store with its signatures; its digest."""
        digest = digest_of(tuple(sorted(bundle.items())))
        signed = [await self.word(digest, author, "author")] if author else []
        signed += [await self.word(digest, name, act) for name in approvers]
        await self.versions.submit(bundle, signed, now=self.now)
        return digest

    async def first(self) -> Activation:
        """The first version governs."""
        digest = await self.hand_in(self.texts(), approvers=("Ann", "Bob"))
        return await self.versions.activate(digest, by="op", now=self.now)

    async def active(self) -> str:
        found = await self.store.versions.active()
        return found.digest if found else ""


@contextlib.asynccontextmanager
async def office(folder: Path, **how: Any) -> AsyncIterator[Office]:
    store = await open_store(f"sqlite:///{folder}/mintwarden.db", create=True)
    try:
        opened = Office(store, **how)
        yield opened
        await opened.recorder.close()
    finally:
        await store.close()

"""The ports of this room in memory: what the stores promise, in its shortest form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from mintwarden.mint.ports import KeyState, StoredKey, Unrecorded


class MemoryKeyStore:
    """Implements `KeyStore`."""

    def __init__(self) -> None:
        self.rows: dict[str, StoredKey] = {}
        self.epoch = 0
        self.reads = 0

    async def keys(self) -> Sequence[StoredKey]:
        self.reads += 1
        return sorted(self.rows.values(), key=lambda key: key.created_at)

    async def add(self, key: StoredKey) -> bool:
        kind = (key.purpose, key.algorithm, key.state)
        if any((row.purpose, row.algorithm, row.state) == kind for row in self.rows.values()):
            return False
        self.rows[key.kid] = key
        self.epoch += 1
        return True

    async def move(self, kid: str, old: KeyState, new: KeyState, at: int) -> bool:
        key = self.rows[kid]
        if key.state != old:
            return False
        times: dict[str, dict[str, Any]] = {"active": {"activated_at": at}, "retiring": {"retired_at": at}}
        self.rows[kid] = msgspec.structs.replace(key, state=new, **times.get(new, {"sealed": b""}))
        self.epoch += 1
        return True

    async def unrecorded(self, before: int) -> Sequence[Unrecorded]:
        raise NotImplementedError

    async def recorded(self, kid: str, state: KeyState) -> None:
        raise NotImplementedError


class MemoryLease:
    """Implements `Lease`; never runs out."""

    def __init__(self) -> None:
        self.holders: dict[str, str] = {}

    async def acquire(self, name: str, holder: str, seconds: float) -> bool:
        return self.holders.setdefault(name, holder) == holder

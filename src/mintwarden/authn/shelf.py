"""What a flow remembers between requests: found by a handle that only its holder knows, sealed, and with an end.

INVARIANT: the store never sees a handle (a code, a cookie, a device code), only a digest of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from mintwarden.authn.ports import Place, Seal, State, States

T = TypeVar("T")
_MOST = 1_000


class Held(Struct, Generic[T], frozen=True):
    """Something remembered, and the stored state that it was read from."""

    value: T
    state: State

    @property
    def place(self) -> Place:
        """Where it stands among what lasts of its owner."""
        return (self.state.expires_at, self.state.key)


class Shelf(Generic[T]):
    """Everything of one kind. `shape` is a msgspec type; a field that is added later needs a default."""

    def __init__(self, kind: str, shape: type[T], *, states: States, seal: Seal) -> None:
        self.kind = kind
        self._states = states
        self._seal = seal
        self._decoder = msgspec.json.Decoder(shape)

    def key(self, handle: str) -> bytes:
        """The digest by which the store knows a handle of this kind."""
        return hashlib.sha256(f"{self.kind}:{handle}".encode()).digest()

    def state(self, handle: str, value: T, *, ends: int, owner: str = "") -> State:
        """What `States.add` takes, to add it together with others. `ends` is `Millis`."""
        key = self.key(handle)
        return State(kind=self.kind, key=key, owner=owner, expires_at=ends, document=self._sealed(key, value))

    async def add(self, handle: str, value: T, *, ends: int, owner: str = "") -> bool:
        """Remember `value` until `ends` (`Millis`); False when the handle is taken."""
        return await self._states.add([self.state(handle, value, ends=ends, owner=owner)])

    async def get(self, handle: str, now: int) -> Held[T] | None:
        """What `handle` names; None when there is nothing, or it has ended."""
        name = (self.kind, self.key(handle))
        state = (await self._states.read([name])).get(name)
        return None if state is None or state.expires_at <= now else self._held(state)

    async def owned(self, owner: str, now: int) -> Sequence[Held[T]]:
        """What belongs to `owner` and has not ended. INVARIANT: all of it, however much there is, and by whomever."""
        found, after = await self.page(owner, now)
        more = list(found)
        while after:
            found, after = await self.page(owner, now, after)
            more += found
        return more

    async def page(self, owner: str, now: int, after: bytes = b"") -> tuple[Sequence[Held[T]], bytes]:
        """What of it comes behind the key `after`, and behind which key there may be more; empty at the end."""
        found = await self._states.owned(self.kind, owner, _MOST, after)
        held = [self._held(state) for state in found if state.expires_at > now]
        return held, found[-1].key if len(found) == _MOST else b""

    async def lasting(
        self, owner: str, now: int, limit: int, beyond: Place | None = None, *, back: bool = False
    ) -> Sequence[Held[T]]:
        """Up to `limit` of what belongs to `owner`, what ends last first; see `States.lasting`."""
        found = await self._states.lasting(self.kind, owner, limit, beyond, back=back)
        return [self._held(state) for state in found if state.expires_at > now]

    async def replace(self, held: Held[T], value: T, *, ends: int | None = None) -> bool:
        """Remember `value` instead; False where somebody else was first. `ends` stays where it is not given."""
        state = held.state
        changed = replace(
            state, document=self._sealed(state.key, value), expires_at=state.expires_at if ends is None else ends
        )
        return await self._states.replace(changed)

    async def take(self, handle: str, now: int) -> T | None:
        """What `handle` names, for whoever is first to take it: it is gone afterwards."""
        held = await self.get(handle, now)
        if held is None or not await self._states.remove(self.kind, held.state.key):
            return None
        return held.value

    async def remove(self, held: Held[T]) -> bool:
        """Forget it; whether it was still there."""
        return await self._states.remove(self.kind, held.state.key)

    def _sealed(self, key: bytes, value: T) -> bytes:
        return self._seal.seal(msgspec.json.encode(value), self._context(key))

    def _held(self, state: State) -> Held[T]:
        return Held(self._decoder.decode(self._seal.open(state.document, self._context(state.key))), state)

    def _context(self, key: bytes) -> bytes:
        return b"state:" + self.kind.encode() + b":" + key

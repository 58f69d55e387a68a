"""Places in status lists (draft-ietf-oauth-status-list-21): each token of an audience that has them gets its own.

A node leases positions a block at a time, so that a token costs no look at the store; which index a position is, the
key says (`docs/adr/0018-status-lists.md`). What a list says of its tokens is kept compressed, and changed by whoever
sees that something was revoked.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Collection, Sequence

from msgspec.structs import replace

from mintwarden.authn.ports import State, States
from mintwarden.mint.ports import Signer
from mintwarden.mint.status_list import SIZE, Permutation, empty, with_invalid
from mintwarden.model.asked import Asked
from mintwarden.model.catalogue import Audience
from mintwarden.model.clock import Clock
from mintwarden.model.errors import ErrorKind, MintwardenError

ALGORITHMS = ("ES256", "PS256", "EdDSA", "RS256")
"""INVARIANT: only ever extended at the end, and never beyond `SPREAD`: a list's number says how it is signed."""

SPREAD = 8
BLOCK = 4096
"""Positions of one lease."""

HELD = 600_000
"""Milliseconds that a node gives out what it leased; the rest of it is never used."""

_KINDS = ("api", "identity")
"""Audiences that access tokens are for."""

KIND, OWNER = "status_list", "lists"
_COUNTER = "status_counter"
_NEVER = 1 << 62
_ATTEMPTS = 50


class _Block:
    """Positions that this node may give out, until a time (`Millis`)."""

    def __init__(self, number: int, first: int, until: int, permutation: Permutation) -> None:
        self.places = zip(itertools.repeat(number), map(permutation.index, range(first, first + BLOCK)), strict=False)
        self.until = until


class StatusPlaces:
    """Gives tokens their places.

    `key` makes indices unforeseeable; `longest` is the longest life of a token, in seconds.
    """

    def __init__(self, *, states: States, key: bytes, clock: Clock, longest: int) -> None:
        self._states = states
        self._key = key
        self._clock = clock
        self._longest = longest * 1000
        self._blocks: dict[str, _Block] = {}
        self._leasing = asyncio.Lock()

    async def placed(self, asked: Asked, audience: Audience, signer: Signer) -> Asked:
        """The question with the place of the token that answers it, and its key, where the audience has status lists.

        Raises `UNAVAILABLE` when no place can be leased: a token without one could not be revoked for its audience.
        """
        if not audience.status_list or audience.kind not in _KINDS:
            return asked
        return replace(asked, status=await self._next(audience.algorithm), signing_key=signer.kid)

    async def _next(self, algorithm: str) -> tuple[int, int]:
        while True:
            block = self._blocks.get(algorithm)
            if block is not None and self._clock.now() < block.until:
                place = next(block.places, None)
                if place is not None:
                    return place
            async with self._leasing:
                if self._blocks.get(algorithm) is block:
                    self._blocks[algorithm] = await self._lease(algorithm)

    async def _lease(self, algorithm: str) -> _Block:
        """A block that nobody else has. INVARIANT: a position is leased once, whatever happens to who has it."""
        key = algorithm.encode()
        for _ in range(_ATTEMPTS):
            name = (_COUNTER, key)
            counter = (await self._states.read([name])).get(name)
            first = int(counter.document) if counter is not None else 0
            await self._open(algorithm, first)
            now = self._clock.now()
            after = b"%d" % (first + BLOCK)
            if counter is None:
                new = State(kind=_COUNTER, key=key, owner="", expires_at=_NEVER, document=after)
                done = await self._states.add([new])
            else:
                done = await self._states.replace(replace(counter, document=after))
            if done:
                number = _number(algorithm, first)
                return _Block(number, first % SIZE, now + HELD, Permutation(self._key, number))
        raise MintwardenError(ErrorKind.UNAVAILABLE, "no place in a status list is to be had", hint="try again")

    async def _open(self, algorithm: str, first: int) -> None:
        """Make the list that begins at `first`, and let the one before it end once its tokens have."""
        if first % SIZE:
            return
        number = _number(algorithm, first)
        new = State(kind=KIND, key=_name(number), owner=OWNER, expires_at=_NEVER, document=empty())
        await self._states.add([new])  # of several nodes, one makes it
        if first:
            before = (KIND, _name(number - SPREAD))
            full = (await self._states.read([before])).get(before)
            if full is not None and full.expires_at == _NEVER:
                ends = self._clock.now() + HELD + self._longest + 86_400_000
                await self._states.replace(replace(full, expires_at=ends))


class StatusLists:
    """What the lists say."""

    def __init__(self, states: States) -> None:
        self._states = states

    async def kept(self, number: int) -> tuple[int, bytes] | None:
        """A version, and the compressed list; None where there is none of that number (any more)."""
        state = await self._state(number)
        return None if state is None else (state.version, state.document)

    async def numbers(self) -> Sequence[int]:
        """Every list that there is."""
        return [int.from_bytes(state.key, "big") for state in await self._states.owned(KIND, OWNER, 1_000)]

    async def invalidate(self, number: int, indices: Collection[int]) -> None:
        """Tokens of one list are good no more; see `with_invalid`.

        Raises `UNAVAILABLE` where others are always first.
        """
        for _ in range(_ATTEMPTS):
            state = await self._state(number)
            if state is None:
                return
            changed = await asyncio.to_thread(with_invalid, state.document, indices)
            if changed == state.document or await self._states.replace(replace(state, document=changed)):
                return
        raise MintwardenError(ErrorKind.UNAVAILABLE, "a status list keeps changing", hint="try again")

    async def _state(self, number: int) -> State | None:
        name = (KIND, _name(number))
        return (await self._states.read([name])).get(name)


def algorithm_of(number: int) -> str | None:
    """What a list is signed with; None for a number that no list can have."""
    kind = number % SPREAD
    return ALGORITHMS[kind] if kind < len(ALGORITHMS) else None


def _number(algorithm: str, first: int) -> int:
    return first // SIZE * SPREAD + ALGORITHMS.index(algorithm)


def _name(number: int) -> bytes:
    return number.to_bytes(8, "big")

"""The life of a key: next, active, retiring, gone.

    next      published, signs nothing yet
    active    signs
    retiring  signs nothing any more, stays published until the last token that it signed has ended
    gone      its private half is deleted; tokens that bear it are refused

INVARIANT: a key signs only after it was published for `publish_before`, and is published until every token that it
signed has ended. So no verifier that keeps our key set as long as we say ever refuses a good token. Revoking is the
exception, and the point of it.

Every change is a compare-and-swap in the store, so that of several nodes one makes it; the lease only spares the
others the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from mintwarden.mint.generate import CHECKPOINT_ALGORITHM, generate
from mintwarden.mint.ports import KeyState, KeyStore, Lease, MasterKey, StoredKey
from mintwarden.model.errors import ErrorKind, MintwardenError

REFRESH_SLACK = 300_000
"""Milliseconds that a node may take to see a change, and clocks may differ."""

LEASE_SECONDS = 30.0
LEASE_NAME = "key-rotation"

Purpose = Literal["access_token", "checkpoint"]
Reason = Literal["needed", "scheduled", "requested", "outlived", "revoked", "unused", "recovered"]
"""Why; `recovered` when a process died between the change and its entry, and the reason with it."""


class Rhythm(Struct, frozen=True, kw_only=True):
    """When keys move on, in milliseconds.

    Attributes:
        rotation_interval: how long a key stays active.
        publish_before: how long a key is published before it signs.
        longest_token: the longest life of any token.
    """

    rotation_interval: int
    publish_before: int
    longest_token: int

    @property
    def key_set_max_age(self) -> int:
        """Seconds that a verifier may keep the key set: well before the next key signs, and an hour at most."""
        return min(3600, self.publish_before // 2000)


class KeyChange(Struct, frozen=True):
    """Something that happened to a key; the ledger keeps it. `state` is the one it has now."""

    kid: str
    purpose: Purpose
    algorithm: str
    state: KeyState
    at: int
    reason: Reason


class KeyKeeper:
    """Makes, rotates and revokes keys through the store. Rings learn of it by the epoch."""

    def __init__(
        self,
        *,
        store: KeyStore,
        master: MasterKey,
        lease: Lease,
        holder: str,
        algorithms: Sequence[str],
        rhythm: Rhythm,
    ) -> None:
        self._store = store
        self._master = master
        self._lease = lease
        self._holder = holder
        self._algorithms = tuple(dict.fromkeys(algorithms))
        self._rhythm = rhythm

    async def tick(self, now: int, *, elected: bool = True) -> Sequence[KeyChange]:
        """Do what is due: at start, every minute, and after a bundle brought a new algorithm. Usually nothing.

        Only when elected, unless told otherwise: nothing happens twice without the election either.
        """
        if elected and not await self._lease.acquire(LEASE_NAME, self._holder, LEASE_SECONDS):
            return []
        changes = await self._ensure("checkpoint", CHECKPOINT_ALGORITHM, now)
        for algorithm in self._algorithms:
            changes += await self._ensure("access_token", algorithm, now)
            changes += await self._rotate_when_due(algorithm, now)
        changes += await self._retire_unused(now)
        changes += await self._drop_outlived(now)
        return changes

    async def rotate(self, algorithm: str, now: int, *, at_once: bool = False) -> Sequence[KeyChange]:
        """Let the next key take over now.

        Raises `CONFLICT` when it has not been published for long enough, unless `at_once`: then verifiers that keep
        an old key set may refuse new tokens until they fetch it again; and `NOT_FOUND` for an algorithm that nobody
        uses. `Ed25519` names the ledger's checkpoint key.
        """
        if algorithm == CHECKPOINT_ALGORITHM:
            return await self._rotate_checkpoint(now)
        if algorithm not in self._algorithms:
            used = ", ".join(self._algorithms)
            raise MintwardenError(ErrorKind.NOT_FOUND, f"no audience uses `{algorithm}`", hint=f"in use: {used}")
        changes = await self._ensure("access_token", algorithm, now)
        keys = await self._keys("access_token", algorithm)
        active, following = _one(keys, "active"), _one(keys, "next")
        wait = following.created_at + self._rhythm.publish_before - now if following is not None else 0
        if wait > 0 and not at_once:
            raise MintwardenError(
                ErrorKind.CONFLICT,
                f"the next key for `{algorithm}` must stay published for another {_spelled(wait)}",
                hint="wait, or give `--at-once`: verifiers may refuse new tokens until they fetch the key set again",
            )
        promoted = await self._promote(active, following, now, "requested")
        if not promoted:
            raise _raced()
        return [*changes, *promoted, *await self._ensure("access_token", algorithm, now)]

    async def revoke(self, kid: str, now: int) -> Sequence[KeyChange]:
        """Make a key gone at once: every token that it signed is refused from now on. Another takes over if need be.

        Raises `NOT_FOUND` for an unknown key and `CONFLICT` for one that is already gone or signs the ledger.
        """
        key = next((key for key in await self._store.keys() if key.kid == kid), None)
        if key is None:
            raise MintwardenError(ErrorKind.NOT_FOUND, f"there is no key `{kid}`", hint="see `mintwarden keys list`")
        if key.purpose == "checkpoint":
            raise MintwardenError(
                ErrorKind.CONFLICT,
                "the ledger's key cannot be revoked, for its old checkpoints would not verify any more",
                hint="`mintwarden keys rotate Ed25519` gives the ledger a new one",
            )
        if key.state == "gone" or not await self._store.move(kid, key.state, "gone", now):
            raise MintwardenError(ErrorKind.CONFLICT, f"the key `{kid}` is gone already, or has just changed")
        return [_change(key, "gone", now, "revoked"), *await self._ensure(key.purpose, key.algorithm, now)]

    async def _ensure(self, purpose: Purpose, algorithm: str, now: int) -> list[KeyChange]:
        """An active key and, for tokens, a published next one."""
        keys = await self._keys(purpose, algorithm)
        following = _one(keys, "next")
        changes = []
        if _one(keys, "active") is None:
            if following is None:
                changes += await self._add(purpose, algorithm, "active", now)
            elif await self._store.move(following.kid, "next", "active", now):
                changes.append(_change(following, "active", now, "needed"))
                following = None
        if following is None and purpose == "access_token":
            changes += await self._add(purpose, algorithm, "next", now)
        return changes

    async def _add(self, purpose: Purpose, algorithm: str, state: KeyState, now: int) -> list[KeyChange]:
        key = await asyncio.to_thread(
            generate, purpose=purpose, algorithm=algorithm, state=state, now=now, master=self._master
        )
        return [_change(key, state, now, "needed")] if await self._store.add(key) else []

    async def _rotate_when_due(self, algorithm: str, now: int) -> list[KeyChange]:
        keys = await self._keys("access_token", algorithm)
        active, following = _one(keys, "active"), _one(keys, "next")
        if active is None or following is None:
            return []
        signed_for = now - (active.activated_at or active.created_at)
        published_for = now - following.created_at
        if signed_for < self._rhythm.rotation_interval or published_for < self._rhythm.publish_before:
            return []
        promoted = await self._promote(active, following, now, "scheduled")
        return [*promoted, *await self._ensure("access_token", algorithm, now)]

    async def _promote(
        self, active: StoredKey | None, following: StoredKey | None, now: int, reason: Reason
    ) -> list[KeyChange]:
        """Retire the active key, activate the next. Whoever loses the first swap leaves the rest to the winner.

        INVARIANT: these are the very keys that were found to be due: had they been read again here, a node that comes
        second would rotate what the first has just put in place.
        """
        if active is None or following is None or not await self._store.move(active.kid, "active", "retiring", now):
            return []
        changes = [_change(active, "retiring", now, reason)]
        if await self._store.move(following.kid, "next", "active", now):
            changes.append(_change(following, "active", now, reason))
        return changes

    async def _rotate_checkpoint(self, now: int) -> list[KeyChange]:
        active = _one(await self._keys("checkpoint", CHECKPOINT_ALGORITHM), "active")
        changes = []
        if active is not None:
            if not await self._store.move(active.kid, "active", "retiring", now):
                raise _raced()
            changes.append(_change(active, "retiring", now, "requested"))
        return changes + await self._ensure("checkpoint", CHECKPOINT_ALGORITHM, now)

    async def _retire_unused(self, now: int) -> list[KeyChange]:
        """Keys of algorithms that no audience uses any more."""
        moves: dict[KeyState, KeyState] = {"active": "retiring", "next": "gone"}
        changes = []
        for key in await self._store.keys():
            new = moves.get(key.state)
            if new is None or key.purpose != "access_token" or key.algorithm in self._algorithms:
                continue
            if await self._store.move(key.kid, key.state, new, now):
                changes.append(_change(key, new, now, "unused"))
        return changes

    async def _drop_outlived(self, now: int) -> list[KeyChange]:
        kept_for = self._rhythm.longest_token + REFRESH_SLACK
        changes = []
        for key in await self._store.keys():
            if key.purpose != "access_token" or key.state != "retiring" or key.retired_at is None:
                continue
            if now - key.retired_at >= kept_for and await self._store.move(key.kid, "retiring", "gone", now):
                changes.append(_change(key, "gone", now, "outlived"))
        return changes

    async def _keys(self, purpose: Purpose, algorithm: str) -> list[StoredKey]:
        return [key for key in await self._store.keys() if (key.purpose, key.algorithm) == (purpose, algorithm)]


def _one(keys: Sequence[StoredKey], state: KeyState) -> StoredKey | None:
    return next((key for key in keys if key.state == state), None)


def _change(key: StoredKey, state: KeyState, at: int, reason: Reason) -> KeyChange:
    return KeyChange(key.kid, key.purpose, key.algorithm, state, at, reason)


def _raced() -> MintwardenError:
    return MintwardenError(ErrorKind.CONFLICT, "another node is rotating the keys", hint="see `mintwarden keys list`")


def _spelled(millis: int) -> str:
    """How long somebody has to wait, in whole hours, minutes or seconds, never less than it is."""
    for unit, size in (("h", 3_600_000), ("m", 60_000)):
        if millis >= 2 * size:
            return f"{-(-millis // size)}{unit}"
    return f"{-(-millis // 1000)}s"

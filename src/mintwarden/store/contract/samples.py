"""Values for the suite: each call's number makes them different from every other call's."""

# ruff: noqa: S101

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

from mintwarden.ledger.ports import Appended, EntryReader, PendingEntry, TreeStore
from mintwarden.model.caller import OnceKey
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import decision_id
from mintwarden.store.store import Store

MakeStore = Callable[[], Awaitable[Store]]

NOW = 1_795_000_000_000


def pending(
    number: int,
    *,
    entity: str = "",
    key_id: int = 0,
    new_salt: bytes = b"",
    once: tuple[OnceKey, ...] = (),
    size: int = 40,
) -> PendingEntry:
    """An entry of its own for each number."""
    entry = b'{"n":%d,"x":"%s"}' % (number, b"x" * size)
    return PendingEntry(
        decision_id=decision_id(NOW + number, hashlib.sha256(b"%d" % number).digest()),
        leaf_hash=hashlib.sha256(b"\0" + entry).digest(),
        entry=entry,
        sealed=b"sealed %d" % number if entity else None,
        entity=entity,
        key_id=key_id,
        new_salt=new_salt,
        once=once,
    )


def once(number: int, expires_at: int = NOW + 300_000) -> OnceKey:
    """A single-use proof."""
    return OnceKey(hashlib.sha256(b"once %d" % number).digest()[:16], expires_at)


def salt(number: int) -> bytes:
    """A sealing key's random half."""
    return hashlib.sha256(b"salt %d" % number).digest()


def positions(outcomes: object) -> list[int]:
    """The positions, when everything was appended."""
    assert isinstance(outcomes, list | tuple), outcomes
    assert all(isinstance(outcome, Appended) for outcome in outcomes), outcomes
    return [outcome.position for outcome in outcomes]


async def sequenced(tree: TreeStore, entries: EntryReader) -> list[bytes]:
    """Leaf hashes of everything, in order, once nothing waits any more."""
    while await tree.sequence(1000):
        pass
    return list(await entries.leaf_hashes(0, 1_000_000))


async def refusal(call: Awaitable[object]) -> ErrorKind | None:
    """The kind of error that `call` ends with, or None."""
    try:
        await call
    except MintwardenError as error:
        return error.kind
    return None

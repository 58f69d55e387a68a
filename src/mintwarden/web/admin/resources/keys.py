"""Signing keys, and the ledger's: listed, rotated, revoked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Literal, Protocol

from msgspec import Meta, Struct

from mintwarden.mint.ports import StoredKey
from mintwarden.mint.rotate import KeyChange
from mintwarden.model.values import EntityUid
from mintwarden.web.admin.operation import Answer, Call, Operation, Paged, Strict
from mintwarden.web.admin.paged import page_of
from mintwarden.web.admin.times import Time, shown, told

READ, MANAGE = "mintwarden:keys.read", "mintwarden:keys.manage"
KeyName = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]
Algorithm = Literal["ES256", "ES384", "PS256", "EdDSA", "RS256", "Ed25519"]


class KeyTold(Struct, frozen=True, kw_only=True):
    """A key; `Ed25519` is the ledger's."""

    kid: str
    algorithm: str
    purpose: str
    state: str
    created_at: Time
    activated_at: Time | None
    retired_at: Time | None


class KeyPage(Struct, frozen=True, kw_only=True):
    """Some of the keys that are not long gone, oldest first; `cursor` is where to go on, empty at the end."""

    keys: tuple[KeyTold, ...]
    cursor: str


class KeyRotation(Strict, frozen=True, kw_only=True):
    """Let the next key take over now; with `at_once` even if it was not published for long enough."""

    algorithm: Algorithm
    at_once: bool = False


class KeyChanged(Struct, frozen=True, kw_only=True):
    """What happened to a key."""

    kid: str
    algorithm: str
    state: str
    reason: str


class KeyChanges(Struct, frozen=True):
    """What happened to keys."""

    changes: tuple[KeyChanged, ...]


class Keeper(Protocol):
    """Changes keys; each change stands in the ledger in the actor's name."""

    async def rotate(self, algorithm: str, *, at_once: bool, actor: EntityUid) -> Sequence[KeyChange]: ...

    async def revoke(self, kid: str, *, actor: EntityUid) -> Sequence[KeyChange]: ...


class Keys:
    """Listing and changing."""

    def __init__(self, *, keys: Callable[[], Awaitable[Sequence[StoredKey]]], keeper: Keeper) -> None:
        self._keys = keys
        self._keeper = keeper

    async def list_keys(self, call: Call) -> Answer:
        """Keys, oldest first."""
        listed, cursor = page_of(call, await self._keys(), lambda key: f"{key.created_at:015} {key.kid}")
        return Answer(
            content=KeyPage(
                keys=tuple(
                    KeyTold(
                        kid=key.kid,
                        algorithm=key.algorithm,
                        purpose=key.purpose,
                        state=key.state,
                        created_at=shown(key.created_at),
                        activated_at=told(key.activated_at),
                        retired_at=told(key.retired_at),
                    )
                    for key in listed
                ),
                cursor=cursor,
            )
        )

    async def rotate(self, call: Call) -> Answer:
        """The next key takes over."""
        changes = await self._keeper.rotate(call.body.algorithm, at_once=call.body.at_once, actor=call.who.principal)
        return Answer(content=_changed(changes))

    async def revoke(self, call: Call) -> Answer:
        """The key is gone at once."""
        return Answer(content=_changed(await self._keeper.revoke(call.path["kid"], actor=call.who.principal)))


def _changed(changes: Sequence[KeyChange]) -> KeyChanges:
    return KeyChanges(
        tuple(KeyChanged(kid=c.kid, algorithm=c.algorithm, state=c.state, reason=c.reason) for c in changes)
    )


LIST = Operation(
    id="keys.list",
    method="GET",
    path="/keys",
    summary="List signing keys, and the ledger's",
    scopes=(READ, MANAGE),
    of=Keys,
    handler=Keys.list_keys,
    query=Paged,
    answer=KeyPage,
)
ROTATE = Operation(
    id="keys.rotate",
    method="POST",
    path="/keys/rotations",
    summary="Let the next key take over",
    scopes=(MANAGE,),
    of=Keys,
    handler=Keys.rotate,
    body=KeyRotation,
    answer=KeyChanges,
    problems=("conflict", "not_found"),
)
REVOKE = Operation(
    id="keys.revoke",
    method="POST",
    path="/keys/{kid}/revocation",
    summary="Make a key gone at once, with every token that it signed",
    scopes=(MANAGE,),
    of=Keys,
    handler=Keys.revoke,
    parameters={"kid": KeyName},
    answer=KeyChanges,
    target="kid",
    problems=("conflict",),
)

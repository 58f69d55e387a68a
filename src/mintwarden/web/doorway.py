"""What stands before every endpoint whose callers show an access token of ours: who may come in, and what they send."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from mintwarden.model.caller import Evidence, OnceKey
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.admin.access import Access, Showing
from mintwarden.web.admit import Gate
from mintwarden.web.observe import Observer
from mintwarden.web.peer import PeerReader
from mintwarden.web.reply import Scope

JSON_TYPE = b"application/json"


class Doorway(Protocol):
    """Who may come in, under what governs now."""

    @property
    def access(self) -> Access: ...

    async def is_revoked(self, who: Evidence) -> bool: ...

    async def claim(self, once: Sequence[OnceKey]) -> bool: ...


Door_co = TypeVar("Door_co", bound=Doorway, covariant=True)


class Frame(Struct, Generic[Door_co], frozen=True, kw_only=True):
    """What every endpoint needs.

    Attributes:
        doorway: brings what is held in memory up to date, and gives what governs then; raises `NOT_FOUND` where nobody
            is let in.
    """

    doorway: Callable[[], Awaitable[Door_co]]
    gate: Gate
    showing: Showing
    peer: PeerReader
    observer: Observer
    references: Callable[[], str]
    monotonic: Callable[[], float]
    max_body: int


def nobody_waits(_who: Evidence) -> None:
    """Where callers are held to no rate."""


async def believed(
    doorway: Doorway, showing: Showing, scope: Scope, *, in_time: Callable[[Evidence], None] = nobody_waits
) -> Evidence:
    """Who shows a good access token; proofs that count once are claimed last.

    `in_time` raises for who calls too often. Raises `INVALID_TOKEN` for a token that is not good, or is no more.
    """
    who, once = doorway.access.verify(showing.of(scope))
    if await doorway.is_revoked(who):
        raise MintwardenError(ErrorKind.INVALID_TOKEN, "the access token was revoked", authenticate=True)
    in_time(who)
    if once and not await doorway.claim(once):
        raise doorway.access.again()
    return who


def require_json(scope: Scope) -> None:
    """Raises `INVALID_REQUEST` for a body that is not JSON by its own account."""
    types = [value for name, value in scope["headers"] if name == b"content-type"]
    kind = types[0].partition(b";")[0].strip().lower() if len(types) == 1 else b""
    if kind != JSON_TYPE:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "the body is not `application/json`")
    if any(name == b"content-encoding" for name, _ in scope["headers"]):
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "an encoded body is not taken")

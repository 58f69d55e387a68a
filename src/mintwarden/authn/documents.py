"""Clients that describe themselves: their documents, fetched, kept while they are fresh, and made into clients.

INVARIANT: only a good document is kept. What could not be fetched or read is forgotten, and asked for again within the
limits of `Throttle`, which alone stand between whoever names a client and the host in that name.
"""

from __future__ import annotations

import asyncio
import functools
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

from msgspec.structs import replace

from mintwarden.authn.freshness import lifetime
from mintwarden.authn.jose import (
    PRIVATE,
    JoseError,
    Unverified,
    VerificationKey,
    decode_json,
    fitting_keys,
    load_key_set,
)
from mintwarden.authn.ports import CacheFiller
from mintwarden.authn.registry import KnownClient, known_client
from mintwarden.model.catalogue import Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.metadata import ClientMetadata

SIZE_LIMIT: Final = 5 * 1024
"""Of a document about a client, in bytes."""
KEYS_LIMIT: Final = 16 * 1024
"""Of a client's key set, in bytes."""
KEPT: Final = 2_000
"""Documents, and key sets."""
WAITING: Final = 32
"""Requests that may wait for documents, and for key sets."""
FLOOR: Final = 30_000
"""Least age of a key set, in milliseconds, before an assertion by an unknown key has it fetched again."""

T = TypeVar("T")
Read = Callable[[str, Mapping[str, Any]], ClientMetadata]
"""A client's id and the document there to what it says; raises `MintwardenError` for one that is not good."""


class Throttle:
    """How often hosts are asked: in each minute, so many times the same one, and so many times all of them."""

    def __init__(self, *, each: int = 20, together: int = 300, hosts: int = 5_000) -> None:
        self._each = each
        self._together = together
        self._hosts = hosts
        self._minute = -1
        self._asked: dict[str, int] = {}
        self._sum = 0

    def spend(self, host: str, now: int) -> None:
        """Take note of one more. Raises `OVERLOADED` where it is one too many."""
        if now // 60_000 != self._minute:
            self._minute, self._asked, self._sum = now // 60_000, {}, 0
        count = self._asked.get(host, 0)
        if count >= self._each or self._sum >= self._together or len(self._asked) >= self._hosts:
            raise MintwardenError(
                ErrorKind.OVERLOADED, "documents about clients are asked for too often", hint=f"at host `{host}`"
            )
        self._asked[host] = count + 1
        self._sum += 1


class _Cache(Generic[T]):
    """Values by URL, while they are fresh; one fetch at a time for each, and the least used forgotten first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[int, int, T]] = OrderedDict()
        self._fetching: dict[str, asyncio.Task[T]] = {}
        self._waiting = 0

    def get(self, url: str, now: int) -> tuple[int, T] | None:
        """When it was fetched, and the value."""
        kept = self._kept.get(url)
        if kept is None or not kept[0] <= now < kept[1]:
            return None
        self._kept.move_to_end(url)
        return kept[0], kept[2]

    async def fill(self, url: str, now: int, fetch: Callable[[], Awaitable[tuple[int, T]]]) -> T:
        """The value fetched anew, together with everybody who waits for it."""
        # INVARIANT: a host that lets us wait holds a few requests, and never all that may be worked on.
        if self._waiting >= WAITING:
            raise MintwardenError(ErrorKind.OVERLOADED, "too many requests wait for documents about clients")
        task = self._fetching.get(url)
        if task is None:
            task = self._fetching[url] = asyncio.create_task(self._fill(url, now, fetch))
            task.add_done_callback(functools.partial(self._done, url))
        self._waiting += 1
        try:
            # Whoever gives up waiting does not take the others' answer away.
            return await asyncio.shield(task)
        finally:
            self._waiting -= 1

    def _done(self, url: str, task: asyncio.Task[T]) -> None:
        self._fetching.pop(url, None)
        if not task.cancelled():
            task.exception()  # whoever waits gets it; it is nobody's surprise when nobody does

    async def close(self) -> None:
        """Let no fetch go on."""
        tasks = tuple(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fill(self, url: str, now: int, fetch: Callable[[], Awaitable[tuple[int, T]]]) -> T:
        self._kept.pop(url, None)
        fresh, value = await fetch()
        if fresh:
            self._kept[url] = (now, now + fresh, value)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return value


class Documents:
    """Documents and key sets of clients that describe themselves. It knows nothing of bundles, and outlives them."""

    def __init__(self, *, fetcher: CacheFiller, read: Read, throttle: Throttle | None = None) -> None:
        self._fetcher = fetcher
        self._read = read
        self._throttle = throttle or Throttle()
        self._documents: _Cache[ClientMetadata] = _Cache()
        self._keys: _Cache[tuple[VerificationKey, ...]] = _Cache()

    async def document(self, url: str, now: int) -> ClientMetadata:
        """What the document at `url` says. Raises `MintwardenError`: `SOURCE`, or `OVERLOADED`."""
        kept = self._documents.get(url, now)
        return kept[1] if kept is not None else await self._documents.fill(url, now, lambda: self._described(url, now))

    async def keys(self, url: str, now: int, token: Unverified) -> tuple[VerificationKey, ...]:
        """The key set at `url`; fetched anew where none that is kept could have signed `token`, and it is not new."""
        kept = self._keys.get(url, now)
        if kept is not None and (now - kept[0] < FLOOR or fitting_keys(token, kept[1])):
            return kept[1]
        return await self._keys.fill(url, now, lambda: self._key_set(url, now))

    async def close(self) -> None:
        """Let no fetch go on."""
        await self._documents.close()
        await self._keys.close()

    async def _described(self, url: str, now: int) -> tuple[int, ClientMetadata]:
        body, fresh = await self._get(url, now, SIZE_LIMIT)
        try:
            return fresh, self._read(url, decode_json(body))
        except (JoseError, MintwardenError) as error:
            raise _unusable(f"`{url}`: {error}") from None

    async def _key_set(self, url: str, now: int) -> tuple[int, tuple[VerificationKey, ...]]:
        body, fresh = await self._get(url, now, KEYS_LIMIT)
        try:
            return fresh, _public(decode_json(body))
        except JoseError as error:
            raise _unusable(f"`{url}`: {error}") from None

    async def _get(self, url: str, now: int, limit: int) -> tuple[bytes, int]:
        self._throttle.spend(urlsplit(url).hostname or "", now)
        answer = await self._fetcher.get(url, limit)
        return answer.body, lifetime(answer.headers)


class DescribedClients:
    """The clients that describe themselves, as one bundle version admits them.

    `unfit` says why nothing is fetched for an id, or nothing; `admit` makes the client of what was fetched, and raises
    `MintwardenError` where the bundle does not let it be.
    """

    def __init__(
        self,
        documents: Documents,
        *,
        unfit: Callable[[str], str],
        admit: Callable[[str, ClientMetadata], Client],
    ) -> None:
        self._documents = documents
        self._unfit = unfit
        self._admit = admit
        self._made: dict[str, tuple[object, object, KnownClient]] = {}

    async def find(self, client_id: str, now: int, token: Unverified | None = None) -> KnownClient:
        """The client of that id. `token` is what it wants to be known by, where it signs with keys of its own.

        Raises `MintwardenError`: `INVALID_CLIENT` for every client that is not to be had, `OVERLOADED`.
        """
        reason = self._unfit(client_id)
        if reason:
            raise _unknown(reason)
        try:
            said = await self._documents.document(client_id, now)
            keys: tuple[VerificationKey, ...] = ()
            if said.jwks_uri and token is not None:
                keys = await self._documents.keys(said.jwks_uri, now, token)
        except MintwardenError as error:
            if error.kind is ErrorKind.OVERLOADED:
                raise
            raise _unknown(f"{error.public}: {error.hint}") from None
        made = self._made.get(client_id)
        if made is not None and made[0] is said and made[1] is keys:
            return made[2]
        try:
            client = self._admit(client_id, said)
        except MintwardenError as error:
            raise _unknown(error.public) from None
        if len(self._made) >= KEPT:
            self._made.clear()
        known = replace(known_client(replace(client, jwks=())), registered=True)
        known = replace(known, keys=keys if said.jwks_uri else load_key_set({"keys": list(said.jwks)}))
        self._made[client_id] = (said, keys, known)
        return known


def _public(jwks: Mapping[str, Any]) -> tuple[VerificationKey, ...]:
    """The usable keys of a set; a set that gives away a private key is no good at all."""
    keys = load_key_set(jwks)
    if any(isinstance(key, dict) and not PRIVATE.isdisjoint(key) for key in jwks["keys"]):
        raise JoseError("the key set holds a private key")
    return keys


def _unusable(hint: str) -> MintwardenError:
    return MintwardenError(ErrorKind.SOURCE, "the document about the client is not good", hint=hint)


def _unknown(hint: str) -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_CLIENT, "client authentication failed", hint=hint)

"""Clients that describe themselves: their documents, fetched, kept while they are fresh, and made into clients.

INVARIANT: only a good document is kept, and nobody is answered by one that was not good. What could not be fetched or
read is asked for again, after a pause and within the limits of `Throttle`, which alone stand between whoever names a
client and the host in that name. What is kept is kept from nobody: those limits are not for it.
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
from mintwarden.authn.throttle import OURSELVES, Throttle, Waiting
from mintwarden.model.catalogue import Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.metadata import ClientMetadata

SIZE_LIMIT: Final = 5 * 1024
"""Of a document about a client, in bytes."""
KEYS_LIMIT: Final = 16 * 1024
"""Of a client's key set, in bytes."""
KEPT: Final = 2_000
"""Documents, and key sets; and of each, those that were no good."""
PAUSE: Final = 10_000
"""Milliseconds for which what was no good is not asked for again: whoever comes meanwhile is told to come back."""
FLOOR: Final = 30_000
"""Least age of a key set, in milliseconds, before an assertion by an unknown key has it fetched again."""

T = TypeVar("T")
Read = Callable[[str, Mapping[str, Any]], ClientMetadata]
"""A client's id and the document there to what it says; raises `MintwardenError` for one that is not good."""


class _Cache(Generic[T]):
    """Values by URL, while they are fresh; one fetch at a time for each, and the least used forgotten first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[int, int, T]] = OrderedDict()
        self._fetching: dict[str, asyncio.Task[T]] = {}
        self._waiting = Waiting()
        self._no_good: OrderedDict[str, int] = OrderedDict()

    def get(self, url: str, now: int) -> tuple[int, T] | None:
        """When it was fetched, and the value."""
        kept = self._kept.get(url)
        if kept is None or not kept[0] <= now < kept[1]:
            return None
        self._kept.move_to_end(url)
        return kept[0], kept[2]

    async def fill(self, url: str, now: int, asker: str, fetch: Callable[[], Awaitable[tuple[int, T]]]) -> T:
        """The value fetched anew, together with everybody who waits for it."""
        # INVARIANT: a host that lets us wait holds a few requests, and never all that may be worked on.
        with self._waiting.one(_host(url), asker):
            task = self._fetching.get(url)
            if task is None:
                failed = self._no_good.get(url)
                if failed is not None and failed <= now < failed + PAUSE:
                    raise MintwardenError(ErrorKind.OVERLOADED, "the document about the client was no good just now")
                task = self._fetching[url] = asyncio.create_task(self._fill(url, now, fetch))
                task.add_done_callback(functools.partial(self._done, url))
            # Whoever gives up waiting does not take the others' answer away.
            return await asyncio.shield(task)

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
        self._no_good.pop(url, None)
        try:
            fresh, value = await fetch()
        except MintwardenError as error:
            if error.kind is ErrorKind.SOURCE:
                self._no_good[url] = now
                while len(self._no_good) > KEPT:
                    self._no_good.popitem(last=False)
            raise
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

    async def document(self, url: str, now: int, asker: str = OURSELVES) -> ClientMetadata:
        """What the document at `url` says. Raises `MintwardenError`: `SOURCE`, or `OVERLOADED`.

        `asker` is the address that the client was named from.
        """
        kept = self._documents.get(url, now)
        if kept is not None:
            return kept[1]
        return await self._documents.fill(url, now, asker, lambda: self._described(url, now, asker))

    async def keys(self, url: str, now: int, token: Unverified, asker: str = OURSELVES) -> tuple[VerificationKey, ...]:
        """The key set at `url`; fetched anew where none that is kept could have signed `token`, and it is not new."""
        kept = self._keys.get(url, now)
        if kept is not None and (now - kept[0] < FLOOR or fitting_keys(token, kept[1])):
            return kept[1]
        return await self._keys.fill(url, now, asker, lambda: self._key_set(url, now, asker))

    async def close(self) -> None:
        """Let no fetch go on."""
        await self._documents.close()
        await self._keys.close()

    async def _described(self, url: str, now: int, asker: str) -> tuple[int, ClientMetadata]:
        body, fresh = await self._get(url, now, SIZE_LIMIT, asker)
        try:
            return fresh, self._read(url, decode_json(body))
        except (JoseError, MintwardenError) as error:
            raise _unusable(f"`{url}`: {error}") from None

    async def _key_set(self, url: str, now: int, asker: str) -> tuple[int, tuple[VerificationKey, ...]]:
        body, fresh = await self._get(url, now, KEYS_LIMIT, asker)
        try:
            return fresh, _public(decode_json(body))
        except JoseError as error:
            raise _unusable(f"`{url}`: {error}") from None

    async def _get(self, url: str, now: int, limit: int, asker: str) -> tuple[bytes, int]:
        self._throttle.spend(_host(url), asker, now)
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

    async def find(
        self, client_id: str, now: int, token: Unverified | None = None, asker: str = OURSELVES
    ) -> KnownClient:
        """The client of that id. `token` is what it wants to be known by, where it signs with keys of its own.

        `asker` is the address that it is named from, or empty where it is for something that was begun before.
        Raises `MintwardenError`: `INVALID_CLIENT` for every client that is not to be had, `OVERLOADED`.
        """
        reason = self._unfit(client_id)
        if reason:
            raise _unknown(reason)
        try:
            said = await self._documents.document(client_id, now, asker)
            keys: tuple[VerificationKey, ...] = ()
            if said.jwks_uri and token is not None:
                keys = await self._documents.keys(said.jwks_uri, now, token, asker)
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


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


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

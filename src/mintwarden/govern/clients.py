"""Clients beside the bundle: their secrets and keys, and those that were registered rather than written down.

INVARIANT: what the bundle says of a client is the bundle's alone: here its secrets are made and its keys replaced, and
nothing else of it changes. A registered client is bounded by the bundle's `[registration]`, at every decision anew.
INVARIANT: each act is in the ledger before it is done; whoever is outrun by another leaves an entry and no deed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from mintwarden.authn.ports import ClientLookup, ClientRecord, ClientSecret, Credentials, CredentialWriter
from mintwarden.authn.secrets import generate_secret, hash_secret
from mintwarden.govern.scribe import Scribe
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.clock import Clock
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid

SECRET_METHODS = frozenset({"client_secret_basic", "client_secret_post"})
KEY_METHODS = frozenset({"private_key_jwt", "self_signed_tls_client_auth"})
MOST_SECRETS = 8
"""Secrets of one client that are good at the same time."""


class Managed(MintwardenError):
    """The bundle manages the client: it is changed there."""

    def __init__(self) -> None:
        super().__init__(ErrorKind.CONFLICT, "the bundle manages this client", hint="change its file in the bundle")


class Outrun(MintwardenError):
    """It has changed since it was looked at."""

    def __init__(self) -> None:
        super().__init__(ErrorKind.CONFLICT, "the client has changed since you looked", hint="look again")


class Kept(Struct, frozen=True, kw_only=True):
    """A client as it stands.

    Attributes:
        client: what the bundle or its registration says, with the keys that stand.
        managed_by: where it is written down.
        secrets: those that have not ended.
        version: of what is kept beside the bundle, from 1; 0 for nothing.
    """

    client: Client
    managed_by: Literal["bundle", "registration"]
    secrets: tuple[ClientSecret, ...]
    retired_at: int | None
    version: int


class ClientOffice:
    """Looks after clients. `catalogue` is that of the bundle that governs."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        reader: ClientLookup,
        writer: CredentialWriter,
        scribe: Scribe,
        clock: Clock,
        pepper: bytes,
        random_bytes: Callable[[int], bytes],
        refuses: Callable[[Client], str],
        check_keys: Callable[[Sequence[Mapping[str, Any]]], None],
    ) -> None:
        """`refuses` says why a client may not be registered, or nothing; `check_keys` raises for unfit public keys."""
        self._catalogue = catalogue
        self._reader = reader
        self._writer = writer
        self._scribe = scribe
        self._clock = clock
        self._pepper = pepper
        self._random_bytes = random_bytes
        self._refuses = refuses
        self._check_keys = check_keys

    async def page(self, limit: int, after: str = "") -> tuple[Sequence[Kept], str]:
        """Up to `limit` clients by id, the retired included: the first behind the id `after`.

        The second is behind which id there are more, empty at the end. Those of the bundle are in memory; of those that
        were registered it reads what it answers, however many there are.
        """
        bundled = self._catalogue.clients
        registered = await self._reader.registered(limit + 1, after)
        names = sorted({*registered, *(name for name in bundled if name > after)})
        found = await self._reader.of(names[:limit])
        # Whoever deleted itself meanwhile is there no more.
        listed = [self._kept(name, found) for name in names[:limit] if name in bundled or name in found.clients]
        return listed, names[limit - 1] if len(names) > limit else ""

    async def one(self, client_id: str) -> Kept:
        """The client; raises `NOT_FOUND`."""
        return self._kept(client_id, await self._reader.of([client_id]))

    def reach(self, client: Client, audience: str) -> tuple[str, ...]:
        """The scopes of an audience that a client may ever have."""
        declared = self._catalogue.audiences.get(audience)
        ceiling = client.ceilings.get(audience, ())
        if declared is not None and "*" in ceiling:
            return tuple(declared.scopes)
        return tuple(ceiling)

    async def rotate_secret(
        self, client_id: str, *, version: int, overlap: int, actor: EntityUid
    ) -> tuple[Kept, str, int | None]:
        """A new secret, and when the earlier ones end; `overlap` is how long they stay good, in milliseconds.

        `version` is what the caller saw. Raises `NOT_FOUND`, `INVALID_REQUEST` for a client without secrets, `Outrun`.
        """
        kept = await self._standing(client_id, version)
        if not SECRET_METHODS & set(kept.client.methods):
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "the client does not authenticate with a secret")
        now = self._clock.now()
        ends = now + overlap
        good = [one for one in kept.secrets if not (one.expires_at is not None and one.expires_at <= now)]
        if overlap and len(good) >= MOST_SECRETS:
            raise MintwardenError(
                ErrorKind.CONFLICT, f"the client has {len(good)} secrets already", hint="rotate without an overlap"
            )
        made = generate_secret(self._random_bytes)
        await self._write(actor, client_id, "client secret rotated" if good else "client secret made")
        record = await self._swap(kept)
        fresh = ClientSecret(
            client_id=client_id, scheme="hmac-sha256", digest=hash_secret(self._pepper, made), created_at=now
        )
        limited = [_ending(one, ends) for one in good]
        await self._writer.add_secrets([fresh, *limited])
        standing = tuple(one for one in limited if one.expires_at is not None and one.expires_at > now)
        after = msgspec.structs.replace(kept, secrets=(*standing, fresh), version=record.version)
        return after, made, ends if good else None

    async def replace_keys(
        self, client_id: str, keys: Sequence[Mapping[str, Any]], *, version: int, actor: EntityUid
    ) -> Kept:
        """Let `keys` stand instead of the client's public keys. Raises as `rotate_secret`."""
        kept = await self._standing(client_id, version)
        if not KEY_METHODS & set(kept.client.methods):
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "the client does not authenticate with a key")
        if kept.client.single_use:
            # INVARIANT: whoever used the one key does not give itself another.
            raise MintwardenError(ErrorKind.CONFLICT, "the client's key works once", hint="change it in the bundle")
        self._check_keys(keys)
        await self._write(actor, client_id, "client keys replaced", keys=[str(key.get("kid", "")) for key in keys])
        record = await self._swap(kept, keys=msgspec.json.encode(list(keys)))
        client = msgspec.structs.replace(kept.client, jwks=tuple(dict(key) for key in keys))
        return msgspec.structs.replace(kept, client=client, version=record.version)

    async def register(self, client: Client, *, actor: EntityUid) -> tuple[Kept, str]:
        """A new client, and its secret if it authenticates with one.

        Raises `CONFLICT` when there is one of that id, `INVALID_REQUEST` for what the bundle lets nobody register.
        """
        found = await self._reader.of([client.id])
        if client.id in self._catalogue.clients or client.id in found.clients:
            raise MintwardenError(ErrorKind.CONFLICT, "there is a client of that id")
        now = self._clock.now()
        if any(one.expires_at is None or one.expires_at > now for one in found.secrets.get(client.id, ())):
            # INVARIANT: whoever knows a secret of a client that the bundle once had is not the one that is registered.
            raise MintwardenError(ErrorKind.CONFLICT, "secrets of an earlier client of that id are still good")
        reason = self._refuses(client)
        if reason:
            raise MintwardenError(
                ErrorKind.INVALID_REQUEST, reason, hint="see `[registration]` in the bundle's `bundle.toml`"
            )
        if client.jwks:
            self._check_keys(client.jwks)
        await self._write(actor, client.id, "client registered", kind=client.kind, ceilings=dict(client.ceilings))
        record = ClientRecord(client_id=client.id, record=msgspec.json.encode(client), version=1, changed_at=now)
        if not await self._writer.put_client(record):
            raise Outrun
        secret = ""
        secrets: tuple[ClientSecret, ...] = ()
        if SECRET_METHODS & set(client.methods):
            secret = generate_secret(self._random_bytes)
            digest = hash_secret(self._pepper, secret)
            made = ClientSecret(client_id=client.id, scheme="hmac-sha256", digest=digest, created_at=now)
            await self._writer.add_secrets([made])
            secrets = (made,)
        kept = Kept(client=client, managed_by="registration", secrets=secrets, retired_at=None, version=1)
        return kept, secret

    async def change_owner(self, client_id: str, owner: str, *, version: int, actor: EntityUid) -> Kept:
        """Let `owner` answer for a registered client. Raises `Managed`, and as `register`."""
        kept = await self._registered(client_id, version)
        client = msgspec.structs.replace(kept.client, owner=owner)
        reason = self._refuses(client)
        if reason:
            raise MintwardenError(ErrorKind.INVALID_REQUEST, reason)
        await self._write(actor, client_id, "client owner changed")
        record = await self._swap(kept, record=msgspec.json.encode(client))
        return msgspec.structs.replace(kept, client=client, version=record.version)

    async def retire(self, client_id: str, *, version: int, actor: EntityUid) -> Kept:
        """Refuse a registered client from now on, on every node. Raises `Managed`, `Outrun`.

        Its secrets and keys are forgotten: they open nothing either if the bundle has a client of that id one day.
        """
        kept = await self._registered(client_id, version)
        if kept.retired_at is not None:
            raise MintwardenError(ErrorKind.CONFLICT, "the client is retired already")
        await self._scribe.write("revocation", actor, {"client_id": client_id, "change": "client retired"})
        now = self._clock.now()
        record = await self._swap(kept, retired_at=now, keys=None)
        await self._writer.remove_secrets(client_id)
        return msgspec.structs.replace(kept, retired_at=now, version=record.version, secrets=())

    async def _standing(self, client_id: str, version: int) -> Kept:
        kept = await self.one(client_id)
        if kept.version != version:
            raise Outrun
        if kept.retired_at is not None:
            raise MintwardenError(ErrorKind.CONFLICT, "the client is retired")
        return kept

    async def _registered(self, client_id: str, version: int) -> Kept:
        kept = await self.one(client_id)
        if kept.managed_by == "bundle":
            raise Managed
        if kept.version != version:
            raise Outrun
        return kept

    async def _swap(self, kept: Kept, **changes: Any) -> ClientRecord:
        """Keep the next version; raises `Outrun` when somebody was faster."""
        found = (await self._reader.of([kept.client.id])).clients.get(kept.client.id)
        before = found or ClientRecord(client_id=kept.client.id)
        record = msgspec.structs.replace(before, version=kept.version + 1, changed_at=self._clock.now(), **changes)
        if before.version != kept.version or not await self._writer.put_client(record):
            raise Outrun
        return record

    async def _write(self, actor: EntityUid, client_id: str, change: str, **more: object) -> None:
        await self._scribe.write("configuration", actor, {"client_id": client_id, "change": change, **more})

    def _kept(self, client_id: str, found: Credentials) -> Kept:
        record = found.clients.get(client_id)
        client = self._catalogue.clients.get(client_id)
        managed_by: Literal["bundle", "registration"] = "bundle"
        if client is None:
            if record is None or record.record is None:
                raise MintwardenError(ErrorKind.NOT_FOUND, "there is no such client")
            client, managed_by = msgspec.json.decode(record.record, type=Client), "registration"
        if record is not None and record.keys is not None:
            client = msgspec.structs.replace(client, jwks=tuple(msgspec.json.decode(record.keys)))
        now = self._clock.now()
        return Kept(
            client=client,
            managed_by=managed_by,
            secrets=tuple(
                one for one in found.secrets.get(client_id, ()) if one.expires_at is None or one.expires_at > now
            ),
            retired_at=record.retired_at if record is not None and managed_by == "registration" else None,
            version=record.version if record is not None else 0,
        )


def _ending(kept: ClientSecret, ends: int) -> ClientSecret:
    before = kept.expires_at
    return msgspec.structs.replace(kept, expires_at=ends if before is None else min(before, ends))

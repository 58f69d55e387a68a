"""Clients that register and manage themselves (RFC 7591, RFC 7592), within the bundle's `[open_registration]`.

INVARIANT: each act is in the ledger before it is done. INVARIANT: a registration access token is kept as a keyed hash
alone, speaks for one client, and is dead with it; whatever is wrong with one, the answer is the same.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from mintwarden.authn.ports import ClientLookup, ClientRecord, ClientSecret, CredentialWriter
from mintwarden.authn.secrets import generate_secret, hash_secret
from mintwarden.govern.clients import SECRET_METHODS, Outrun
from mintwarden.govern.revocations import Revoker
from mintwarden.govern.scribe import Scribe
from mintwarden.model.caller import Evidence
from mintwarden.model.catalogue import Catalogue, Client, OpenRegistration
from mintwarden.model.clock import Clock
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.metadata import ClientMetadata
from mintwarden.model.values import EntityUid
from mintwarden.policy.metadata import MetadataRefused, read_metadata
from mintwarden.policy.open_registration import registrable

TOKEN_PREFIX: Final = "mwg_"  # noqa: S105 - how every registration access token begins, for secret scanners
_LONGEST_TOKEN = 256
_OWN_PART = re.compile(r"[A-Za-z0-9_-]{22}")
"""What follows the prefix in the id of a client that registered itself."""
_NOBODY = bytes(32)


class OpenPart(Struct, frozen=True, kw_only=True):
    """What is kept of a client that registered itself, beside what is kept of any: its token's hash, its own words."""

    token: bytes
    metadata: ClientMetadata
    issued_at: int


class _Record(Struct, frozen=True, kw_only=True):
    open: OpenPart | None = None


class SelfRegistered(Struct, frozen=True, kw_only=True):
    """A client that registered itself. `secret` and `token` are in the answer to whoever may know them, or empty."""

    client: Client
    metadata: ClientMetadata
    issued_at: int
    token: str
    secret: str = ""


class _Found(Struct, frozen=True):
    record: ClientRecord
    client: Client
    part: OpenPart


class OpenOffice:
    """Registers clients, and lets them manage themselves.

    `statement` verifies a software statement by the keys of those whose statements count, and returns what it says;
    it raises `MetadataRefused`. `check_keys` raises `INVALID_REQUEST` for unfit public keys. `local`: this is a server
    on loopback. `certificates`: it sees those of its clients.
    """

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        bounds: OpenRegistration,
        lookup: ClientLookup,
        writer: CredentialWriter,
        revoker: Revoker,
        scribe: Scribe,
        clock: Clock,
        pepper: bytes,
        random_bytes: Callable[[int], bytes],
        check_keys: Callable[[Sequence[Mapping[str, Any]]], None],
        statement: Callable[[str, int], Mapping[str, Any]],
        local: bool = False,
        certificates: bool = True,
    ) -> None:
        self.bounds = bounds
        self._catalogue = catalogue
        self._lookup = lookup
        self._writer = writer
        self._revoker = revoker
        self._scribe = scribe
        self._clock = clock
        self._pepper = pepper
        self._random_bytes = random_bytes
        self._check_keys = check_keys
        self._statement = statement
        self._local = local
        self._certificates = certificates
        self._registering = asyncio.Lock()

    async def register(self, document: Mapping[str, Any], *, by: Evidence | None) -> SelfRegistered:
        """A new client. `by` is what the initial access token proves. Raises `MetadataRefused`, `OVERLOADED`."""
        client_id = self.bounds.prefix + _text(self._random_bytes(16))
        metadata, client = self._read(client_id, document)
        detail: dict[str, object] = {"kind": client.kind, "ceilings": dict(client.ceilings), "method": metadata.method}
        if by is not None:
            detail |= {"token": by.token_id, "by": by.client_id}
        # INVARIANT: one after the other: of many at once none passes because the others are not counted yet. Nodes do
        # not wait for each other, so that there may be one more for each.
        async with self._registering:
            await self._require_room()
            await self._write(client, "client registered itself", **detail)
            now, token = self._clock.now(), TOKEN_PREFIX + _text(self._random_bytes(32))
            part = OpenPart(token=hash_secret(self._pepper, token), metadata=metadata, issued_at=now)
            record = ClientRecord(client_id=client_id, record=_encoded(client, part), version=1, changed_at=now)
            if not await self._writer.put_client(record):
                raise Outrun
        secret = await self._new_secret(client) if SECRET_METHODS & set(client.methods) else ""
        return SelfRegistered(client=client, metadata=metadata, issued_at=now, token=token, secret=secret)

    async def _require_room(self) -> None:
        """Reads ids, as many as there may be, and nothing of whom they are: those of others are not among them.

        Ids that have anything in common at their beginning stand together, behind that.
        """
        found = await self._lookup.registered(self.bounds.most, self.bounds.prefix)
        if len(found) == self.bounds.most and found[-1].startswith(self.bounds.prefix):
            raise MintwardenError(
                ErrorKind.OVERLOADED, "no more clients may register", hint="see `most` in `[open_registration]`"
            )

    async def read(self, client_id: str, unverified_token: str) -> SelfRegistered:
        """The client as it is registered. Raises `INVALID_TOKEN`."""
        found = await self._find(client_id, unverified_token)
        return _shown(found, unverified_token)

    async def update(self, client_id: str, unverified_token: str, document: Mapping[str, Any]) -> SelfRegistered:
        """The client with other metadata, in place of all that it had (RFC 7592 section 2.2).

        Raises `INVALID_TOKEN`, `MetadataRefused`, and `Outrun` when somebody else changed it meanwhile.
        """
        found = await self._find(client_id, unverified_token)
        if document.get("client_id") != client_id:
            raise MetadataRefused("invalid_client_metadata", "`client_id` is missing or not the client's own")
        for name in _OURS:
            if name in document:
                raise MetadataRefused("invalid_client_metadata", f"`{name}` is not the client's to say")
        if "client_secret" in document and not await self._is_secret(client_id, document["client_secret"]):
            raise MetadataRefused("invalid_client_metadata", "`client_secret` is not the client's own")
        metadata, client = self._read(client_id, document)
        await self._write(client, "client changed itself", ceilings=dict(client.ceilings), method=metadata.method)
        now = self._clock.now()
        part = msgspec.structs.replace(found.part, metadata=metadata)
        record = msgspec.structs.replace(
            found.record, record=_encoded(client, part), keys=None, version=found.record.version + 1, changed_at=now
        )
        if not await self._writer.put_client(record):
            raise Outrun
        secret = ""
        if not SECRET_METHODS & set(client.methods):
            await self._writer.remove_secrets(client_id)
        elif not SECRET_METHODS & set(found.client.methods):
            secret = await self._new_secret(client)
        answer = _shown(_Found(record, client, part), unverified_token)
        return msgspec.structs.replace(answer, secret=secret)

    async def delete(self, client_id: str, unverified_token: str) -> None:
        """Forget the client; its tokens are revoked. Raises `INVALID_TOKEN`, `Outrun`."""
        found = await self._find(client_id, unverified_token)
        actor = EntityUid(found.client.principal, client_id)
        await self._revoker.revoke("client", client_id, reason="the client deleted itself", by=actor)
        await self._write(found.client, "client deleted itself")
        if not await self._writer.forget_client(client_id, found.record.version):
            raise Outrun

    def _read(self, client_id: str, document: Mapping[str, Any]) -> tuple[ClientMetadata, Client]:
        stated = document.get("software_statement")
        if stated is None and self.bounds.statement_required:
            raise MetadataRefused("invalid_client_metadata", "a software statement is needed")
        if stated is not None:
            if not isinstance(stated, str):
                raise MetadataRefused("invalid_software_statement", "`software_statement` is not a JWT")
            # What the statement says stands before what the client says (RFC 7591 section 2.3).
            document = {**document, **self._statement(stated, self._clock.now())}
        metadata = read_metadata(document)
        # Addresses of people are not kept.
        metadata = msgspec.structs.replace(metadata, contacts=())
        client = registrable(
            self._catalogue,
            self.bounds,
            client_id,
            metadata,
            local=self._local,
            certificates=self._certificates,
        )
        if client.jwks:
            try:
                self._check_keys(client.jwks)
            except MintwardenError as error:
                raise MetadataRefused("invalid_client_metadata", error.public) from None
        return metadata, client

    async def _find(self, client_id: str, unverified_token: str) -> _Found:
        """The client that the token speaks for; one answer to every token that speaks for none."""
        record = None
        prefix = self.bounds.prefix
        # The id is a path's: nothing but what may be an id of ours reaches the store.
        made_here = client_id.startswith(prefix) and _OWN_PART.fullmatch(client_id[len(prefix) :])
        if made_here and len(unverified_token) <= _LONGEST_TOKEN:
            record = (await self._lookup.of([client_id])).clients.get(client_id)
        part = None
        if record is not None and record.record is not None and record.retired_at is None:
            part = msgspec.json.decode(record.record, type=_Record).open
        digest = hash_secret(self._pepper, unverified_token)
        right = hmac.compare_digest(digest, part.token if part is not None else _NOBODY)
        if record is None or record.record is None or part is None or not right:
            raise MintwardenError(
                ErrorKind.INVALID_TOKEN, "the registration access token is not valid", authenticate=True
            )
        return _Found(record, msgspec.json.decode(record.record, type=Client), part)

    async def _is_secret(self, client_id: str, secret: object) -> bool:
        if not isinstance(secret, str):
            return False
        digest = hash_secret(self._pepper, secret)
        stored = (await self._lookup.of([client_id])).secrets.get(client_id, ())
        return any([hmac.compare_digest(one.digest, digest) for one in stored])

    async def _new_secret(self, client: Client) -> str:
        made = generate_secret(self._random_bytes)
        digest, now = hash_secret(self._pepper, made), self._clock.now()
        await self._writer.remove_secrets(client.id)
        await self._writer.add_secrets(
            [ClientSecret(client_id=client.id, scheme="hmac-sha256", digest=digest, created_at=now)]
        )
        return made

    async def _write(self, client: Client, change: str, **more: object) -> None:
        actor = EntityUid(client.principal, client.id)
        await self._scribe.write("configuration", actor, {"client_id": client.id, "change": change, **more})


_OURS = ("registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at")


def _encoded(client: Client, part: OpenPart) -> bytes:
    return msgspec.json.encode({**msgspec.to_builtins(client), "open": part})


def _shown(found: _Found, token: str) -> SelfRegistered:
    part = found.part
    return SelfRegistered(client=found.client, metadata=part.metadata, issued_at=part.issued_at, token=token)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

"""What every command stands on: the bundle, an opened store, the master key and what is derived from it."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.app.clock import SystemClock
from mintwarden.app.config import Config
from mintwarden.govern.content import built
from mintwarden.govern.ports import Activation
from mintwarden.govern.scribe import Scribe
from mintwarden.ledger.note import VerifierKey, verifier_key
from mintwarden.ledger.record import Recorder
from mintwarden.ledger.seal import Sealer
from mintwarden.mint.jwks import KeySet
from mintwarden.mint.master import LocalMasterKey, from_environment, from_file
from mintwarden.mint.ring import KeyRing
from mintwarden.mint.rotate import KeyChange, KeyKeeper, Rhythm
from mintwarden.model.catalogue import Catalogue
from mintwarden.model.clock import Clock
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import decision_id
from mintwarden.model.values import EntityUid
from mintwarden.policy.bundle.load import load_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.store import Store, open_store

SELF = EntityUid("Workload", "mintwarden")
"""Who does what the program does by itself, in the ledger."""

KEY_CHANGE_GRACE = 60_000
"""Milliseconds after which whoever changed a key has recorded it, or will not."""


class Foundation(Struct, frozen=True, kw_only=True):
    """An opened deployment.

    Attributes:
        bundle: what governs: the active version of the store, or the configured folder before there is one.
        activation: the activation that made it govern; None for a folder.
        issuer: the issuer identifier in force.
        origin: the log's name.
        holder: this process in elections.
        pepper: the key of the keyed hash of client secrets.
    """

    config: Config
    clock: Clock
    bundle: Bundle
    activation: Activation | None
    issuer: str
    origin: str
    holder: str
    store: Store
    master: LocalMasterKey
    ring: KeyRing
    keeper: KeyKeeper
    sealer: Sealer
    recorder: Recorder
    pepper: bytes

    @property
    def key_set(self) -> KeySet:
        """The published key set."""
        return self.ring.key_set

    def new_id(self) -> bytes:
        """A fresh entry id."""
        return decision_id(self.clock.now(), secrets.token_bytes(10))

    def scribe(self) -> Scribe:
        """Who writes acts into the ledger."""
        return Scribe(recorder=self.recorder, keys=self.store.subject_keys, clock=self.clock, new_id=self.new_id)

    def log_keys(self) -> tuple[VerifierKey, ...]:
        """The verifier keys that this log's checkpoints may be signed with, oldest first."""
        return tuple(verifier_key(self.origin, public) for _, public in self.ring.checkpoint_keys())

    async def record_key_changes(self, changes: Sequence[KeyChange], *, by: EntityUid) -> None:
        """Write into the ledger what happened to keys."""
        for change in changes:
            await self.recorder.record_act(
                entry_id=self.new_id(),
                kind="key_rotation",
                at=change.at,
                actor=by,
                detail={
                    "kid": change.kid,
                    "purpose": change.purpose,
                    "algorithm": change.algorithm,
                    "state": change.state,
                    "reason": change.reason,
                },
            )
            await self.store.keys.recorded(change.kid, change.state)

    async def recover_key_changes(self) -> None:
        """Write down what a process did to keys before it died and could not; of several nodes, one does."""
        lost = await self.store.keys.unrecorded(self.clock.now() - KEY_CHANGE_GRACE)
        if lost and await self.store.leases.acquire("key-changes", self.holder, 30.0):
            changes = [KeyChange(key.kid, key.purpose, key.algorithm, key.state, key.at, "recovered") for key in lost]
            await self.record_key_changes(changes, by=SELF)


@contextlib.asynccontextmanager
async def foundation(
    config: Config,
    *,
    create: bool = False,
    read_only: bool = False,
    environ: Mapping[str, str] | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> AsyncIterator[Foundation]:
    """The deployment that `config` describes, opened, and let go of at the end.

    `create` makes what is missing in the store and brings an older schema up to date; `on_batch` hears how many
    ledger entries each commit made durable. Raises `BundleRefused`, `MintwardenError` of kinds `KEYS`, `STORE`,
    `UNAVAILABLE`.
    """
    master = master_key(config, os.environ if environ is None else environ)
    store = await open_store(config.store.url, create=create, read_only=read_only)
    try:
        bundle, activation = await governing_bundle(config, store, SystemClock())
        opened = _compose(config, bundle, activation, master, store, on_batch)
        await opened.ring.follow(await store.epoch())
        yield opened
        await opened.recorder.close()
    finally:
        await store.close()


async def governing_bundle(config: Config, store: Store, clock: Clock) -> tuple[Bundle, Activation | None]:
    """The bundle that governs now, and its activation; the configured folder as long as nothing was activated.

    Raises `STORE` for a version that is not stored as it was approved, `BundleRefused`.
    """
    active = await store.versions.active()
    if active is None:
        return load_bundle(config.bundle.path), None
    is_over = active.until is not None and clock.now() >= active.until
    digest = active.returns_to if is_over else active.digest
    stored = await store.versions.version(digest)
    if stored is None:
        raise MintwardenError(
            ErrorKind.STORE, f"the bundle version `{digest}` is not in the store", hint="restore the store"
        )
    return built(stored), active


async def governing_catalogue(config: Config) -> Catalogue:
    """What the bundle that governs now declares, for commands that need no more of a deployment."""
    store = await open_store(config.store.url, read_only=True)
    try:
        return (await governing_bundle(config, store, SystemClock()))[0].catalogue
    finally:
        await store.close()


def under(base: Foundation, bundle: Bundle) -> Foundation:
    """The deployment as it is under another bundle: with the keeper of the keys that that one needs."""
    return replace(base, bundle=bundle, keeper=_keeper(base.config, bundle, base.master, base.store, base.holder))


def master_key(config: Config, environ: Mapping[str, str]) -> LocalMasterKey:
    """The master key; raises `KEYS` when it is missing, open to others or damaged."""
    if config.keys.master_key_env:
        return from_environment(config.keys.master_key_env, environ, random_bytes=secrets.token_bytes)
    return from_file(Path(config.keys.master_key_file), random_bytes=secrets.token_bytes)


def issuer_of(config: Config, bundle: Bundle) -> str:
    """The issuer identifier in force: the bundle's, unless a development server replaces it."""
    return config.server.issuer or bundle.catalogue.issuer


def origin_of(config: Config, issuer: str) -> str:
    """The log's name: as configured, or the issuer without its scheme."""
    parts = urlsplit(issuer)
    return config.ledger.origin or (parts.netloc + parts.path).rstrip("/")


def _compose(
    config: Config,
    bundle: Bundle,
    activation: Activation | None,
    master: LocalMasterKey,
    store: Store,
    on_batch: Callable[[int], None] | None,
) -> Foundation:
    issuer = issuer_of(config, bundle)
    holder = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    rhythm = _rhythm(config, bundle)
    sealer = Sealer(secret=master.derive(b"ledger"), random_bytes=secrets.token_bytes)
    return Foundation(
        config=config,
        clock=SystemClock(),
        bundle=bundle,
        activation=activation,
        issuer=issuer,
        origin=origin_of(config, issuer),
        holder=holder,
        store=store,
        master=master,
        ring=KeyRing(store=store.keys, master=master, jwks_max_age=rhythm.key_set_max_age),
        keeper=_keeper(config, bundle, master, store, holder),
        sealer=sealer,
        recorder=Recorder(appender=store.entries, sealer=sealer, issuer=issuer, on_batch=on_batch),
        pepper=master.derive(b"client-secrets"),
    )


def _keeper(config: Config, bundle: Bundle, master: LocalMasterKey, store: Store, holder: str) -> KeyKeeper:
    return KeyKeeper(
        store=store.keys,
        master=master,
        lease=store.leases,
        holder=holder,
        algorithms=tuple(dict.fromkeys(audience.algorithm for audience in bundle.catalogue.audiences.values())),
        rhythm=_rhythm(config, bundle),
    )


def _rhythm(config: Config, bundle: Bundle) -> Rhythm:
    longest = max((audience.max_ttl for audience in bundle.catalogue.audiences.values()), default=0)
    return Rhythm(
        rotation_interval=round(config.keys.rotation_interval * 1000),
        publish_before=round(config.keys.publish_before * 1000),
        longest_token=longest * 1000,
    )

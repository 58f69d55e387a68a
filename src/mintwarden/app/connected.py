"""Whether what a configuration names can be used: each thing by itself, nothing changed by looking."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from mintwarden.app.clock import SystemClock
from mintwarden.app.config import Config
from mintwarden.app.foundation import governing_bundle, issuer_of, master_key
from mintwarden.app.sources import connection_of, external
from mintwarden.app.wiring import creates
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.load import load_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.bundle.problem import BundleRefused
from mintwarden.store import open_store
from mintwarden.store.migrate import status


class Found(NamedTuple):
    """One thing, whether it can be used, and one line about it."""

    name: str
    ok: bool
    detail: str


async def look(config: Config) -> tuple[Found, ...]:
    """The master key, the store and the bundle that would govern. Never raises for what is wrong with them."""
    return (
        await _tried("master key", lambda: asyncio.to_thread(_key, config)),
        await _tried("store", lambda: asyncio.to_thread(_store, config)),
        await _tried("policy", lambda: _policy(config)),
    )


async def _tried(name: str, work: Callable[[], Awaitable[str]]) -> Found:
    try:
        return Found(name, True, await work())
    except BundleRefused as refused:
        return Found(name, False, f"{len(refused.problems)} problems; `mintwarden check` names them")
    except MintwardenError as error:
        return Found(name, False, f"{error.public}; {error.hint}" if error.hint else error.public)


def _key(config: Config) -> str:
    master_key(config, os.environ)
    return "good"


def _store(config: Config) -> str:
    try:
        found = status(config.store.url)
    except MintwardenError:
        if config.store.url.startswith("sqlite:") and creates(config):
            return "not there yet; `mintwarden serve` makes it"
        raise
    if found.usable:
        return f"good, schema {found.found}"
    if creates(config):
        return f"schema {found.found or 'missing'}; `mintwarden serve` brings it to {found.head}"
    why = "has no schema yet" if found.found is None else f"is at schema {found.found}"
    raise MintwardenError(ErrorKind.STORE, f"it {why}", hint="run `mintwarden store migrate`")


async def _policy(config: Config) -> str:
    try:
        store = await open_store(config.store.url, read_only=True)
    except MintwardenError:
        bundle = load_bundle(config.bundle.path)
        _has_what_it_needs(config, bundle)
        return _folder(config, bundle)
    try:
        bundle, activation = await governing_bundle(config, store, SystemClock())
    finally:
        await store.close()
    _has_what_it_needs(config, bundle)
    if activation is None:
        return _folder(config, bundle)
    return f"{bundle.catalogue.name}, version {bundle.digest}, activation {activation.number}"


def _has_what_it_needs(config: Config, bundle: Bundle) -> None:
    """Raise `CONFIG` for the first name of the bundle that the configuration says nothing of."""
    for source in external(bundle.catalogue):
        connection_of(config, source)
    for provider in bundle.catalogue.providers.values():
        reach = config.upstreams.get(provider.id)
        shared = provider.authentication.startswith("client_secret")
        if shared and (reach is None or not (reach.secret_file or reach.secret_env)):
            what = f"the provider `{provider.id}` knows us by a secret, and there is none"
            hint = f"add `[upstreams.{provider.id}]` with `secret_file` or `secret_env`"
            raise MintwardenError(ErrorKind.CONFIG, what, hint=hint)


def _folder(config: Config, bundle: Bundle) -> str:
    if not config.server.dev:
        hint = "`mintwarden policy sign`, `approve` and `activate` one (`docs/versions.md`)"
        raise MintwardenError(ErrorKind.BUNDLE, "no version was activated", hint=hint)
    return f"{bundle.catalogue.name}, the folder {config.bundle.path}, for {issuer_of(config, bundle)} (development)"

"""Connects the bundle's external fact sources to the connections that the configuration names."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from mintwarden.app.config import Config, ConnectionConfig
from mintwarden.context.ports import ExternalSource
from mintwarden.context.sources import open_source
from mintwarden.model.catalogue import Catalogue, Source
from mintwarden.model.errors import ErrorKind, MintwardenError


def external(catalogue: Catalogue) -> Sequence[Source]:
    """The sources that are elsewhere, and need a connection."""
    return [source for source in catalogue.sources.values() if source.kind in ("sql", "http")]


def connection_of(config: Config, source: Source) -> ConnectionConfig:
    """The source's connection. Raises `CONFIG` where it is not configured, or is of another kind."""
    connection = config.connections.get(source.connection)
    if connection is None or connection.kind != source.kind:
        raise MintwardenError(
            ErrorKind.CONFIG,
            f"source `{source.id}` needs the {source.kind} connection `{source.connection}`",
            hint=f'add `[connections.{source.connection}]` with `kind = "{source.kind}"` and its `url`',
        )
    return connection


def external_sources(
    config: Config, catalogue: Catalogue, stack: contextlib.AsyncExitStack
) -> Mapping[str, ExternalSource]:
    """Every `sql` and `http` source of the bundle, bound to its connection; let go of by `stack`.

    Raises `CONFIG` for a source whose connection is not configured, or is of another kind.
    """
    found: dict[str, ExternalSource] = {}
    for source in external(catalogue):
        connection = connection_of(config, source)
        opened = open_source(source, url=connection.url, seconds=connection.timeout)
        stack.push_async_callback(opened.close)
        found[source.id] = opened
    return found

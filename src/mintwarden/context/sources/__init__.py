"""Sources outside the store, one file per kind; each passes `tests/contract/test_sources.py`."""

from __future__ import annotations

from typing import Protocol

from mintwarden.context.ports import ExternalSource
from mintwarden.context.sources.http import HttpSource
from mintwarden.model.catalogue import Source
from mintwarden.model.errors import ErrorKind, MintwardenError


class OpenSource(ExternalSource, Protocol):
    """An external source with connections to give back."""

    async def close(self) -> None: ...


def open_source(source: Source, *, url: str, seconds: float) -> OpenSource:
    """The catalogue's source bound to a connection of the configuration. Connects at the first read.

    Raises `MintwardenError(CONFIG)` for a URL that does not fit the source's kind.
    """
    if source.kind == "sql":
        from mintwarden.context.sources.sql import SqlSource  # noqa: PLC0415 - brings SQLAlchemy with it

        return SqlSource(source=source, url=url, seconds=seconds)
    if source.kind == "http":
        return HttpSource(source=source, url=url, seconds=seconds)
    raise MintwardenError(ErrorKind.CONFIG, f"source `{source.id}` needs no connection")


__all__ = ["HttpSource", "OpenSource", "open_source"]

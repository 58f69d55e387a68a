"""The store for several nodes."""

from __future__ import annotations

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.store.store import Store


async def open_postgres(url: str, *, read_only: bool) -> Store:  # noqa: ARG001
    """Not there yet."""
    raise MintwardenError(ErrorKind.STORE, "PostgreSQL is not supported yet", hint="use a `sqlite:///` URL")

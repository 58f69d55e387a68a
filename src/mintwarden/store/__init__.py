"""The stores: one interface, two backends, one contract suite (`store.contract`) that both pass."""

from __future__ import annotations

import asyncio

from mintwarden.store.store import Store
from mintwarden.store.urls import SCHEMES, SQLITE_SCHEME, scheme_of, sqlite_path

__all__ = ["SCHEMES", "Store", "open_store"]


async def open_store(url: str, *, create: bool = False, read_only: bool = False) -> Store:
    """The store at `url`: `sqlite:///path`, `sqlite:////absolute/path` or `postgresql://...`.

    Args:
        url: names the store; `SCHEMES` lists what there is.
        create: make what is missing, the schema included, and bring an older schema up to date.
        read_only: nothing will be written; every attempt raises `UNAVAILABLE`.

    Raises `MintwardenError(UNAVAILABLE)` when it does not answer, `MintwardenError(STORE)` when its schema is
    older or newer than this code works with.
    """
    scheme = scheme_of(url)
    if create:
        from mintwarden.store.migrate import migrate  # noqa: PLC0415 - brings SQLAlchemy with it

        await asyncio.to_thread(migrate, url)
    if scheme == SQLITE_SCHEME:
        from mintwarden.store.sqlite import open_sqlite  # noqa: PLC0415 - only the store that is used

        return await open_sqlite(sqlite_path(url), read_only=read_only)
    from mintwarden.store.postgres import open_postgres  # noqa: PLC0415 - only the store that is used

    return await open_postgres(url, read_only=read_only)

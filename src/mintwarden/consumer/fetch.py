"""What the consumer's side fetches: little, over https, in a bounded time, and nothing of it unpacked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

_SECONDS: Final = 5.0
_LOCAL = ("localhost", "127.0.0.1", "::1")


class Fetched(Struct, frozen=True):
    """The body of a 200 answer, and its headers under names in small letters."""

    body: bytes
    headers: Mapping[str, str]


async def fetched(url: str, *, accept: str, most: int) -> Fetched:
    """A 200 answer over https (http on loopback alone), without redirects, in 5 seconds.

    At most `most` bytes, as they come. Raises any exception for anything else.
    """
    import httpx2  # noqa: PLC0415 - needed only by who has no other HTTP client

    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in _LOCAL:
        raise ValueError("not an https URL")
    plain = {"accept": accept, "accept-encoding": "identity"}
    async with (
        asyncio.timeout(_SECONDS),  # of all of it: the client's own is one for each piece
        httpx2.AsyncClient(timeout=_SECONDS, follow_redirects=False, headers=plain) as client,
        client.stream("GET", url) as answer,
    ):
        if answer.status_code != 200:
            raise ValueError(f"answered {answer.status_code}")
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            raise ValueError("compressed, which was not asked for")
        body = bytearray()
        async for chunk in answer.aiter_raw():
            body += chunk
            if len(body) > most:
                raise ValueError("too long")
        return Fetched(bytes(body), {name.lower(): value for name, value in answer.headers.items()})

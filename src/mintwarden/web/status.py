"""Status lists over HTTP (draft-ietf-oauth-status-list-21 sections 8 and 9)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import parse_qs

from msgspec import Struct

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.accept import accept_of, takes
from mintwarden.web.documents import PUBLIC
from mintwarden.web.errors import HttpError
from mintwarden.web.reply import NOSNIFF, Header, Reply, json_reply

STATUS_LIST = "application/statuslist+jwt"
_KIND: Header = (b"content-type", STATUS_LIST.encode())
_MOST_DIGITS = 15


class Signed(Struct, frozen=True):
    """A signed list. `fresh_for`: seconds until there may be another; `etag` is a strong validator."""

    token: bytes
    etag: bytes
    fresh_for: int


List = Callable[[int], Awaitable[Signed | None]]


async def status_reply(
    path: str, *, query: bytes, headers: Sequence[Header], none_match: bytes | None, read: List
) -> Reply:
    """The list of a number. Raises `NOT_FOUND` for one that is not, or not any more, there."""
    if b"time" in parse_qs(query, keep_blank_values=True):
        raise HttpError(501, "what a list said at another time is not kept")
    if not takes(accept_of(headers), STATUS_LIST):
        raise HttpError(406, f"a status list is `{STATUS_LIST}`")
    number = path if path.isascii() and path.isdigit() and len(path) <= _MOST_DIGITS and str(int(path)) == path else ""
    found = await read(int(number)) if number else None
    if found is None:
        raise MintwardenError(ErrorKind.NOT_FOUND, "there is no such status list")
    cache = (b"cache-control", b"public, max-age=%d, must-revalidate" % found.fresh_for)
    shared = (cache, PUBLIC, NOSNIFF, (b"etag", found.etag), (b"vary", b"accept"))
    if none_match is not None and found.etag in [tag.strip().removeprefix(b"W/") for tag in none_match.split(b",")]:
        return Reply(304, shared, b"")
    return Reply(200, (_KIND, *shared), found.token)


def aggregation_reply(uris: Sequence[str], ttl: int) -> Reply:
    """Every list that there is (section 9.3)."""
    cache = (b"cache-control", b"public, max-age=%d" % ttl)
    return json_reply(200, {"status_lists": list(uris)}, PUBLIC, cache=cache)

"""What a status list says, read strictly (draft-ietf-oauth-status-list-21 sections 4, 5.1 and 8.3).

No network here, and no clock: `now` is handed in.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

from msgspec import Struct

from mintwarden.consumer.jws import Compact, Malformed, decoded

KIND: Final = "application/statuslist+jwt"
TYP: Final = "statuslist+jwt"
MOST: Final = 512 * 1024
"""Bytes of a list as it is sent."""
UNPACKED: Final = 1 << 20
"""Bytes of a list that is unpacked: eight million tokens of one bit, and ours have a million."""
EARLY: Final = 60
"""Seconds by which the issuer's clock may be ahead."""
UNSAID: Final = 60.0
"""Seconds for which a list is kept when neither it nor its answer says for how long."""
LONGEST: Final = 3600.0
"""Seconds for which a list is kept at the most, whatever it says."""
LEAST: Final = 1.0
"""Seconds for which it is kept at the least: a list is not fetched for each request, whatever it says."""
_BITS = (1, 2, 4, 8)
_WHY = {1: "the token was revoked", 2: "the token is suspended"}


class StatusList(Struct, frozen=True):
    """The statuses of many tokens.

    Attributes:
        bits: how many a status has (1, 2, 4 or 8), from the least significant of each byte on.
        packed: the bytes that they stand in.
        expires_at: seconds since 1970 from which nothing of it is believed; infinite where it does not say.
        ttl: seconds for which it may be kept; None where it does not say.
    """

    bits: int
    packed: bytes
    expires_at: float
    ttl: float | None

    def check(self, index: int) -> None:
        """Return if the token of that index is good. Raises `Malformed` for any other, and for an index beyond."""
        each = 8 // self.bits
        if index // each >= len(self.packed):
            raise Malformed("the token has no place in its status list")
        status = self.packed[index // each] >> index % each * self.bits & (1 << self.bits) - 1
        if status:
            raise Malformed(_WHY.get(status, "the token has a status that is not known here"))


def place_of(claims: Mapping[str, Any]) -> tuple[str, int] | None:
    """Address and index from a token's `status`; None without one. Raises `Malformed` for one that says neither."""
    if "status" not in claims:
        return None
    status = claims["status"]
    place = status.get("status_list") if isinstance(status, dict) else None
    uri, index = (place.get("uri"), place.get("idx")) if isinstance(place, dict) else (None, None)
    if not isinstance(uri, str) or type(index) is not int or index < 0:
        raise Malformed("the token's status is not told by a status list")
    return uri, index


def read(token: Compact, *, uri: str, issuer: str, now: float) -> StatusList:
    """A list whose signature was verified. Raises `Malformed` for one that says nothing about the tokens of `uri`."""
    claims = token.claims
    if claims.get("sub") != uri or claims.get("iss", issuer) != issuer or "aud" in claims:
        raise Malformed("it is another list")
    issued, starts, expires = (_time(claims, name, default) for name, default in _TIMES.items())
    if max(issued, starts) > now + EARLY:
        raise Malformed("it is of the future")
    if now >= expires:
        raise Malformed("it has ended")
    ttl = claims.get("ttl")
    if "ttl" in claims and (isinstance(ttl, bool) or not isinstance(ttl, int | float) or ttl <= 0):
        raise Malformed("`ttl` is not a positive number")
    said = claims.get("status_list")
    bits, packed = (said.get("bits"), said.get("lst")) if isinstance(said, dict) else (None, None)
    if type(bits) is not int or bits not in _BITS or not isinstance(packed, str):
        raise Malformed("it has no statuses")
    return StatusList(bits, _unpacked(decoded(packed)), expires, ttl)


def lifetime(ttl: float | None, headers: Mapping[str, str]) -> float:
    """Seconds for which a list may be kept, within bounds of our own.

    Its `ttl` says (section 13.7), and otherwise the answer's headers (RFC 9111). What a cache on the way has kept it
    for is over already.
    """
    said = _kept_for(headers) if ttl is None else min(ttl, LONGEST)
    return min(max(said - (_seconds(headers.get("age", "")) or 0), LEAST), LONGEST)


_TIMES: Mapping[str, float | None] = {"iat": None, "nbf": 0.0, "exp": float("inf")}
"""Claims that are times, with what counts where they are missing; None: they must not be."""


def _time(claims: Mapping[str, Any], name: str, default: float | None) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed(f"`{name}` is not a time")
    return value


def _unpacked(raw: bytes) -> bytes:
    """INVARIANT: no more is unpacked than `UNPACKED`, whatever it would become."""
    reader = zlib.decompressobj()
    try:
        packed = reader.decompress(raw, UNPACKED + 1)
    except zlib.error:
        raise Malformed("it is not compressed by zlib") from None
    if len(packed) > UNPACKED:
        raise Malformed("it is too long when it is unpacked")
    if not reader.eof or reader.unused_data:
        raise Malformed("it is cut short, or something follows it")
    return packed


def _kept_for(headers: Mapping[str, str]) -> float:
    directives = dict(part.strip().lower().partition("=")[::2] for part in headers.get("cache-control", "").split(","))
    if not directives.keys().isdisjoint(("no-store", "no-cache")):
        return 0.0
    if "max-age" in directives:
        return _seconds(directives["max-age"].strip('"')) or 0.0
    if "expires" in headers:
        try:
            end, begin = (parsedate_to_datetime(headers.get(name, "")) for name in ("expires", "date"))
            return (end - begin).total_seconds()
        except (ValueError, TypeError):
            return 0.0
    return UNSAID


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 12 else None

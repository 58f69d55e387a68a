"""For how long an answer may be used again (RFC 9111), within bounds of our own."""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST: Final = 3_600_000
"""Longest time in milliseconds, whatever the answer says: a key or an address that was withdrawn is gone after it."""
UNSAID: Final = 300_000
"""Time in milliseconds where the answer says nothing."""
_NEVER = frozenset(("no-store", "no-cache", "private"))


def lifetime(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Milliseconds from now; 0 where the answer may not be kept, or says so in a way that is not understood."""
    said: dict[str, list[str]] = {}
    for header, value in headers:
        said.setdefault(header.decode("latin-1").lower(), []).append(value.decode("latin-1").strip())
    directives = _directives(",".join(said.get("cache-control", [])))
    if (
        directives is None
        or not directives.keys().isdisjoint(("no-store", "no-cache", "private"))
        or "*" in said.get("vary", [])
    ):
        return 0
    for name in ("s-maxage", "max-age"):
        if name in directives:
            return _bounded(_seconds(directives[name]), said.get("age", []))
    if "expires" in said:
        return _bounded(_until(said["expires"], said.get("date", [])), said.get("age", ()))
    return UNSAID


def _directives(text: str) -> dict[str, str] | None:
    """None where one is repeated with another value."""
    found: dict[str, str] = {}
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        value = value.strip().strip('"')
        if name and found.setdefault(name.strip().lower(), value) != value:
            return None
    return found


def _seconds(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0


def _until(expires: list[str], date: list[str]) -> int:
    try:
        end, begin = (parsedate_to_datetime(value) for (value,) in (expires, date))
        return int((end - begin).total_seconds())
    except (ValueError, TypeError):
        return 0


def _bounded(seconds: int, age: Iterable[str]) -> int:
    spent = max((_seconds(value.strip()) for value in age), default=0)
    return min(max(seconds - spent, 0) * 1000, LONGEST)

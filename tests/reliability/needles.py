"""Looking for secrets in heaps of bytes, however they may be spelled there."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tests.reliability.load import part

SHORTEST = 12
"""Bytes below which a find may be chance."""


def spellings(secret: bytes) -> set[bytes]:
    """The secret itself, in hexadecimal, and in both alphabets of base64 at each of the three places in a group."""
    found = {secret, secret.hex().encode(), secret.hex().upper().encode()}
    for shift in range(3):
        for alphabet in (None, b"-_"):
            text = base64.b64encode(bytes(shift) + secret, alphabet)
            # what the neighbours decide is left off at both ends
            found.add(text[(shift * 8 + 5) // 6 : len(text) - 4])
    assert min(map(len, found)) >= SHORTEST, secret
    return found


def of_token(name: str, token: str) -> dict[str, set[bytes]]:
    """What must not be kept of a token: all of it, its claims as they were sent, its signature."""
    return {
        name: spellings(token.encode()),
        f"payload of {name}": {token.split(".")[1].encode()},
        f"signature of {name}": spellings(part(token, 2)),
    }


def finds(needles: Mapping[str, set[bytes]], heaps: Iterable[tuple[str, bytes]]) -> list[str]:
    """Which needle lies in which heap."""
    return [
        f"{name} in {place}"
        for place, heap in heaps
        for name, spelled in needles.items()
        if any(needle in heap for needle in spelled)
    ]


def files(folder: Path, *, leave_out: Iterable[str] = ()) -> Iterator[tuple[str, bytes]]:
    """Every file below `folder`, its name among what is searched."""
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not name.startswith(tuple(leave_out)):
            yield name, name.encode() + b"\0" + path.read_bytes()

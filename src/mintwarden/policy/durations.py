"""Durations as people write them in bundles."""

from __future__ import annotations

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60))


def written(seconds: int) -> str:
    """`4h`, `90m`, `45s`: in the largest unit that leaves nothing over, so that it can be written so in a bundle."""
    for unit, size in _UNITS:
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"

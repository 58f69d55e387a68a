"""Requests that are under way at the same moment go in step: all of them take one step before any takes the next.

A step that many requests take in a row finds its code and its tables in the processor's caches, left there by the one
before. A request that walks the whole line alone leaves nothing behind for the next: it touches several times what the
caches hold. `docs/adr/0007-hot-path.md` has the figures.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final


class _InStep:
    """Awaited, lets every other task that is ready take its turn."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        yield


IN_STEP: Final = _InStep()

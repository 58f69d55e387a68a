"""A circuit breaker: a source that keeps failing is left alone for a while, then tried by one request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from mintwarden.model.errors import ErrorKind, MintwardenError

FAILURES: Final = 5
"""Failures in a row after which the source is left alone."""
OPEN_FOR: Final = 10_000
"""How long it is left alone, in milliseconds."""


class Breaker:
    """Closed while all is well; open after failures in a row; half open for one probe when the time is up."""

    def __init__(self, *, failures: int = FAILURES, open_for: int = OPEN_FOR) -> None:
        self._limit = failures
        self._open_for = open_for
        self._failures = 0
        self._opened_at: int | None = None
        self._probing = False

    @contextmanager
    def attempt(self, now: int) -> Iterator[None]:
        """Around one read: raises `MintwardenError(SOURCE)` at once while the source is left alone.

        A `MintwardenError` from within is a failure of the source; any other exception, such as a cancellation,
        says nothing about it.
        """
        probe = self._enter(now)
        try:
            yield
        except MintwardenError:
            self._failures += 1
            if probe or self._failures >= self._limit:
                self._opened_at = now
            raise
        else:
            self._failures, self._opened_at = 0, None
        finally:
            if probe:
                self._probing = False

    def _enter(self, now: int) -> bool:
        if self._opened_at is None:
            return False
        # `abs`: a clock that was set back must not keep the source out for longer.
        if self._probing or abs(now - self._opened_at) < self._open_for:
            raise MintwardenError(ErrorKind.SOURCE, "the source failed repeatedly and is left alone for a moment")
        self._probing = True
        return True

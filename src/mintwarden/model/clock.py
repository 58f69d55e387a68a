"""Time as the rooms see it: whole milliseconds since the Unix epoch, handed in, never read."""

from typing import NewType, Protocol

Millis = NewType("Millis", int)
"""A point in time, in whole milliseconds since 1970-01-01T00:00:00Z."""


class Clock(Protocol):
    """Where `now` comes from. The program's clock in service, a settable one in tests."""

    def now(self) -> Millis:
        """The present time. It may step back; callers that need order must not rely on it."""
        ...


def seconds(millis: int) -> int:
    """Whole seconds of a `Millis` value, rounded down (`NumericDate`, RFC 7519 section 2)."""
    return millis // 1000

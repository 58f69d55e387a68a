"""Times as the administration API spells them (RFC 3339); everything inside counts `Millis`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

Time = Annotated[datetime, Meta(tz=True)]
"""A time with its zone."""


def told(millis: int | None) -> datetime | None:
    """`Millis` as a time."""
    return None if millis is None else datetime.fromtimestamp(millis / 1000, UTC)


def shown(millis: int) -> datetime:
    """`Millis` as a time that is there."""
    return datetime.fromtimestamp(millis / 1000, UTC)


def millis(time: datetime) -> int:
    """A time as `Millis`."""
    return round(time.timestamp() * 1000)

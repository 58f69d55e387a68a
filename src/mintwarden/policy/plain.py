"""Cedar values as plain JSON values: what a claim carries and what an expression reads."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from mintwarden.model.values import Datetime, Decimal4, Duration, EntityUid, IpAddress

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def plain(value: Any) -> Any:
    """JSON types only: sets as sorted lists, datetimes as RFC 3339, durations as whole milliseconds."""
    kind = type(value)
    if kind is str or kind is int or kind is bool:
        return value
    if kind is frozenset:
        return sorted((plain(element) for element in value), key=_order)
    if isinstance(value, EntityUid):
        return value.id
    if isinstance(value, Datetime):
        return datetime_text(value)
    if isinstance(value, Duration):
        return value.millis
    if isinstance(value, Decimal4):
        return decimal_text(value)
    if isinstance(value, IpAddress):
        return value.text
    if isinstance(value, Mapping):
        return {name: plain(member) for name, member in value.items()}
    raise TypeError(f"{kind.__name__} is not a Cedar value")


def datetime_text(value: Datetime) -> str:
    """RFC 3339 in UTC with milliseconds; beyond the years 1 to 9999, the milliseconds since the epoch."""
    try:
        text = (_EPOCH + timedelta(milliseconds=value.millis)).isoformat(timespec="milliseconds")
    except OverflowError:
        return f"{value.millis}ms"
    return text.replace("+00:00", "Z")


def decimal_text(value: Decimal4) -> str:
    """`12.5` for 125000 ten-thousandths: as few digits as needed, at least one after the point."""
    sign, whole = ("-" if value.units < 0 else ""), abs(value.units)
    return f"{sign}{whole // 10_000}.{f'{whole % 10_000:04d}'.rstrip('0') or '0'}"


def _order(value: Any) -> tuple[str, Any]:
    """A total order within a homogeneous list, and a stable one across kinds."""
    if isinstance(value, bool | int | str):
        return type(value).__name__, value
    return "z", repr(value)

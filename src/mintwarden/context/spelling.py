"""Cedar's spellings of decimal, datetime, duration, ipaddr and entities, read into model values.

Each function raises `ValueError` for anything that Cedar would not take. Source: Cedar language reference,
"Operators and functions", extension constructors.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import re

from mintwarden.model.values import (
    LONG_MAX,
    LONG_MIN,
    Datetime,
    Decimal4,
    Duration,
    EntityUid,
    IpAddress,
)

_DECIMAL = re.compile(r"(-?)([0-9]+)\.([0-9]{1,4})", re.ASCII)
_DATETIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{3}))?(?:Z|([+-])([0-9]{2})([0-9]{2})))?",
    re.ASCII,
)
_DURATION = re.compile(r"(-?)(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m(?!s))?(?:([0-9]+)s)?(?:([0-9]+)ms)?", re.ASCII)
_ENTITY = re.compile(r'([A-Za-z_][A-Za-z0-9_]*(?:::[A-Za-z_][A-Za-z0-9_]*)*)::"([^"\\]*)"', re.ASCII)
_UNITS = (86_400_000, 3_600_000, 60_000, 1000, 1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LONGEST = 64


def _whole(text: str) -> str:
    if len(text) > _LONGEST:
        raise ValueError("too long")
    return text


def _long(number: int) -> int:
    if not LONG_MIN <= number <= LONG_MAX:
        raise ValueError("out of range")
    return number


def read_decimal(text: str) -> Decimal4:
    """`"-1.25"`: one to four digits after the point."""
    found = _DECIMAL.fullmatch(_whole(text))
    if found is None:
        raise ValueError("not a decimal")
    sign, whole, fraction = found.groups()
    units = int(whole) * 10_000 + int(fraction.ljust(4, "0"))
    return Decimal4(_long(-units if sign else units))


def read_datetime(text: str) -> Datetime:
    """`"2026-11-24"`, or with `T02:30:00`, optional milliseconds, and `Z` or an offset such as `+0100`."""
    found = _DATETIME.fullmatch(_whole(text))
    if found is None:
        raise ValueError("not a datetime")
    year, month, day, hour, minute, second, milli, sign, off_hour, off_minute = found.groups()
    at = dt.datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=dt.UTC)
    offset = 0
    if sign:
        if int(off_hour) > 23 or int(off_minute) > 59:
            raise ValueError("not an offset")
        offset = (int(off_hour) * 60 + int(off_minute)) * 60_000
    past = at - _EPOCH
    millis = (past.days * 86_400 + past.seconds) * 1000 + int(milli or 0)
    return Datetime(millis + offset if sign == "-" else millis - offset)


def read_duration(text: str) -> Duration:
    """`"1d2h3m4s5ms"`: units from large to small, each at most once, at least one."""
    found = _DURATION.fullmatch(_whole(text))
    if found is None or not any(found.groups()[1:]):
        raise ValueError("not a duration")
    millis = sum(int(part or 0) * unit for part, unit in zip(found.groups()[1:], _UNITS, strict=True))
    return Duration(_long(-millis if found[1] else millis))


def read_ip(text: str) -> IpAddress:
    """`"10.0.0.1"`, `"10.0.0.0/8"`, `"2001:db8::/32"`; host bits are kept, IPv4 inside IPv6 is not spelled so."""
    address, slash, prefix = _whole(text).partition("/")
    if "%" in address or (":" in address and "." in address):
        raise ValueError("not an address")
    host = ipaddress.ip_address(address)
    width: int = host.max_prefixlen
    length: int = width
    if slash:
        if not (prefix.isascii() and prefix.isdigit()) or (prefix[0] == "0" and prefix != "0"):
            raise ValueError("not a prefix length")
        length = int(prefix)
        if length > width:
            raise ValueError("not a prefix length")
    network = ipaddress.ip_network((int(host) if host.version == 4 else host.packed, length), strict=False)
    spelled = str(host) if length == width else f"{host}/{length}"
    return IpAddress(network, int(host), spelled)


def read_address(text: str) -> IpAddress | None:
    """A peer's address as a rule sees it, or None: an IPv4 address inside IPv6 counts as the IPv4 address."""
    try:
        if text[:7].lower() == "::ffff:" and "." in text:
            text = text[7:]
        return read_ip(text)
    except ValueError:
        return None


def read_entity(value: object, entity_type: str) -> EntityUid:
    """`User::"alice"`, or the JSON form `{"type": ..., "id": ...}`, plain or under `__entity`."""
    if isinstance(value, str):
        found = _ENTITY.fullmatch(value)
        if found is None:
            raise ValueError("not an entity")
        kind, name = found[1], found[2]
    else:
        inner = value.get("__entity", value) if isinstance(value, dict) else None
        if not isinstance(inner, dict) or inner.keys() != {"type", "id"}:
            raise ValueError("not an entity")
        kind, name = inner["type"], inner["id"]
    if kind != entity_type or not isinstance(name, str):
        raise ValueError(f"not a {entity_type}")
    return EntityUid(entity_type, name)

"""Reads Cedar's extension values from text: `decimal("1.5")`, `ip(..)`, `datetime(..)`, `duration(..)`.

Exactly the spellings that Cedar takes and no other. Source: Cedar language reference, "Extension types".
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from mintwarden.model.values import LONG_MAX, LONG_MIN, Datetime, Decimal4, Duration, IpAddress
from mintwarden.policy.cedar.faults import Fault

DAY = 86_400_000

_DECIMAL = re.compile(r"(-?)([0-9]+)\.([0-9]+)\Z")
_DURATION = re.compile(r"(-?)(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?(?:([0-9]+)ms)?\Z")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_TIME = re.compile(r"T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{3}))?(?:Z|([+-])([0-9]{2})([0-9]{2}))\Z")
_PREFIX = re.compile(r"(?:0|[1-9][0-9]{0,2})\Z")
_DURATION_UNITS = (DAY, 3_600_000, 60_000, 1_000, 1)
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def long(value: int) -> int:
    """`value`, if it fits a signed 64-bit integer."""
    if LONG_MIN <= value <= LONG_MAX:
        return value
    raise Fault("integer overflow")


def _digits(text: str) -> int:
    significant = text.lstrip("0")
    if len(significant) > 20:
        raise Fault("integer overflow")
    return int(significant or "0")


def read_decimal(text: str) -> Decimal4:
    """At least one digit on either side of the point, at most four after it."""
    match = _DECIMAL.match(text)
    if match is None:
        raise Fault(f"`{text}` is not a decimal")
    sign, whole, fraction = match.groups()
    if len(fraction) > 4:
        raise Fault(f"`{text}` has more than four digits after the point")
    units = _digits(whole) * 10_000 + int(fraction.ljust(4, "0"))
    return Decimal4(long(-units if sign else units))


def read_duration(text: str) -> Duration:
    """Days, hours, minutes, seconds and milliseconds in that order, each at most once, the whole perhaps negative."""
    match = _DURATION.match(text)
    if match is None or text in ("", "-"):
        raise Fault(f"`{text}` is not a duration")
    sign, *parts = match.groups()
    millis = sum(_digits(part) * unit for part, unit in zip(parts, _DURATION_UNITS, strict=True) if part)
    return Duration(long(-millis if sign else millis))


def read_datetime(text: str) -> Datetime:
    """A date, or a date with a time that ends in `Z` or an offset such as `+0130`."""
    date = _DATE.match(text)
    if date is None:
        raise Fault(f"`{text}` is not a datetime")
    year, month, day = (int(part) for part in date.groups())
    millis = _days(text, year, month, day) * DAY
    if date.end() == len(text):
        return Datetime(millis)
    time = _TIME.match(text, date.end())
    if time is None:
        raise Fault(f"`{text}` is not a datetime")
    hour, minute, second, fraction, sign, off_hour, off_minute = time.groups()
    if int(hour) > 23 or int(minute) > 59 or int(second) > 59:
        raise Fault(f"`{text}` is not a time of day")
    millis += ((int(hour) * 60 + int(minute)) * 60 + int(second)) * 1000 + int(fraction or 0)
    if sign:
        if int(off_hour) > 23 or int(off_minute) > 59:
            raise Fault(f"`{text}` has no valid offset")
        offset = (int(off_hour) * 60 + int(off_minute)) * 60_000
        millis += offset if sign == "-" else -offset
    return Datetime(millis)


def _days(text: str, year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the proleptic Gregorian calendar, the year 0 included (Python's stops at 1)."""
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= month <= 12 or not 1 <= day <= _MONTH_DAYS[month - 1] + (leap and month == 2):
        raise Fault(f"`{text}` is not a day of the calendar")
    shifted = year - (month <= 2)
    era, of_era = divmod(shifted, 400)
    of_year = (153 * (month + (9 if month <= 2 else -3)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def read_ip(text: str) -> IpAddress:
    """An IPv4 or IPv6 address, with a prefix length if it is a range; no IPv4 inside IPv6, no zone."""
    address_text, slash, prefix_text = text.partition("/")
    address = _address(text, address_text)
    size = 32 if isinstance(address, IPv4Address) else 128
    if not slash:
        prefix = size
    elif _PREFIX.match(prefix_text) and int(prefix_text) <= size and len(prefix_text) <= len(str(size)):
        prefix = int(prefix_text)
    else:
        raise Fault(f"`{text}` has no valid prefix length")
    host = int(address)
    spelled = _spell(address) if prefix == size else f"{_spell(address)}/{prefix}"
    if isinstance(address, IPv4Address):
        return IpAddress(IPv4Network((host, prefix), strict=False), host, spelled)
    return IpAddress(IPv6Network((host, prefix), strict=False), host, spelled)


def _address(whole: str, text: str) -> IPv4Address | IPv6Address:
    if not text.isascii() or "%" in text or (":" in text and "." in text):
        raise Fault(f"`{whole}` is not an IP address")
    try:
        return IPv6Address(text) if ":" in text else IPv4Address(text)
    except ValueError:
        raise Fault(f"`{whole}` is not an IP address") from None


def _spell(address: IPv4Address | IPv6Address) -> str:
    """The same on every Python, and never with an IPv4 address inside IPv6, which Cedar would not read."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        low = int(address) & 0xFFFF_FFFF
        return f"::ffff:{low >> 16:x}:{low & 0xFFFF:x}"
    return str(address)

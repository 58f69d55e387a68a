"""What a single value may be: names, texts, choices, numbers, durations, moments, addresses, networks."""

from __future__ import annotations

import datetime
import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

from mintwarden.policy.bundle.problem import Place, Problems, quote
from mintwarden.policy.bundle.shape import BAD, Kind
from mintwarden.policy.durations import written

DURATION = re.compile(r"([0-9]{1,9})([smhd])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LOOPBACK = ("127.0.0.1", "::1", "localhost")
_LONGEST = 10 * 366 * 86400

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_ENTITY_ID = re.compile(r"[!#-\[\]-~]{1,256}", re.ASCII)
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}", re.ASCII)
_IDENT = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"\*|(?:\*\.)?{_LABEL}(?:\.{_LABEL}){{0,30}}|\[[0-9a-f:.]{{2,45}}\]", re.ASCII)
_CLAIM = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}", re.ASCII)

RESERVED_WORDS = frozenset(
    "true false if then else in is like has __cedar null as break const continue for function import let loop "
    "package namespace return var void while subject context scopes principal action resource".split()
)
"""Words of Cedar or CEL that a fact cannot be called by."""


def matching(pattern: re.Pattern[str], what: str) -> Kind:
    """Text of a fixed notation."""

    def check(value: Any, place: Place, problems: Problems) -> Any:
        if isinstance(value, str) and pattern.fullmatch(value):
            return value
        problems.add(place, f"{quote(value)} is not {what}", 'see `docs/bundle.md`, "Names and values"')
        return BAD

    return check


identifier = matching(_ID, "an id: letters, digits, `.`, `_` and `-`, at most 128")
entity_id = matching(_ENTITY_ID, 'an id: printable ASCII without spaces, `"` and `\\`, at most 256')
scope_name = matching(_SCOPE, "a scope name (RFC 6749 section 3.3)")
host_pattern = matching(_HOST, "a host name in small letters, `*.` and a domain, or `*`")
claim_name = matching(_CLAIM, 'a claim name: printable ASCII without spaces, `"` and `\\`')


def fact_name(value: Any, place: Place, problems: Problems) -> Any:
    """The name of a fact: an identifier that neither Cedar nor CEL reserves."""
    if isinstance(value, str) and _IDENT.fullmatch(value) and value not in RESERVED_WORDS:
        return value
    problems.add(place, f"{quote(value)} is not a fact name", "use letters, digits and `_`, and no reserved word")
    return BAD


def text(*, most: int = 2_000, least: int = 1) -> Kind:
    """Text for people."""

    def check(value: Any, place: Place, problems: Problems) -> Any:
        if not isinstance(value, str):
            problems.add(place, f"`{place.path[-1]}` is not a string", "write it in quotation marks")
            return BAD
        if not least <= len(value) <= most:
            problems.add(place, f"`{place.path[-1]}` has {len(value)} characters", f"use {least} to {most}")
            return BAD
        return value

    return check


def choice(*options: str) -> Kind:
    """One of a closed list."""

    def check(value: Any, place: Place, problems: Problems) -> Any:
        if isinstance(value, str) and value in options:
            return value
        problems.add(place, f"unknown value {quote(value)} for `{_key(place)}`", problems.near(value, options))
        return BAD

    return check


def boolean(value: Any, place: Place, problems: Problems) -> Any:
    """`true` or `false`."""
    if isinstance(value, bool):
        return value
    problems.add(place, f"{quote(value)} is neither `true` nor `false`", "write `true` or `false`, without quotes")
    return BAD


def integer(least: int, most: int) -> Kind:
    """A whole number within bounds."""

    def check(value: Any, place: Place, problems: Problems) -> Any:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        problems.add(place, f"{quote(value)} is not a whole number from {least} to {most}", "change the number")
        return BAD

    return check


def share(value: Any, place: Place, problems: Problems) -> Any:
    """A number from 0 to 1."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    problems.add(place, f"{quote(value)} is not a number from 0 to 1", "write a share such as `0.05`")
    return BAD


def duration(*, least: int = 1, most: int = _LONGEST) -> Kind:
    """A duration as whole seconds: `300s`, `15m`, `1h`, `2d`."""

    def check(value: Any, place: Place, problems: Problems) -> Any:
        seconds = seconds_of(value) if isinstance(value, str) else None
        if seconds is None:
            problems.add(place, f"{quote(value)} is not a duration", "write `300s`, `15m`, `1h` or `2d`")
            return BAD
        if not least <= seconds <= most:
            problems.add(place, f"{quote(value)} is out of range", f"use {written(least)} to {written(most)}")
            return BAD
        return seconds

    return check


def seconds_of(value: str) -> int | None:
    """Whole seconds of a duration, or None if it is none."""
    found = DURATION.fullmatch(value)
    return None if found is None else int(found[1]) * _UNITS[found[2]]


def moment(value: Any, place: Place, problems: Problems) -> Any:
    """A point in time (RFC 3339 text or a TOML datetime with an offset) as `Millis`."""
    at = value
    if isinstance(value, str) and len(value) <= 40:
        try:
            at = datetime.datetime.fromisoformat(value)
        except ValueError:
            at = None
    if isinstance(at, datetime.datetime) and at.tzinfo is not None:
        past = at - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
        return past // datetime.timedelta(milliseconds=1)
    problems.add(place, f"{quote(value)} is not a time with its zone", "write it as `2026-11-24T02:30:00Z`")
    return BAD


def https_url(value: Any, place: Place, problems: Problems) -> Any:
    """An absolute https URL without credentials or fragment; http for loopback only."""
    if isinstance(value, str) and len(value) <= 2_000 and _is_good_url(value):
        return value
    problems.add(place, f"{quote(value)} is not an https URL", "write `https://host/path`, nothing before the host")
    return BAD


def _is_good_url(value: str) -> bool:
    if any(c.isspace() or not c.isprintable() for c in value):
        return False
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return False
    loopback = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    schemes = ("https", "http") if loopback else ("https",)
    return parts.scheme in schemes and bool(parts.hostname) and "@" not in parts.netloc and "#" not in value


def identifier_uri(value: Any, place: Place, problems: Problems) -> Any:
    """A resource identifier: an absolute URI without fragment (RFC 8707 section 2)."""
    if isinstance(value, str) and 0 < len(value) <= 2_000 and "#" not in value and value.isascii():
        scheme, colon, rest = value.partition(":")
        if colon and rest and scheme[:1].isalpha() and value.isprintable() and not any(c in value for c in ' "\\<>'):
            return value
    problems.add(place, f"{quote(value)} is not an absolute URI without fragment", "write `https://host/path` or a URN")
    return BAD


def redirect_uri(value: Any, place: Place, problems: Problems) -> Any:
    """Where an authorization response may go: https, http on a loopback address (RFC 8252), or an app's own scheme."""
    if isinstance(value, str) and 0 < len(value) <= 2_000 and value.isascii() and value.isprintable():
        try:
            parts = urlsplit(value)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            parts, host = urlsplit(""), ""
        if not ("#" in value or parts.username or parts.password or any(c in value for c in ' "\\<>*')):
            if parts.scheme == "https" and host:
                return value
            if parts.scheme == "http" and host in LOOPBACK:
                return value
            if "." in parts.scheme and value.startswith(f"{parts.scheme}:/"):
                return value
    what = f"{quote(value)} is not a redirect URI"
    problems.add(place, what, "write `https://host/path`, `http://127.0.0.1/path` or `com.example.app:/path`")
    return BAD


def origin(value: Any, place: Place, problems: Problems) -> Any:
    """Where a page comes from, as a browser writes it (RFC 6454 section 6.2): https, or http on a loopback address."""
    if isinstance(value, str) and len(value) <= 300 and value.isascii() and value == value.lower():
        try:
            parts = urlsplit(value)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            parts, host, port = urlsplit(""), "", None
        written = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{'' if port is None else f':{port}'}"
        secure = parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)
        usual = {"https": 443, "http": 80}.get(parts.scheme)
        if secure and value == written and port != usual and re.fullmatch(r"[a-z0-9.:-]+", host):
            return value
    problems.add(
        place, f"{quote(value)} is not an origin", "write `https://host` or `https://host:port`, without a path"
    )
    return BAD


def network(value: Any, place: Place, problems: Problems) -> Any:
    """A network in CIDR notation, or a single address, as text."""
    try:
        if isinstance(value, str) and len(value) <= 64:
            return str(ipaddress.ip_network(value, strict=True))
        reason = "is not a network"
    except ValueError as error:
        reason = "has host bits set" if "host bits" in str(error) else "is not a network"
    problems.add(place, f"{quote(value)} {reason}", "write it as `10.20.0.0/16`")
    return BAD


def one_of(name: str, *options: Any) -> Kind:
    """`name`'s value is the first of `options` kinds whose type fits (a string, else the array kind)."""
    for_text, for_list = options

    def check(value: Any, place: Place, problems: Problems) -> Any:
        return (for_text if isinstance(value, str) else for_list)(value, place, problems)

    check.__doc__ = name
    return check


def _key(place: Place) -> str:
    return next((str(step) for step in reversed(place.path) if isinstance(step, str)), "value")

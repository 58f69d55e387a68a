"""From what a file or the environment says to a checked value."""

from __future__ import annotations

import contextlib
import enum
import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from urllib.parse import SplitResult, urlsplit

import msgspec

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB)", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_SEALING = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_LONGEST_SHOWN = 60


class Unit(enum.Enum):
    """How a value is spelled."""

    DURATION = "duration"
    SIZE = "size"
    PATH = "path"
    FOLDER = "folder"
    STORE = "store"
    SECRET_URL = "secret-url"  # noqa: S105 - the name of a spelling
    URL = "url"
    HOST = "host"
    VARIABLE = "variable"
    NETWORKS = "networks"


class WrongValue(ValueError):
    """A value that cannot be meant: what is wrong with it, and what to write. Never holds a secret."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy


def lasting(least: str, most: str) -> msgspec.Meta:
    """A duration within bounds that are spelled as durations are."""
    return msgspec.Meta(extra={"unit": Unit.DURATION, "least": least, "most": most})


def sized(least: str, most: str) -> msgspec.Meta:
    """A size within bounds that are spelled as sizes are."""
    return msgspec.Meta(extra={"unit": Unit.SIZE, "least": least, "most": most})


def unit_of(kind: Any) -> Unit | None:
    """The spelling that a field's type asks for."""
    return _extra(kind).get("unit")


def _extra(kind: Any) -> Mapping[str, Any]:
    for extra in get_args(kind)[1:]:
        if isinstance(extra, msgspec.Meta) and extra.extra and "unit" in extra.extra:
            return extra.extra
    return {}


def convert_value(value: Any, kind: Any, *, base: Path, lax: bool) -> Any:
    """`value` as `kind` says; `lax` for text from the environment. Raises `WrongValue`."""
    extra = _extra(kind)
    unit = extra.get("unit")
    if unit is Unit.DURATION:
        return _duration(value, extra["least"], extra["most"])
    if unit is Unit.SIZE:
        return _size(value, extra["least"], extra["most"])
    if unit is Unit.NETWORKS and lax:
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        converted = msgspec.convert(value, kind, strict=not lax)
    except msgspec.ValidationError as error:
        raise _mistyped(value, kind, str(error)) from error
    if unit in (Unit.PATH, Unit.FOLDER):
        return _path(converted, base, may_be_empty=unit is Unit.PATH)
    check = _CHECKS.get(unit) if unit is not None else None
    return check(converted, base) if check is not None else converted


def _mistyped(value: Any, kind: Any, told: str) -> WrongValue:
    if get_origin(kind) is Literal and isinstance(value, str):
        return WrongValue(f"unknown value {_shown(value)}", _wanted(kind))
    what = re.sub(r" - at `\$\[(\d+)\].*`", lambda at: f" (number {int(at[1]) + 1})", told.rstrip("."))
    return WrongValue(what[:1].lower() + what[1:], _wanted(kind))


def _wanted(kind: Any) -> str:
    """What to write for a value of this type."""
    if get_origin(kind) is Literal:
        options = [f"`{option}`" for option in get_args(kind)]
        return f"write {', '.join(options[:-1])} or {options[-1]}"
    bounds = next((extra for extra in get_args(kind)[1:] if isinstance(extra, msgspec.Meta)), None)
    plain = get_args(kind)[0] if bounds is not None else kind
    if plain is bool:
        return "write `true` or `false`, without quotes"
    if plain is str:
        return "write it in quotation marks"
    if plain in (int, float):
        number = "a whole number" if plain is int else "a number"
        return f"write {number}{_between(bounds)}, without quotes"
    if unit_of(kind) is Unit.NETWORKS:
        return 'write a list, such as `["10.0.0.0/8"]`'
    inner = get_args(plain)[0] if get_args(plain) else None
    if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
        return f"each is a table with {', '.join(f'`{name}`' for name in inner.__struct_fields__)}"
    return "see `docs/operations.md`"


def _between(bounds: msgspec.Meta | None) -> str:
    if bounds is None:
        return ""
    least = f" from {bounds.ge}" if bounds.ge is not None else f" above {bounds.gt}" if bounds.gt is not None else ""
    return f"{least}{f' to {bounds.le}' if bounds.le is not None else ''}"


def _shown(value: object) -> str:
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))
    return f"`{text}`" if len(text) <= _LONGEST_SHOWN else f"`{text[:_LONGEST_SHOWN]}...`"


# -- durations and sizes ----------------------------------------------------------------------------------------------


def _duration(value: Any, least: str, most: str) -> float:
    remedy = f"write a duration with its unit (`ms`, `s`, `m`, `h`, `d`), from `{least}` to `{most}`"
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        found = _seconds(value) if isinstance(value, str) else None
        if found is None:
            raise WrongValue(f"{_shown(value)} is not a duration", remedy)
        seconds = found
    if not (_seconds(least) or 0) <= seconds <= (_seconds(most) or 0):
        raise WrongValue(f"{_shown(value)} is out of range", remedy)
    return seconds


def _seconds(text: str) -> float | None:
    match = _DURATION.fullmatch(text)
    return float(match[1]) * _UNITS[match[2]] if match else None


def _size(value: Any, least: str, most: str) -> int:
    remedy = f"write a size with its unit, from `{least}` to `{most}`"
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        found = _bytes(value) if isinstance(value, str) else None
        if found is None:
            bare = isinstance(value, str) and value.strip().isdecimal()
            raise WrongValue(f"{_shown(value)} {'has no unit' if bare else 'is not a size'}", remedy)
        size = found
    if not (_bytes(least) or 0) <= size <= (_bytes(most) or 0):
        raise WrongValue(f"{_shown(value)} is out of range", remedy)
    return size


def _bytes(text: str) -> int | None:
    match = _SIZE.fullmatch(text)
    return int(match[1]) * _SIZES[match[2]] if match else None


# -- places -----------------------------------------------------------------------------------------------------------


def _path(path: str, base: Path, *, may_be_empty: bool) -> str:
    if not path:
        if may_be_empty:
            return ""
        raise WrongValue("a path is empty", "name a file or folder, or leave the key out")
    if path.startswith("~"):
        raise WrongValue(
            f"`~` in {_shown(path)} means nothing here", "write the whole path, or one relative to the file"
        )
    if "\0" in path:
        raise WrongValue(f"{_shown(path)} is not a path", "write it without control characters")
    return str((base / path).resolve())


def _networks(value: tuple[str, ...], _base: Path) -> tuple[str, ...]:
    for network in value:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            remedy = "write networks such as `10.0.0.0/8`"
            with contextlib.suppress(ValueError):
                remedy = f"did you mean `{ipaddress.ip_network(network, strict=False)}`?"
            raise WrongValue(f"{_shown(network)} is not a network", remedy) from None
    return value


def _host(host: str, _base: Path) -> str:
    remedy = "write an address or a name alone, such as `127.0.0.1`, `::1`, or `0.0.0.0` for every address"
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if re.fullmatch(r"(?:\[.*\]|[^:]*):\d+", host):
            remedy = "write the address alone; the port is `server.port`"
        if not _HOST.fullmatch(host):
            raise WrongValue(f"{_shown(host)} is not an address to listen on", remedy) from None
    return host


def _variable(name: str, _base: Path) -> str:
    """The name is not shown where it may be the secret itself, written in the wrong place."""
    if name and (not _VARIABLE.fullmatch(name) or _SEALING.fullmatch(name)):
        raise WrongValue(
            "this is not the name of a variable", "name the variable that holds the secret, never the secret itself"
        )
    return name


# -- addresses --------------------------------------------------------------------------------------------------------


def split_url(url: str) -> SplitResult | None:
    """The parts of an absolute URL with a host and a port that can be, or None if it is none."""
    if any(c.isspace() or not c.isprintable() for c in url):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.scheme and parts.hostname else None


def _url(url: str, _base: Path) -> str:
    parts = split_url(url)
    if url and (parts is None or parts.scheme not in ("http", "https") or parts.fragment):
        raise WrongValue(f"{_shown(url) if '@' not in url else 'this'} is not a URL", "write it as `https://host/path`")
    return url


def _secret_url(url: str, base: Path) -> str:
    return _store(url, base) if url.startswith("sqlite:") else url


def _store(url: str, base: Path) -> str:
    """It may hold a password: what is wrong is told without it."""
    wanted = "write `sqlite:///path` or `postgresql://user:password@host/database`"
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("sqlite", "postgresql"):
        raise WrongValue("this is not the URL of a store", wanted)
    if scheme == "sqlite":
        if not rest.startswith("/") or rest.endswith("/") or "?" in rest or "\0" in rest:
            raise WrongValue("this is not the URL of a file", "write `sqlite:///path`, relative to this file or whole")
        return f"sqlite:///{(base / rest[1:]).resolve()}"
    try:
        parts = urlsplit(url)
        good = parts.port != 0 and not parts.fragment and parts.path.count("/") == 1 and len(parts.path) > 1
    except ValueError:
        good = False
    if not good:
        more = "; write `/`, `#`, `?`, `@` and `%` in a password as `%2F`, `%23`, `%3F`, `%40` and `%25`"
        raise WrongValue(
            "this names no database of PostgreSQL", f"write `postgresql://user:password@host/database`{more}"
        )
    return url


_CHECKS: Mapping[Unit, Callable[[Any, Path], Any]] = {
    Unit.NETWORKS: _networks,
    Unit.HOST: _host,
    Unit.VARIABLE: _variable,
    Unit.URL: _url,
    Unit.SECRET_URL: _secret_url,
    Unit.STORE: _store,
}

"""From what a file or the environment says to a checked value."""

from __future__ import annotations

import enum
import ipaddress
import re
from pathlib import Path
from typing import Any, get_args

import msgspec

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


class Unit(enum.Enum):
    """How a value is spelled."""

    DURATION = "duration"
    SIZE = "size"
    MEMORY = "memory"
    PATH = "path"
    STORE = "store"
    SECRET_URL = "secret-url"  # noqa: S105 - the name of a spelling
    NETWORKS = "networks"


def override_name(path: tuple[str, ...]) -> str:
    """The environment variable that overrides a key."""
    return "MINTWARDEN_" + "_".join(re.sub(r"[^A-Za-z0-9]", "_", step).upper() for step in path)


def unit_of(kind: Any) -> Unit | None:
    """The spelling that a field's type asks for."""
    for extra in get_args(kind)[1:]:
        if isinstance(extra, msgspec.Meta) and extra.extra and "unit" in extra.extra:
            unit: Unit = extra.extra["unit"]
            return unit
    return None


def convert_value(value: Any, kind: Any, *, base: Path, lax: bool) -> Any:
    """`value` as `kind` says; `lax` for text from the environment. Raises `ValueError` with what is wrong."""
    unit = unit_of(kind)
    if unit is Unit.DURATION:
        return _duration(value)
    if unit is Unit.SIZE:
        return _size(value, 1, 1024**3, "at most `1GiB`")
    if unit is Unit.MEMORY:
        return _size(value, 256 * 1024**2, 64 * 1024**3, "from `256MiB` to `64GiB`")
    if unit is Unit.NETWORKS and lax:
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        converted = msgspec.convert(value, kind, strict=not lax)
    except msgspec.ValidationError as error:
        raise ValueError(_lower(str(error))) from error
    if unit is Unit.NETWORKS:
        return _networks(converted)
    if unit is Unit.PATH and converted:
        return str((base / converted).resolve())
    if unit is Unit.STORE:
        return _store(converted, base)
    if unit is Unit.SECRET_URL and converted.startswith("sqlite:"):
        return _store(converted, base)
    return converted


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")


def _duration(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise ValueError("expected a duration such as `500ms`, `30s`, `15m`, `1h` or `2d`")
        seconds = float(match[1]) * _UNITS[match[2]]
    if not 0 < seconds <= 10 * 366 * 86400:
        raise ValueError("a duration lies between zero and ten years")
    return seconds


def _size(value: Any, least: int, most: int, bounds: str) -> int:
    match = _SIZE.fullmatch(str(value)) if isinstance(value, int | str) and not isinstance(value, bool) else None
    size = int(match[1]) * _SIZES[match[2] or ""] if match else 0
    if not least <= size <= most:
        raise ValueError(f"expected a size such as `65536` or `64KiB`, {bounds}")
    return size


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for network in value:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise ValueError(f"`{network}` is not a network such as `10.0.0.0/8`") from None
    return value


def _store(url: str, base: Path) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("sqlite", "postgresql"):
        raise ValueError("expected `sqlite:///path` or `postgresql://user:password@host/database`")
    if scheme == "sqlite":
        if not rest.startswith("/") or rest == "/":
            raise ValueError("expected `sqlite:///path`")
        return f"sqlite:///{(base / rest[1:]).resolve()}"
    return url

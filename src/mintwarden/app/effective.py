"""The values in force, one row per key, fit to be shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import msgspec

from mintwarden.app.config import NAMED, SECTIONS, Config, Section
from mintwarden.app.convert import Unit, unit_of


class EffectiveValue(NamedTuple):
    """One key: its value, secrets masked, and where it comes from."""

    key: str
    value: Any
    origin: str

    @property
    def shown(self) -> str:
        """The value as a person reads it."""
        return self.value if isinstance(self.value, str) else msgspec.json.encode(self.value).decode()


def effective_values(config: Config) -> list[EffectiveValue]:
    """Every key in documented order."""
    rows: list[EffectiveValue] = []
    for name in SECTIONS:
        rows.extend(_rows((name,), getattr(config, name), config))
    for name in NAMED:
        for key, section in getattr(config, name).items():
            rows.extend(_rows((name, key), section, config))
    return rows


def _rows(place: tuple[str, ...], section: Section, config: Config) -> Iterator[EffectiveValue]:
    for spec in msgspec.structs.fields(type(section)):
        key = ".".join((*place, spec.name))
        value = msgspec.to_builtins(getattr(section, spec.name))
        if unit_of(spec.type) in (Unit.STORE, Unit.SECRET_URL, Unit.URL):
            value = mask_url(value)
        yield EffectiveValue(key, value, config.origins.get(key, "default"))


def mask_url(url: str) -> str:
    """`url` without its password, and without the values of its query, which may hold one too."""
    parts = urlsplit(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    user, colon, _ = userinfo.partition(":")
    query = "&".join(f"{part.partition('=')[0]}=***" for part in parts.query.split("&") if part)
    netloc = f"{user}{':***' if colon else ''}{at}{host}"
    return urlunsplit((parts.scheme, netloc, parts.path, query, "")) if netloc or query else url

"""Facts, and the types of values in a bundle: of facts, of claims, of the fields of authorization details."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct


class FactType(Struct, frozen=True, kw_only=True):
    """The type of a fact. `element` for `set`, `fields` for `record`, `entity` for `entity`."""

    kind: Literal["bool", "long", "string", "decimal", "datetime", "duration", "ipaddr", "set", "record", "entity"]
    element: FactType | None = None
    fields: Mapping[str, FactType] = {}
    entity: str = ""


class Fact(Struct, frozen=True, kw_only=True):
    """One fact that a source provides. `optional` facts may be absent without harm: rules must ask with `has`."""

    name: str
    type: FactType
    optional: bool = False
    sensitivity: str = "internal"

"""The types of facts and claims as a bundle spells them."""

from __future__ import annotations

from typing import Any

from mintwarden.model.fact_type import FactType
from mintwarden.policy.bundle.problem import Place, Problems, quote
from mintwarden.policy.bundle.shape import BAD

_SIMPLE = ("bool", "long", "string", "decimal", "datetime", "duration", "ipaddr")

FACT_TYPES: dict[str, FactType] = {
    **{name: FactType(kind=name) for name in _SIMPLE},  # type: ignore[arg-type]
    "set<string>": FactType(kind="set", element=FactType(kind="string")),
    "set<long>": FactType(kind="set", element=FactType(kind="long")),
}
"""Every spelling and its type."""

_CEDAR = {"bool": "Bool", "long": "Long", "string": "String"}


def fact_type(value: Any, place: Place, problems: Problems) -> Any:
    """A type by its spelling."""
    found = FACT_TYPES.get(value) if isinstance(value, str) else None
    if found is not None:
        return found
    problems.add(place, f"unknown type {quote(value)}", problems.near(value, FACT_TYPES))
    return BAD


def spelled(kind: FactType) -> str:
    """The spelling of a type."""
    return f"set<{spelled(kind.element)}>" if kind.kind == "set" and kind.element else kind.kind


def cedar_type(kind: FactType) -> str:
    """The type in Cedar's schema language."""
    if kind.kind == "set" and kind.element is not None:
        return f"Set<{cedar_type(kind.element)}>"
    return _CEDAR.get(kind.kind, kind.kind)

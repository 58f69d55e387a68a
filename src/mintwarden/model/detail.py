"""Authorization details (RFC 9396): their types as the catalogue declares them, and one as it is asked for or held."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct

from mintwarden.model.fact_type import FactType

MEMBER = "authorization_details"
"""The parameter, the claim and the member of answers that hold them."""


class DetailField(Struct, frozen=True, kw_only=True):
    """One field of a type of authorization detail.

    Attributes:
        type: `bool`, `long`, `string`, `decimal`, a set of strings or longs, or `record`.
        required: a detail without it is malformed; rules must ask for any other with `has`.
        one_of: the only strings that it, or an element of it, may be; empty for any.
        narrows: `at_most`: a smaller number is narrower than an earlier token's; else see `policy.details.is_within`.
        fields: the members of a `record`.
    """

    name: str
    type: FactType
    required: bool = False
    one_of: tuple[str, ...] = ()
    narrows: Literal["", "at_most"] = ""
    fields: Mapping[str, DetailField] = {}


class DetailType(Struct, frozen=True, kw_only=True):
    """One type of authorization detail (RFC 9396). Names are unique in a bundle, and no scope's."""

    name: str
    audience: str
    meaning: str
    tier: str
    fields: Mapping[str, DetailField] = {}


class Detail(Struct, frozen=True, kw_only=True):
    """One authorization detail.

    Attributes:
        type: its `type`.
        fields: all other members as JSON has them, at every depth in the order of their names.
    """

    type: str
    fields: Mapping[str, Any] = {}

    @property
    def said(self) -> dict[str, Any]:
        """As it stands in requests, tokens and answers."""
        return {"type": self.type, **self.fields}


def detail_of(said: Mapping[str, Any]) -> Detail:
    """An object of JSON that has a `type` as a detail."""
    return Detail(type=said["type"], fields={name: in_order(said[name]) for name in sorted(said) if name != "type"})


def in_order(value: Any) -> Any:
    """JSON with the members of its objects in the order of their names."""
    if isinstance(value, dict):
        return {name: in_order(value[name]) for name in sorted(value)}
    return [in_order(element) for element in value] if isinstance(value, list) else value


def granted_details(asked: Iterable[Detail], granted: Iterable[bool]) -> list[dict[str, Any]]:
    """What is granted of what was asked, as it stands in tokens and answers."""
    return [detail.said for detail, is_granted in zip(asked, granted, strict=True) if is_granted]

"""Cedar values as Python values: what facts are made of and what compiled rules compute with.

    Bool -> bool      Long -> int       String -> str
    Set  -> frozenset Record -> Record  Entity -> EntityUid
    decimal -> Decimal4   ipaddr -> IpAddress   datetime -> Datetime   duration -> Duration

Sets are homogeneous and every value is hashable. Source: Cedar language reference, "Data types".
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Any, NamedTuple, NoReturn

LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1


class EntityUid(NamedTuple):
    """The name of an entity, such as `User::"alice"`."""

    type: str
    id: str

    def __str__(self) -> str:
        return f'{self.type}::"{self.id}"'


class Decimal4(NamedTuple):
    """A Cedar `decimal`: a whole number of ten-thousandths."""

    units: int


class Datetime(NamedTuple):
    """A Cedar `datetime`: milliseconds since the epoch."""

    millis: int


class Duration(NamedTuple):
    """A Cedar `duration` in milliseconds."""

    millis: int


class IpAddress(NamedTuple):
    """A Cedar `ipaddr`: an address or a range; an address is a range of one, host bits kept.

    `text` is the canonical spelling; equality in Cedar is equality of address and prefix.
    """

    network: IPv4Network | IPv6Network
    host: int
    text: str

    def __eq__(self, other: object) -> bool:
        return type(other) is IpAddress and self[:2] == other[:2]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self[:2])


class Record(dict[str, "Value"]):
    """An immutable, hashable Cedar record."""

    __slots__ = ()

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def _refuse(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise TypeError("a record does not change")

    __setitem__ = _refuse
    __delitem__ = _refuse
    __ior__ = _refuse
    clear = _refuse
    pop = _refuse
    popitem = _refuse
    setdefault = _refuse
    update = _refuse


Value = bool | int | str | frozenset[Any] | Record | EntityUid | Decimal4 | Datetime | Duration | IpAddress


class Entity(NamedTuple):
    """An entity as a rule sees it: its name, its attributes, and every ancestor, near and far."""

    uid: EntityUid
    attrs: Mapping[str, Value]
    ancestors: frozenset[EntityUid] = frozenset()

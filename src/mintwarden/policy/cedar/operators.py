"""What each of Cedar's operators means: stated here once, used by compiled rules and by the explaining walk.

An operator takes values of `model.values` and gives one, or raises `Fault`. Two traps of Python are closed here
and nowhere else: `True == 1`, and a `NamedTuple` equals any tuple with the same members, so that values of
different types compare by `kind` first. `&&`, `||` and `if` are not operators: they decide what is evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

from mintwarden.model.values import (
    Datetime,
    Decimal4,
    Duration,
    Entity,
    EntityUid,
    IpAddress,
    Record,
)
from mintwarden.policy.cedar.faults import Fault, Uncovered
from mintwarden.policy.cedar.literals import DAY, long, read_datetime, read_decimal, read_duration, read_ip

Operator = Callable[..., Any]
Operators = Mapping[str, Operator]

KINDS: Mapping[type, str] = {
    bool: "bool",
    int: "long",
    str: "string",
    frozenset: "set",
    Record: "record",
    EntityUid: "entity",
    Decimal4: "decimal",
    Datetime: "datetime",
    Duration: "duration",
    IpAddress: "ipaddr",
}

_NOTHING: frozenset[EntityUid] = frozenset()
_ORDERED = (int, Datetime, Duration)
_PLAIN = frozenset({bool, int, str, EntityUid, Decimal4, Datetime, Duration, IpAddress})
_UNMISTAKABLE = frozenset({str, EntityUid, IpAddress})
"""Types whose values equal, in Python, no value of another type."""


class World(NamedTuple):
    """One question as the operators see it. Entities other than these two are unknown, as in Cedar."""

    principal: Entity
    action: EntityUid
    resource: Entity
    context: Record

    def entity(self, uid: EntityUid) -> Entity | None:
        """The entity of that name, if it is known."""
        if uid == self.principal.uid:
            return self.principal
        return self.resource if uid == self.resource.uid else None


def kind(value: object) -> str:
    """Cedar's name for the type of a value."""
    return KINDS.get(type(value), type(value).__name__)


def _wrong(value: object, wanted: str) -> NoReturn:
    raise Fault(f"expected {wanted}, got {kind(value)}")


def identity(value: Any) -> Any:
    """Something hashable that is equal exactly for values that are equal in Cedar."""
    of = type(value)
    if of is frozenset:
        return "set", frozenset(map(identity, value))
    if of is Record:
        return "record", frozenset((name, identity(member)) for name, member in value.items())
    return value if of in _UNMISTAKABLE else (of, value)


def boolean(value: Any) -> bool:
    """The value itself, which must be a boolean: what `&&`, `||`, `!`, `if` and a clause insist on."""
    if value is True or value is False:
        return bool(value)
    _wrong(value, "bool")


def equal(left: Any, right: Any) -> bool:
    """`==`: false for different types, never a fault."""
    of = type(left)
    if of is not type(right) or left != right:
        return False
    return of in _PLAIN or bool(identity(left) == identity(right))


def unequal(left: Any, right: Any) -> bool:
    """`!=`."""
    return not equal(left, right)


def negate(value: Any) -> bool:
    """`!`."""
    return not boolean(value)


def _ordered(left: Any, right: Any) -> None:
    of = type(left)
    if of not in _ORDERED:
        _wrong(left, "long, datetime or duration")
    if of is not type(right):
        _wrong(right, kind(left))


def less(left: Any, right: Any) -> bool:
    """`<` on longs, datetimes or durations."""
    _ordered(left, right)
    return bool(left < right)


def less_equal(left: Any, right: Any) -> bool:
    """`<=`."""
    _ordered(left, right)
    return bool(left <= right)


def greater(left: Any, right: Any) -> bool:
    """`>`."""
    _ordered(left, right)
    return bool(left > right)


def greater_equal(left: Any, right: Any) -> bool:
    """`>=`."""
    _ordered(left, right)
    return bool(left >= right)


def _int(value: Any) -> int:
    if type(value) is int:
        return value
    _wrong(value, "long")


def add(left: Any, right: Any) -> int:
    """`+`."""
    return long(_int(left) + _int(right))


def subtract(left: Any, right: Any) -> int:
    """`-`."""
    return long(_int(left) - _int(right))


def multiply(left: Any, right: Any) -> int:
    """`*`."""
    return long(_int(left) * _int(right))


def minus(value: Any) -> int:
    """Unary `-`."""
    return long(-_int(value))


def make_set(elements: tuple[Any, ...]) -> frozenset[Any]:
    """A set literal. A mixed set that Python would merge (`[1, true]`) is for Cedar to judge."""
    made = frozenset(elements)
    if len(made) < len(elements) and len(made) < len(set(map(identity, elements))):
        raise Uncovered("a set of values that only their type tells apart")
    return made


def _set(value: Any) -> frozenset[Any]:
    if type(value) is frozenset:
        return value
    _wrong(value, "set")


def contains(values: Any, element: Any) -> bool:
    """`set.contains(element)`."""
    if element not in _set(values):
        return False
    if type(element) in _UNMISTAKABLE:
        return True
    wanted = identity(element)
    return any(identity(value) == wanted for value in values)


def contains_all(values: Any, others: Any) -> bool:
    """`set.containsAll(set)`."""
    _set(values)
    return all(contains(values, other) for other in _set(others))


def contains_any(values: Any, others: Any) -> bool:
    """`set.containsAny(set)`."""
    _set(values)
    return any(contains(values, other) for other in _set(others))


def is_empty(values: Any) -> bool:
    """`set.isEmpty()`."""
    return not _set(values)


def get(base: Any, name: str, world: World) -> Any:
    """`base.name`."""
    if type(base) is Record:
        if name in base:
            return base[name]
        raise Fault(f"there is no attribute `{name}`")
    if type(base) is not EntityUid:
        _wrong(base, "record or entity")
    entity = world.entity(base)
    if entity is None:
        raise Fault(f"the entity `{base}` is not known")
    if name in entity.attrs:
        return entity.attrs[name]
    raise Fault(f"`{base}` has no attribute `{name}`")


def has(base: Any, name: str, world: World) -> bool:
    """`base has name`."""
    if type(base) is Record:
        return name in base
    if type(base) is not EntityUid:
        _wrong(base, "record or entity")
    entity = world.entity(base)
    return entity is not None and name in entity.attrs


def _entity(value: Any) -> EntityUid:
    if type(value) is EntityUid:
        return value
    _wrong(value, "entity")


def member(child: Any, of: Any, world: World) -> bool:
    """`child in of`, where `of` is an entity or a set of entities."""
    uid = _entity(child)
    wanted: Iterable[EntityUid]
    if type(of) is frozenset:
        wanted = [_entity(element) for element in of]
    elif type(of) is EntityUid:
        wanted = (of,)
    else:
        _wrong(of, "entity or set")
    entity = world.entity(uid)
    ancestors = entity.ancestors if entity is not None else _NOTHING
    return any(ancestor == uid or ancestor in ancestors for ancestor in wanted)


def is_type(value: Any, name: str) -> bool:
    """`value is Type`."""
    return _entity(value).type == name


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    _wrong(value, "string")


def like(value: Any, parts: tuple[str, ...]) -> bool:
    """`value like pattern`; `parts` are the stretches of text between the wildcards. Linear in the text."""
    text = _text(value)
    if len(parts) == 1:
        return text == parts[0]
    first, *middle, last = parts
    end = len(text) - len(last)
    if not text.startswith(first) or not text.endswith(last) or len(first) > end:
        return False
    at = len(first)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def get_tag(base: Any, name: Any, _world: World) -> NoReturn:
    """`base.getTag(name)`: our entities have no tags, so that it always faults."""
    raise Fault(f"`{_entity(base)}` does not have the tag `{_text(name)}`")


def has_tag(base: Any, name: Any, _world: World) -> bool:
    """`base.hasTag(name)`."""
    _entity(base)
    _text(name)
    return False


def decimal(value: Any) -> Decimal4:
    """`decimal("1.5")`."""
    return read_decimal(_text(value))


def ip(value: Any) -> IpAddress:
    """`ip("10.0.0.0/8")`."""
    return read_ip(_text(value))


def datetime(value: Any) -> Datetime:
    """`datetime("2026-11-24T02:30:00Z")`."""
    return read_datetime(_text(value))


def duration(value: Any) -> Duration:
    """`duration("1h30m")`."""
    return read_duration(_text(value))


def _typed(of: type) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        return value if type(value) is of else _wrong(value, KINDS[of])

    return check


_decimal, _ip, _datetime, _duration = _typed(Decimal4), _typed(IpAddress), _typed(Datetime), _typed(Duration)


def _truncated(value: int, by: int) -> int:
    return -(-value // by) if value < 0 else value // by


_LOOPBACK = (read_ip("127.0.0.0/8"), read_ip("::1"))
_MULTICAST = (read_ip("224.0.0.0/4"), read_ip("ff00::/8"))


def _in_range(inner: IpAddress, outer: IpAddress) -> bool:
    size = outer.network.prefixlen
    shift = outer.network.max_prefixlen - size
    same_version = inner.network.version == outer.network.version
    return same_version and size <= inner.network.prefixlen and inner.host >> shift == outer.host >> shift


def _in_any(inner: IpAddress, ranges: tuple[IpAddress, ...]) -> bool:
    """Not `ipaddress.is_loopback` and the like, which judge an IPv4 address inside IPv6 and differ by version."""
    return any(_in_range(inner, outer) for outer in ranges)


STANDARD: Operators = MappingProxyType(
    {
        "boolean": boolean,
        "eq": equal,
        "not_eq": unequal,
        "not": negate,
        "less": less,
        "less_eq": less_equal,
        "greater": greater,
        "greater_eq": greater_equal,
        "add": add,
        "sub": subtract,
        "mul": multiply,
        "neg": minus,
        "make_set": make_set,
        "contains": contains,
        "contains_all": contains_all,
        "contains_any": contains_any,
        "is_empty": is_empty,
        "get": get,
        "has": has,
        "in": member,
        "is": is_type,
        "like": like,
        "get_tag": get_tag,
        "has_tag": has_tag,
        "decimal": decimal,
        "ip": ip,
        "datetime": datetime,
        "duration": duration,
        "decimal_less_than": lambda a, b: _decimal(a) < _decimal(b),
        "decimal_less_eq": lambda a, b: _decimal(a) <= _decimal(b),
        "decimal_greater": lambda a, b: _decimal(a) > _decimal(b),
        "decimal_greater_eq": lambda a, b: _decimal(a) >= _decimal(b),
        "is_ipv4": lambda a: _ip(a).network.version == 4,
        "is_ipv6": lambda a: _ip(a).network.version == 6,
        "is_loopback": lambda a: _in_any(_ip(a), _LOOPBACK),
        "is_multicast": lambda a: _in_any(_ip(a), _MULTICAST),
        "is_in_range": lambda a, b: _in_range(_ip(a), _ip(b)),
        "offset": lambda a, b: Datetime(long(_datetime(a).millis + _duration(b).millis)),
        "duration_since": lambda a, b: Duration(long(_datetime(a).millis - _datetime(b).millis)),
        "to_date": lambda a: Datetime(long(_datetime(a).millis // DAY * DAY)),
        "to_time": lambda a: Duration(_datetime(a).millis % DAY),
        "to_milliseconds": lambda a: _duration(a).millis,
        "to_seconds": lambda a: _truncated(_duration(a).millis, 1_000),
        "to_minutes": lambda a: _truncated(_duration(a).millis, 60_000),
        "to_hours": lambda a: _truncated(_duration(a).millis, 3_600_000),
        "to_days": lambda a: _truncated(_duration(a).millis, DAY),
    }
)
"""By the names of `cedarpy.pst`. A table with other meanings can be compiled with, to show that it is noticed."""

WORLDLY = frozenset({"get", "has", "in", "get_tag", "has_tag"})
"""Operators that also look at the entities."""

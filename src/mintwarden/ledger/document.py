"""The sealed document: what was asked, the facts it was decided on, the claim values; exact both ways.

Deterministic JSON: the same inputs give the same bytes, and reading gives back equal values, so that a decision
can be made again byte for byte. Values: bool, long and string as they are; an array is a set; an object is a
record, unless its one member starts with `$`:

    {"$entity": ["User", "alice"]}  {"$decimal": 12500}  {"$datetime": 1764000000000}  {"$duration": 300000}
    {"$ip": "10.0.0.0/8"}           {"$record": {...}}   a record with `$` in a name
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from mintwarden.ledger.canonical import canonical_json, read_canonical
from mintwarden.model.asked import Asked
from mintwarden.model.decision import Decision
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.exception import ExceptionGrant
from mintwarden.model.facts import Facts, Reading
from mintwarden.model.values import (
    Datetime,
    Decimal4,
    Duration,
    Entity,
    EntityUid,
    IpAddress,
    Record,
    Value,
)

VERSION = 1
_ENCODER = msgspec.json.Encoder(order="deterministic")
_PLAIN = frozenset({str, int, bool})
_SELF_SORTING = ({str}, set[type](), {int})
_Attrs = dict[str, Any]
_Person = tuple[EntityUid, _Attrs, tuple[EntityUid, ...]]


# Evolution: `Asked`, `Reading` and what they hold are written by the names of their fields. A new field has a default,
# so that documents from before are still read; a field is never renamed, and its meaning never changes.


class _FactsForm(Struct, frozen=True, array_like=True):
    subject: _Person
    actors: tuple[_Person, ...]
    context: _Attrs
    readings: Mapping[str, Reading]
    ends: Mapping[str, Mapping[str, int]]
    epoch: int
    exceptions: tuple[ExceptionGrant, ...] = ()


class _DocumentForm(Struct, frozen=True):
    v: int
    asked: Asked
    facts: _FactsForm
    claims: dict[str, Any]
    identity: dict[str, Any] = {}


class SealedDecision(Struct, frozen=True):
    """What a sealed document says: enough to decide again. `claims` are the values as JSON."""

    asked: Asked
    facts: Facts
    claims: Mapping[str, Any]


_DECODER = msgspec.json.Decoder(_DocumentForm)


def decision_document(asked: Asked, facts: Facts, decision: Decision) -> bytes:
    """The document to seal beside a decision. Raises `MintwardenError(LEDGER)` for a value it cannot write."""
    try:
        content = {
            "v": VERSION,
            "asked": asked,
            "facts": _form(facts),
            "claims": {claim.name: claim.value for claim in decision.claims},
        }
        if decision.identity is not None:
            content["identity"] = {claim.name: claim.value for claim in decision.identity.claims}
        return _ENCODER.encode(content)
    except (KeyError, TypeError, ValueError) as error:
        raise MintwardenError(ErrorKind.LEDGER, "a fact or claim value cannot be written down") from error


def governance_document(actor: EntityUid, private: Mapping[str, object]) -> bytes:
    """The document to seal beside an act that governs: who, and what is not public about it."""
    return canonical_json({"v": VERSION, "actor": [actor.type, actor.id], "private": dict(private)})


def read_act(document: bytes) -> Mapping[str, Any]:
    """What a `governance_document` says: `actor` and `private`. Raises `MintwardenError(LEDGER)` otherwise."""
    try:
        said = read_canonical(document)
        return {"actor": said["actor"], "private": said["private"]}
    except (ValueError, TypeError, KeyError) as error:
        raise MintwardenError(ErrorKind.LEDGER, "the sealed part cannot be read") from error


def facts_document(facts: Facts) -> bytes:
    """Facts alone in the same form."""
    return _ENCODER.encode(_form(facts))


def read_facts(document: bytes) -> Facts:
    """The facts of a `facts_document`."""
    return _facts(msgspec.json.decode(document, type=_FactsForm))


def read_document(document: bytes) -> SealedDecision:
    """What a sealed document says. Raises `MintwardenError(LEDGER)` for anything else."""
    try:
        form = _DECODER.decode(document)
        if form.v != VERSION:
            raise ValueError("unknown version")
        return SealedDecision(form.asked, _facts(form.facts), form.claims)
    except (ValueError, RecursionError) as error:
        raise MintwardenError(ErrorKind.LEDGER, "the sealed facts cannot be read") from error


def _form(facts: Facts) -> tuple[object, ...]:
    readings, ends = facts.readings, facts.ends
    form = (
        _person(facts.subject),
        [_person(actor) for actor in facts.actors],
        {name: _WRITERS[type(value)](value) for name, value in facts.context.items()},
        readings if type(readings) is dict else dict(readings),
        {key: dict(elements) for key, elements in ends.items()} if ends else {},
        facts.epoch,
    )
    return (*form, facts.exceptions) if facts.exceptions else form  # without any, the bytes of before there were any


def _person(entity: Entity) -> tuple[object, ...]:
    return (entity.uid, _members(entity.attrs), entity.ancestors)


def _members(members: Mapping[str, Value]) -> dict[str, object]:
    plain = _PLAIN
    return {name: value if type(value) in plain else _WRITERS[type(value)](value) for name, value in members.items()}


def _write(value: Any) -> object:
    return _WRITERS[type(value)](value)


def _write_set(value: frozenset[Any]) -> object:
    # The encoder sorts a set of strings or of integers by itself.
    return value if set(map(type, value)) in _SELF_SORTING else _sorted_set(value)


def _sorted_set(value: frozenset[Any]) -> object:
    written = [element if type(element) in _PLAIN else _write(element) for element in value]
    return [msgspec.Raw(text) for text in sorted([_ENCODER.encode(element) for element in written])]


def _write_record(value: Record) -> object:
    members = value if _PLAIN.issuperset(map(type, value.values())) else _members(value)
    # One look at all names together: a `$` anywhere wraps the record, more often than it must be.
    return {"$record": members} if "$" in "".join(members) else members


_WRITERS: Mapping[type, Callable[[Any], object]] = {
    str: lambda value: value,
    int: lambda value: value,
    bool: lambda value: value,
    frozenset: _write_set,
    Record: _write_record,
    EntityUid: lambda value: {"$entity": value},
    Decimal4: lambda value: {"$decimal": value.units},
    Datetime: lambda value: {"$datetime": value.millis},
    Duration: lambda value: {"$duration": value.millis},
    IpAddress: lambda value: {"$ip": value.text},
}


def _facts(form: _FactsForm) -> Facts:
    return Facts(
        subject=_entity(form.subject),
        actors=tuple(_entity(actor) for actor in form.actors),
        context=Record(_attrs(form.context)),
        readings=form.readings,
        ends=form.ends,
        epoch=form.epoch,
        exceptions=form.exceptions,
    )


def _entity(person: _Person) -> Entity:
    uid, attrs, ancestors = person
    return Entity(uid, _attrs(attrs), frozenset(ancestors))


def _attrs(members: _Attrs) -> _Attrs:
    """The members with values read, in place: they come straight from the decoder, and are nobody else's."""
    plain, read = _PLAIN, _read
    for name, value in members.items():
        if type(value) not in plain:
            members[name] = read(value)
    return members


def _read(value: Any) -> Any:
    kind = type(value)
    if kind is list:
        if _PLAIN.issuperset(map(type, value)):
            return frozenset(value)
        return frozenset([_read(element) for element in value])
    if kind is dict:
        if len(value) == 1:
            ((name, inner),) = value.items()
            if name[:1] == "$":
                return _read_tagged(name, inner)
        return Record(_attrs(value))
    if kind in _PLAIN:
        return value
    raise ValueError("a value of no known kind")


def _read_tagged(name: str, inner: Any) -> Any:
    if type(inner) is int and name in _NUMBERS:
        return _NUMBERS[name](inner)
    if name == "$entity" and isinstance(inner, list) and len(inner) == 2:
        return EntityUid(str(inner[0]), str(inner[1]))
    if name == "$ip" and isinstance(inner, str):
        return _read_ip(inner)
    if name == "$record" and isinstance(inner, dict):
        return Record(_attrs(inner))
    raise ValueError(f"the unknown tag `{name}`")


_NUMBERS: Mapping[str, Callable[[int], Any]] = {"$decimal": Decimal4, "$datetime": Datetime, "$duration": Duration}


@lru_cache(maxsize=4096)
def _read_ip(text: str) -> IpAddress:
    address, slash, prefix = text.partition("/")
    host = ipaddress.ip_address(address)
    length = int(prefix) if slash else host.max_prefixlen
    # By bytes, because a small integer would be taken for IPv4.
    return IpAddress(ipaddress.ip_network((host.packed, length), strict=False), int(host), text)

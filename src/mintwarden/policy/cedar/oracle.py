"""Cedar itself, asked the same question: `Oracle.evaluate` answers like `Slice.evaluate`.

Cedar tells which policies decided, not which held: a forbid that holds hides every permit. So each rule is put to
it as a permit, and every rule that holds is then among the reasons.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any

import cedarpy
from cedarpy import PolicySet

from mintwarden.model.values import Datetime, Decimal4, Duration, Entity, EntityUid, IpAddress, Record, Value
from mintwarden.policy.cedar.faults import Fault
from mintwarden.policy.cedar.operators import World
from mintwarden.policy.cedar.rule import Rule

Verdict = tuple[tuple[Rule, ...], tuple[Rule, ...], tuple[Rule, ...]]
"""Satisfied permits, satisfied forbids, rules that faulted; each in the order of rule ids."""

_FAULTED = re.compile(r"error while evaluating policy `policy(\d+)`")


class Oracle:
    """Some rules as Cedar knows them, parsed when first asked."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules
        self._parsed: PolicySet | None = None

    def evaluate(self, principal: Entity, action: EntityUid, resource: Entity, context: Record) -> Verdict:
        """As `Slice.evaluate`."""
        return self.evaluate_batch([World(principal, action, resource, context)])[0]

    def evaluate_batch(self, worlds: list[World]) -> list[Verdict]:
        """`evaluate` for several questions that share the same entities: those of the first one."""
        if not worlds:
            return []
        if self._parsed is None:
            self._parsed = PolicySet.from_str("\n".join(rule.permit_text for rule in self._rules))
        entities = json.dumps(entities_json(worlds[0].principal, worlds[0].resource))
        results = cedarpy.is_authorized_batch([request_json(world) for world in worlds], self._parsed, entities)
        return [self._read(result) for result in results]

    def _read(self, result: cedarpy.AuthzResult) -> Verdict:
        held = {int(reason.removeprefix("policy")) for reason in result.diagnostics.reasons}
        faulted: set[int] = set()
        for error in result.diagnostics.errors:
            match = _FAULTED.match(error)
            if match is None:
                # INVARIANT: an answer that we cannot read grants nothing.
                return (), (), self._rules
            faulted.add(int(match[1]))
        numbered = list(enumerate(self._rules))
        return (
            tuple(rule for n, rule in numbered if n in held and rule.effect == "permit"),
            tuple(rule for n, rule in numbered if n in held and rule.effect == "forbid"),
            tuple(rule for n, rule in numbered if n in faulted),
        )


def ask(rule: Rule, world: World) -> bool:
    """Whether one rule holds, by Cedar; raises `Fault` where Cedar has an evaluation error."""
    permits, forbids, faulted = Oracle((rule,)).evaluate(*world)
    if faulted:
        raise Fault("Cedar could not evaluate the rule")
    return bool(permits or forbids)


def entities_json(principal: Entity, resource: Entity) -> list[dict[str, Any]]:
    """The two known entities as Cedar's JSON; groups and audiences are names only."""
    entities = [principal] if principal.uid == resource.uid else [principal, resource]
    return [
        {
            "uid": _uid_json(entity.uid),
            "attrs": {name: value_json(value) for name, value in entity.attrs.items()},
            "parents": [_uid_json(ancestor) for ancestor in sorted(entity.ancestors)],
        }
        for entity in entities
    ]


def request_json(world: World) -> dict[str, Any]:
    """A question as Cedar's request."""
    return {
        "principal": _uid_json(world.principal.uid),
        "action": _uid_json(world.action),
        "resource": _uid_json(world.resource.uid),
        "context": value_json(world.context),
    }


def value_json(value: Value) -> Any:
    """A value as Cedar's JSON."""
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, frozenset):
        return [value_json(element) for element in value]
    if isinstance(value, Mapping):
        return {name: value_json(member) for name, member in value.items()}
    if isinstance(value, EntityUid):
        return {"__entity": _uid_json(value)}
    return _extension_json(value)


def _uid_json(uid: EntityUid) -> dict[str, str]:
    return {"type": uid.type, "id": uid.id}


def _extension_json(value: Decimal4 | Datetime | Duration | IpAddress) -> Any:
    if isinstance(value, Decimal4):
        sign, units = ("-" if value.units < 0 else ""), abs(value.units)
        return _call("decimal", f"{sign}{units // 10_000}.{units % 10_000:04d}")
    if isinstance(value, Duration):
        return _call("duration", f"{value.millis}ms")
    if isinstance(value, IpAddress):
        return _call("ip", _ip_text(value))
    epoch = _call("datetime", "1970-01-01")
    return {"__extn": {"fn": "offset", "args": [epoch, _call("duration", f"{value.millis}ms")]}}


def _ip_text(value: IpAddress) -> str:
    """Eight groups for IPv6: a short spelling may hold an IPv4 address, which Cedar does not read."""
    if value.network.version == 4:
        address = str(IPv4Address(value.host))
    else:
        address = ":".join(f"{value.host >> shift & 0xFFFF:x}" for shift in range(112, -1, -16))
    return f"{address}/{value.network.prefixlen}"


def _call(function: str, argument: str) -> dict[str, Any]:
    return {"__extn": {"fn": function, "arg": argument}}

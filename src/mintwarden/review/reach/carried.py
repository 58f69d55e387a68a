"""The facts that carried a grant: what the rules of its route looked at, with source and age."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mintwarden.model.decision import ScopeDecision
from mintwarden.model.values import Entity, Record
from mintwarden.policy.amend import Situation
from mintwarden.policy.explained import FactShown
from mintwarden.policy.plain import plain
from mintwarden.policy.plan import GROUPS

if TYPE_CHECKING:
    from mintwarden.policy.bundle.model import Bundle


def carried(bundle: Bundle, situation: Situation, answer: ScopeDecision) -> tuple[FactShown, ...]:
    """What the subject's route and each actor's could read, absent facts included; each fact once.

    Of groups, only those that the rule asks about, where it names them.
    """
    facts = situation.facts
    routes = [(answer.route, "subject", facts.subject)]
    routes += [
        (route, f"actor:{index}", actor)
        for index, (route, actor) in enumerate(zip(answer.acting, facts.actors, strict=False))
    ]
    found: dict[str, FactShown] = {}
    for name, role, principal in routes:
        rule = bundle.rules.rules.get(name)
        for path in sorted(rule.reads) if rule is not None else ():
            shown = _shown(bundle, situation, path, role, principal, rule.leans_on.get("groups") if rule else None)
            found.setdefault(shown.path, shown)
    return tuple(found.values())


def _shown(
    bundle: Bundle, situation: Situation, path: str, role: str, principal: Entity, named: frozenset[str] | None
) -> FactShown:
    value = _value_at(path, principal, situation.facts.context, named)
    keys = sorted(bundle.plans.sources.keys([path], principal.uid.type, role))
    readings = [situation.facts.readings[key] for key in keys if key in situation.facts.readings]
    observed = [reading.observed_at for reading in readings if reading.observed_at]
    limits = [reading.max_age for reading in readings if reading.max_age]
    states = [reading.state for reading in readings] or ["missing"] * bool(keys)
    return FactShown(
        path=f"{role}{path.removeprefix('principal')}" if path.startswith("principal") else path,
        present=value is not None,
        value=None if value is None else plain(value),
        source=", ".join(key.rpartition("/")[2] for key in keys) or "request",
        state=next((state for state in states if state != "present"), states[0] if states else ""),
        age=max(0, situation.now - min(observed)) // 1000 if observed else None,
        max_age=min(limits) // 1000 if limits else None,
    )


def _value_at(path: str, principal: Entity, context: Record, named: frozenset[str] | None) -> Any:
    root, *names = path.split(".")
    if names == [GROUPS]:
        return frozenset(group for group in principal.ancestors if named is None or group.id in named)
    value: Any = principal.attrs if root == "principal" else context
    for name in names:
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return value

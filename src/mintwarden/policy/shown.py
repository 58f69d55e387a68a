"""A fact as explanations show it: its value, its source, how old it is and may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mintwarden.model.values import Entity, Record
from mintwarden.policy.amend import Situation
from mintwarden.policy.explained import FactShown
from mintwarden.policy.plain import plain
from mintwarden.policy.plan import GROUPS

if TYPE_CHECKING:
    from mintwarden.policy.bundle.model import Bundle


def fact_at(
    bundle: Bundle,
    situation: Situation,
    path: str,
    *,
    role: str,
    principal: Entity,
    groups: frozenset[str] | None = None,
) -> FactShown:
    """The fact at a rule's path, with its source's answer; of groups only those named, where some are."""
    value = _value_at(path, principal, situation.facts.context, groups)
    keys = sorted(bundle.plans.sources.keys([path], principal.uid.type, role))
    shown = f"{role}{path.removeprefix('principal')}" if path.startswith("principal") else path
    return sourced(situation, shown, value, keys)


def sourced(situation: Situation, path: str, value: Any, keys: Iterable[str]) -> FactShown:
    """A value, or None for an absent one, with what the sources of `keys` (`<role>/<source>`) say about it."""
    readings = {key: situation.facts.readings.get(key) for key in keys}
    known = [reading for reading in readings.values() if reading is not None]
    states = [reading.state for reading in known] or ["missing"] * bool(readings)
    observed = [reading.observed_at for reading in known if reading.observed_at]
    limits = [reading.max_age for reading in known if reading.max_age]
    return FactShown(
        path=path,
        present=value is not None,
        value=None if value is None else plain(value),
        source=", ".join(key.rpartition("/")[2] for key in readings) or "request",
        state=next((state for state in states if state != "present"), states[0] if states else ""),
        age=max(0, situation.now - min(observed)) // 1000 if observed else None,
        max_age=min(limits) // 1000 if limits else None,
    )


def _value_at(path: str, principal: Entity, context: Record, groups: frozenset[str] | None) -> Any:
    root, *names = path.split(".")
    if names == [GROUPS]:
        held = principal.ancestors
        return held if groups is None else frozenset(group for group in held if group.id in groups)
    value: Any = principal.attrs if root == "principal" else context
    for name in names:
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return value

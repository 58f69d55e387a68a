"""Changes of single facts: what a person would have to do for a rule to answer otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct

from mintwarden.model.values import Entity, EntityUid, Record, Value
from mintwarden.policy.cedar.operators import World
from mintwarden.policy.cedar.render import render_value
from mintwarden.policy.cedar.walk import GROUPS_PATH, path_text

Kind = Literal["set", "other", "present", "add", "remove", "join", "leave", "unset"]


class Change(Struct, frozen=True):
    """One fact, changed.

    Attributes:
        kind: `set` gives it the value; `other` gives it any value but the present one, `present` any at all
            (`value` is then a sample); `add` and `remove` an element of a set; `join` and `leave` a group; `unset`
            takes it away.
        path: where, such as `("principal", "level")`, `("context", "session", "risk")`; groups have their own.
        value: the value, element or group; None for `unset`.
    """

    kind: Kind
    path: tuple[str, ...]
    value: Value | None = None

    @property
    def text(self) -> str:
        """One line for people."""
        path = path_text(self.path)
        value = "" if self.value is None else render_value(self.value)
        match self.kind:
            case "set":
                return f"{path} = {value}"
            case "other":
                return f"{path} = anything else, such as {value}"
            case "present":
                return f"{path} is present"
            case "add":
                return f"{path} gains {value}"
            case "remove":
                return f"{path} loses {value}"
            case "join":
                return f"{self.path[0]} joins {value}"
            case "leave":
                return f"{self.path[0]} leaves {value}"
            case _:
                return f"{path} is absent"

    @property
    def cost(self) -> int:
        """How far from an everyday change it is: facts before the request, the request before who is asking."""
        if self.kind == "unset":
            return 4
        if self.path[0] == "principal":
            return 2
        space = self.path[1] if len(self.path) > 1 else ""
        return {"request": 3, "client": 8, "subject": 8, "chain": 8}.get(space, 2)


def apply_changes(world: World, changes: Iterable[Change]) -> World | None:
    """The world after the changes; None if one of them cannot be made."""
    principal, context = world.principal, world.context
    try:
        for change in changes:
            if change.path[0] == "principal":
                principal = _change_principal(principal, change)
            else:
                context = Record(_changed(context, change.path[1:], change))
    except (TypeError, ValueError):
        return None
    return World(principal, world.action, world.resource, context)


def _change_principal(principal: Entity, change: Change) -> Entity:
    uid, attrs, ancestors = principal
    if change.path == GROUPS_PATH:
        if not isinstance(change.value, EntityUid):
            raise TypeError("a group is an entity")
        group = frozenset({change.value})
        return Entity(uid, attrs, ancestors | group if change.kind == "join" else ancestors - group)
    return Entity(uid, _changed(attrs, change.path[1:], change), ancestors)


def _changed(members: Mapping[str, Value], names: tuple[str, ...], change: Change) -> dict[str, Any]:
    """The members, with the one that `names` leads to changed and the records on the way made where missing."""
    name, *rest = names
    copy: dict[str, Any] = dict(members)
    if rest:
        inner = copy.get(name, Record())
        if not isinstance(inner, Record):
            raise TypeError("not a record")
        copy[name] = Record(_changed(inner, tuple(rest), change))
        return copy
    if change.kind == "unset":
        copy.pop(name, None)
    else:
        copy[name] = _NEW_VALUES[change.kind](copy.get(name), change.value)
    return copy


def _added(old: Any, element: Any) -> frozenset[Any]:
    if old is not None and not isinstance(old, frozenset):
        raise TypeError("not a set")
    return (old or frozenset()) | {element}


def _removed(old: Any, element: Any) -> frozenset[Any]:
    if not isinstance(old, frozenset):
        raise TypeError("not a set")
    return old - {element}


_NEW_VALUES: Mapping[str, Callable[[Any, Any], Any]] = {
    "set": lambda _, value: value,
    "other": lambda _, value: value,
    "present": lambda _, value: value,
    "add": _added,
    "remove": _removed,
}

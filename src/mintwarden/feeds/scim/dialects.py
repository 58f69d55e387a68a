"""The SCIM protocol as it is spoken: how identity providers write a PATCH, and how much anybody may ask for at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from scim2_models import (
    Context,
    InvalidFilterException,
    InvalidSyntaxException,
    PatchOp,
    PayloadTooLargeException,
    Resource,
    ResourceType,
    SearchRequest,
)
from scim2_server.conditions import Conditions
from scim2_server.service import ScimService

from mintwarden.feeds.scim.moves import Move, moved, split
from mintwarden.model.scim import ENTERPRISE

MOST_OPERATIONS = 1_000
MOST_WALKS = 20
"""Operations on a group of which each walks through all members."""
MOST_STEPS = 1_000_000
"""Characters of the filters in a PATCH, times the values that each is held against: about a second."""
LONGEST_FILTER = 1_000
LONGEST_PATH = 1_000
_HARMLESS = {"op": "remove", "path": "externalId"}
"""Stands for operations that are read elsewhere, so that the rest of the message is read like any other."""
_MANAGER = f"{ENTERPRISE}:manager".lower()


class Patch(Struct, frozen=True):
    """A PATCH as it was read: who moves, and what the library does beside.

    `filters` are the characters of the filters in that, `brings` the values that it brings along.
    """

    moves: list[Move]
    rest: PatchOp[Any] | None
    filters: int = 0
    brings: int = 0


class Service(ScimService):
    """See `ScimService`."""

    def read_patch(self, resource_type: ResourceType, body: bytes, content_type: str | None) -> Any:
        """The operations of a PATCH, as `apply_patch` takes them; see `ScimService.read_patch`."""
        self.ensure_json(content_type)
        content = _object(body)
        name = next((name for name in content if name.lower() == "operations"), "Operations")
        operations = content.get(name)
        if not isinstance(operations, list):
            return Patch([], super().read_patch(resource_type, body, content_type))
        _refuse_much(operations)
        found = split(operations) if resource_type.name == "Group" else None
        if found is None and resource_type.name == "Group" and len(operations) > MOST_WALKS:
            raise PayloadTooLargeException(detail=f"more than {MOST_WALKS} operations of this kind in one request")
        moves, rest = ([], operations) if found is None else found
        # INVARIANT: the envelope is read even where nothing is left in it: what is no PATCH is refused
        only = bool(moves) and not rest
        content[name] = [_HARMLESS] if only else [_straight(one) for one in rest]
        patch = super().read_patch(resource_type, msgspec.json.encode(content), content_type)
        return Patch(moves, None if only else patch, sum(map(_filters, rest)), sum(map(_brings, rest)))

    def apply_patch(self, current: Resource[Any], patch_op: Any, conditions: Conditions) -> Resource[Any] | None:
        """The resource as it is then, or None where that is as it was; see `ScimService.apply_patch`."""
        self.check_preconditions(current, "PATCH", conditions)
        if patch_op.filters and patch_op.filters * (_values(current) + patch_op.brings) > MOST_STEPS:
            raise PayloadTooLargeException(detail="too many filters over too many values: fewer operations at once")
        changed = patch_op.rest is not None and patch_op.rest.patch(current)
        group: Any = current
        before = [one.value for one in group.members or ()] if patch_op.moves else []
        after = moved(patch_op.moves, before)
        if after.keys() != set(before):
            group.members = [{"value": member} for member in after]
            changed = True
        return current if changed else None

    def read_search(self, resource_types: list[ResourceType], payload: Any) -> tuple[SearchRequest[Any], Any]:
        """See `ScimService.read_search`."""
        if isinstance(payload, Mapping):
            for name, value in payload.items():
                if name.lower() == "filter" and isinstance(value, str) and len(value) > LONGEST_FILTER:
                    raise InvalidFilterException(detail=f"the filter is longer than {LONGEST_FILTER} characters")
        return super().read_search(resource_types, payload)


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidSyntaxException(detail="the body is not a JSON object") from None


def _refuse_much(operations: list[Any]) -> None:
    if len(operations) > MOST_OPERATIONS:
        raise PayloadTooLargeException(detail=f"more than {MOST_OPERATIONS} operations in one request")
    for operation in operations:
        values = operation.values() if isinstance(operation, dict) else ()
        keys = operation.keys() if isinstance(operation, dict) else ()
        for key, value in zip(keys, values, strict=True):
            if key.lower() == "path" and isinstance(value, str) and len(value) > LONGEST_PATH:
                raise InvalidSyntaxException(detail=f"a path is longer than {LONGEST_PATH} characters")


def _filters(operation: Any) -> int:
    """Characters of a path that has a filter."""
    given = {key.lower(): value for key, value in operation.items()} if isinstance(operation, dict) else {}
    path = given.get("path")
    return len(path) if isinstance(path, str) and "[" in path else 0


def _brings(value: Any) -> int:
    if isinstance(value, list):
        return len(value) + sum(map(_brings, value))
    return sum(map(_brings, value.values())) if isinstance(value, dict) else 0


def _values(resource: Resource[Any]) -> int:
    content = resource.model_dump(scim_ctx=Context.DEFAULT)
    return sum(len(value) for value in content.values() if isinstance(value, list))


def _straight(operation: Any) -> Any:
    """The same operation as the specification writes it.

    - `display` of a member is ours to say: Okta sends it along, and a PATCH may not write what is read-only;
    - a manager is an object: Microsoft Entra ID sends the bare id, or a list of one.
    """
    if not isinstance(operation, dict):
        return operation
    named = {key.lower(): key for key in operation}
    found = dict(operation)
    path, value = found.get(named.get("path", "path")), named.get("value")
    if value is None:
        return found
    if isinstance(path, str):
        found[value] = _value(path.lower(), found[value])
    elif isinstance(found[value], dict):
        found[value] = {key: _value(key.lower(), item) for key, item in found[value].items()}
    return found


def _value(path: str, value: Any) -> Any:
    rewrite = _REWRITES.get(path)
    return value if rewrite is None else rewrite(value)


def _without_display(members: Any) -> Any:
    if not isinstance(members, list):
        return members
    return [
        {key: item for key, item in one.items() if key.lower() != "display"} if isinstance(one, dict) else one
        for one in members
    ]


def _one_manager(value: Any) -> Any:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        return {"value": value} if value else None
    return value


_REWRITES: dict[str, Callable[[Any], Any]] = {"members": _without_display, _MANAGER: _one_manager}

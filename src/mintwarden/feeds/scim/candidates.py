"""Which resources a filter can match at all, found by what the store has an index for."""

from __future__ import annotations

from typing import Literal, NamedTuple

from scim2_models.path import AttrPath, CompareOperator, Comparison, FilterNode, LogicalExpr, LogicalOperator

from mintwarden.feeds.scim.ports import Kind

By = Literal["id", "name", "external"]
_NAMES: dict[Kind, dict[str, By]] = {
    "User": {"id": "id", "username": "name", "externalid": "external"},
    "Group": {"id": "id", "displayname": "name", "externalid": "external"},
}


class Sought(NamedTuple):
    """An attribute that has an index, and the value that it must have."""

    by: By
    value: str


def sought(node: FilterNode, kind: Kind) -> Sought | None:
    """One that everything that matches has; None where the filter names none."""
    if isinstance(node, LogicalExpr) and node.op == LogicalOperator.and_:
        return next((found for term in node.terms if (found := sought(term, kind)) is not None), None)
    if not isinstance(node, Comparison) or node.op != CompareOperator.eq or not isinstance(node.value, str):
        return None
    by = _NAMES[kind].get(_plain(node.attr_path))
    return None if by is None else Sought(by, node.value)


def _plain(path: AttrPath) -> str:
    return "" if path.sub_attr else path.attr.lower()

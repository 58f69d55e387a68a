"""What a rule's head says: which scopes or audiences it names, which actions, which principal type."""

from __future__ import annotations

from cedarpy import pst
from msgspec import Struct

ACTION = "Action"
SCOPE = "Scope"
AUDIENCE = "Audience"


class Head(Struct, frozen=True):
    """A rule's head.

    Attributes:
        scope: the scope that it names, or empty.
        audience: the audience that it names, or empty.
        is_global: it applies to every scope.
        actions: ids of the actions it is about; None for all.
        principal_type: the type that its principal must have; None for any.
    """

    scope: str
    audience: str
    is_global: bool
    actions: frozenset[str] | None
    principal_type: str | None


def head_of(template: pst.Template) -> Head:
    """The head of a policy. One whose resource can be no scope at all names nothing and is not global either."""
    scope, audience, is_global = _resource(template.resource)
    return Head(scope, audience, is_global, _actions(template.action), _principal_type(template.principal))


def _resource(constraint: pst.PrincipalOrResourceConstraint) -> tuple[str, str, bool]:
    if isinstance(constraint, pst.ScopeAny):
        return "", "", True
    if isinstance(constraint, pst.ScopeIs):
        return "", "", str(constraint.entity_type) == SCOPE
    if isinstance(constraint, pst.ScopeIsIn) and str(constraint.entity_type) != SCOPE:
        return "", "", False
    entity = constraint.entity
    if not isinstance(entity, pst.EntityUid):
        return "", "", False
    if str(entity.type) == SCOPE:
        return entity.id, "", False
    if str(entity.type) == AUDIENCE and not isinstance(constraint, pst.ScopeEq):
        return "", entity.id, False
    return "", "", False


def _actions(constraint: pst.ActionConstraint) -> frozenset[str] | None:
    if isinstance(constraint, pst.ScopeAny):
        return None
    entities = (constraint.entity,) if isinstance(constraint, pst.ActionEq) else constraint.entities
    return frozenset(entity.id for entity in entities if str(entity.type) == ACTION)


def _principal_type(constraint: pst.PrincipalOrResourceConstraint) -> str | None:
    if isinstance(constraint, pst.ScopeIs | pst.ScopeIsIn):
        return str(constraint.entity_type)
    if isinstance(constraint, pst.ScopeEq) and isinstance(constraint.entity, pst.EntityUid):
        return str(constraint.entity.type)
    return None

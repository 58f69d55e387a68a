"""What a rule's head says: which scopes, details or audiences it names, which actions, which principal type."""

from __future__ import annotations

from cedarpy import pst
from msgspec import Struct

ACTION = "Action"
SCOPE = "Scope"
AUDIENCE = "Audience"
DETAIL = "Detail"


class Head(Struct, frozen=True):
    """A rule's head.

    Attributes:
        scope: the scope that it names, or empty.
        audience: the audience that it names, or empty.
        is_global: it applies to every scope, or to everything of its `kind`.
        actions: ids of the actions it is about; None for all.
        principal_type: the type that its principal must have; None for any.
        detail: the type of authorization detail that it names, or empty.
        kind: `Scope` or `Detail` where its resource can be nothing else; empty for either.
    """

    scope: str
    audience: str
    is_global: bool
    actions: frozenset[str] | None
    principal_type: str | None
    detail: str = ""
    kind: str = ""


def head_of(template: pst.Template) -> Head:
    """The head of a policy. One whose resource can be nothing that is issued names nothing and is not global either."""
    named, is_global, kind = _resource(template.resource)
    actions, principal_type = _actions(template.action), _principal_type(template.principal)
    scope, audience, detail = (named[1] if named[0] == of else "" for of in (SCOPE, AUDIENCE, DETAIL))
    return Head(scope, audience, is_global, actions, principal_type, detail, kind)


_NOBODY = ("", "")


def _resource(constraint: pst.PrincipalOrResourceConstraint) -> tuple[tuple[str, str], bool, str]:
    """Type and id of what is named, whether all are meant, and of which kind alone."""
    if isinstance(constraint, pst.ScopeAny):
        return _NOBODY, True, ""
    wanted = str(constraint.entity_type) if isinstance(constraint, pst.ScopeIs | pst.ScopeIsIn) else ""
    if wanted not in ("", SCOPE, DETAIL):
        return _NOBODY, False, ""
    if isinstance(constraint, pst.ScopeIs):
        return _NOBODY, True, wanted
    entity = constraint.entity
    if not isinstance(entity, pst.EntityUid):
        return _NOBODY, False, ""
    kind = str(entity.type)
    if kind in (SCOPE, DETAIL) and wanted in ("", kind):
        return (kind, entity.id), False, kind
    if kind == AUDIENCE and not isinstance(constraint, pst.ScopeEq):
        return (kind, entity.id), False, wanted
    return _NOBODY, False, ""


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

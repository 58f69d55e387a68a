"""Which subjects cannot matter, told from their stored bytes: before anything is decoded, built or decided.

Sound, not complete: whoever is skipped would be refused in every way, whoever is not may be refused all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec
from cedarpy import pst
from msgspec import Struct

from mintwarden.context.assemble import SourceAnswer
from mintwarden.model.values import EntityUid
from mintwarden.policy.cedar.rules import Rule
from mintwarden.policy.cedar.tree import path_of, uid_of
from mintwarden.policy.cedar.walk import goals_of
from mintwarden.policy.plan import ISSUE

if TYPE_CHECKING:
    from mintwarden.policy.bundle.model import Bundle

_encode = msgspec.json.Encoder().encode


class Needle(Struct, frozen=True):
    """What must be there for a rule to hold: one of these texts in what is stored, or one of these names."""

    texts: frozenset[bytes]
    names: frozenset[EntityUid]


class _Kind(Struct, frozen=True):
    mandatory: tuple[str, ...]
    texts: tuple[bytes, ...] | None
    names: frozenset[EntityUid]


class Skip:
    """What a subject must have for `scope`, worked out once per principal type from the slice's routes and read set."""

    def __init__(self, bundle: Bundle, scope: str) -> None:
        plan = bundle.plans.scope(scope)
        self._kinds: dict[str, _Kind | None] = {}
        # A mapping asks other questions than the rules do.
        if plan.audience.mode != "enforce":
            return
        sources = bundle.catalogue.sources
        for kind in ("User", "Workload", "Agent"):
            routes = [rule for rule in plan.slice(ISSUE).rules_for(kind) if rule.effect == "permit"]
            if not routes:
                self._kinds[kind] = None
                continue
            needed = (sources[key.rpartition("/")[2]] for key in plan.needs(ISSUE, kind, "subject"))
            mandatory = tuple(s.id for s in needed if s.missing == "refuse" and s.kind == "store" and kind in s.about)
            needles = [needle_of(rule) for rule in routes]
            found = [needle for needle in needles if needle is not None]
            whole = len(found) == len(needles)
            self._kinds[kind] = _Kind(
                mandatory,
                tuple(sorted({text for needle in found for text in needle.texts})) if whole else None,
                frozenset(name for needle in found for name in needle.names),
            )

    def may_matter(self, uid: EntityUid, answers: Mapping[str, SourceAnswer]) -> bool:
        """False only where `decide` refuses the scope whatever else is so; exceptions and token facts left aside."""
        if uid.type not in self._kinds:
            return True
        kind = self._kinds[uid.type]
        if kind is None:
            return False
        for source in kind.mandatory:
            answer = answers.get(source)
            if answer is None or answer.state == "missing":
                return False
        if kind.texts is None or uid in kind.names:
            return True
        for answer in answers.values():
            document = answer.document
            if document is None:
                continue
            # A text may be spelled in more than one way where JSON escapes it.
            if type(document) is not bytes or b"\\" in document:
                return True
            for text in kind.texts:
                if text in document:
                    return True
        return False


def needle_of(rule: Rule) -> Needle | None:
    """What must be there for `rule` to hold; None where no single condition says so."""
    for goal in goals_of(rule.template):
        found = _needle(goal)
        if found is not None:
            return found
    return None


def _needle(goal: pst.Expr) -> Needle | None:
    if not isinstance(goal, pst.BinaryOp):
        return None
    if goal.op in ("in", "eq") and isinstance(goal.left, pst.Var) and goal.left.name == "principal":
        uids = [uid_of(e.value) for e in _parts(goal.right) if isinstance(e, pst.EntityLit)]
        if not uids or len(uids) != len(list(_parts(goal.right))):
            return None
        groups = [uid.id for uid in uids if uid.type == "Group"]
        return Needle(
            frozenset(_encode(name) for name in groups), frozenset(uid for uid in uids if uid.type != "Group")
        )
    path = path_of(goal.left) or ()
    if goal.op not in ("eq", "contains", "contains_any") or len(path) != 2 or path[0] != "principal":
        return None
    words = [e.value for e in _parts(goal.right) if isinstance(e, pst.StringLit)]
    if (
        not words
        or len(words) != len(list(_parts(goal.right)))
        or (goal.op == "eq" and isinstance(goal.right, pst.Set))
    ):
        return None
    return Needle(frozenset(_encode(word) for word in words), frozenset())


def _parts(expr: pst.Expr) -> Iterator[pst.Expr]:
    yield from expr.elements if isinstance(expr, pst.Set) else (expr,)

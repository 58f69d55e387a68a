"""The facts that carried a grant: what the rules of its route looked at, with source and age."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintwarden.model.decision import ScopeDecision
from mintwarden.policy.amend import Situation
from mintwarden.policy.explained import FactShown
from mintwarden.policy.shown import fact_at

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
            groups = rule.leans_on.get("groups") if rule else None
            shown = fact_at(bundle, situation, path, role=role, principal=principal, groups=groups)
            found.setdefault(shown.path, shown)
    return tuple(found.values())

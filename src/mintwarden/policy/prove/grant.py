"""When `decide` grants a scope, as a formula.

What is left out can only refuse: the limits of an earlier token, claims without a value, lifetimes. So whatever
the formula excludes `decide` refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import z3

from mintwarden.model.decision import Obligation
from mintwarden.model.values import EntityUid
from mintwarden.policy.obligations import AHEAD, seconds_of
from mintwarden.policy.plan import ACT, IMPERSONATE, ISSUE
from mintwarden.policy.prove.detail import Said
from mintwarden.policy.prove.party import Facet, Party
from mintwarden.policy.prove.request import Request
from mintwarden.policy.prove.terms import (
    Fields,
    Formula,
    Members,
    Named,
    Number,
    Term,
    Text,
    Truth,
    every,
    negated,
    some,
)
from mintwarden.policy.prove.translate import Asking, Outcome, Translator


class Target:
    """A scope, or a type of authorization detail, as the resource of a rule."""

    def __init__(self, request: Request, scope: str) -> None:
        plan = request.bundle.plans.scope(scope)
        self.type = plan.resource.uid.type
        self._audience = plan.audience.id
        symbols = request.symbols
        self._attributes: dict[str, Term] = {
            "name": Text(symbols.code(scope)),
            "audience": Text(symbols.code(plan.audience.id)),
            "tier": Text(symbols.code(plan.tier.id)),
            "rank": Number("long", plan.tier.rank),
        }

    def get(self, name: str) -> tuple[Term, Formula]:
        """One of its attributes."""
        return (self._attributes[name], True) if name in self._attributes else (Truth(False), False)

    def is_in(self, entity_type: str, name: str) -> Formula:
        """Whether it is of an audience."""
        return entity_type == "Audience" and name == self._audience


class Granting:
    """The formula of one scope of one request. `left_open` is what could not be translated on the way."""

    def __init__(self, request: Request, scope: str, fresh: Callable[[], Any]) -> None:
        self.request = request
        self.scope = scope
        self._fresh = fresh
        self._target = Target(request, scope)
        of = request.audience.details.get(scope)
        self.detail = None if of is None else Said(of, f"{request.prefix}detail {scope}", request.symbols)
        self.left_open: list[str] = []
        self.axioms: list[Formula] = []

    def granted(self) -> Formula:
        """When the scope is granted; actors of an open shape are not asked."""
        request, mode = self.request, self.request.audience.mode
        ways: list[Formula] = []
        if mode == "enforce" or self._may_enforce():
            ways.append(every((self.permitted(ISSUE, request.subject), *map(self._by_rules, request.actors))))
        if mode != "enforce":
            legacy = self.legacy()
            acting = (self._by_mapping(actor) for actor in request.actors)
            ways.append(every((legacy, self.unguarded(ISSUE, request.subject), *acting)))
        return every((request.passes(self.scope), some(ways)))

    def all_axioms(self) -> list[Formula]:
        """What always holds of its variables, the detail's included."""
        return [*self.axioms, *(self.detail.axioms() if self.detail is not None else ())]

    def acting(self, actor: Party, legacy: Formula) -> Formula:
        """Whether the actor may use the scope, seen or hidden; `legacy` as `legacy()` says it."""
        mode = self.request.audience.mode
        ways = [self._by_rules(actor)] if mode == "enforce" or self._may_enforce() else []
        return some((*ways, every((legacy, self._by_mapping(actor)))) if mode != "enforce" else ways)

    def _may_enforce(self) -> bool:
        """Whether an audience that observes enforces for somebody, or does at some time."""
        return self.request.audience.mode == "canary" or self.request.audience.downgrade is not None

    def _by_rules(self, actor: Party) -> Formula:
        seen = self.permitted(ACT, actor)
        return seen if self._is_open else some((seen, self.permitted(IMPERSONATE, actor)))

    def _by_mapping(self, actor: Party) -> Formula:
        seen = self.unguarded(ACT, actor)
        # INVARIANT: as in `decide`, what only an older system's mapping gives hides nobody.
        return seen if self._is_open else some((seen, self.permitted(IMPERSONATE, actor)))

    @property
    def _is_open(self) -> bool:
        """Whether every actor was named."""
        return self.request.shape.actors is not None and not self.request.shape.hidden

    def legacy(self) -> Formula:
        """Whether an older system's mapping gives it, where the audience observes."""
        audience, subject, code = self.request.audience, self.request.subject, self.request.symbols.code
        if audience.mode == "enforce" or self.detail is not None:
            return False
        lent = [subject.is_in("Group", group) for group, scopes in audience.legacy.items() if self.scope in scopes]
        for fact, by_role in audience.legacy_roles.items():
            held, present = subject.get(fact.partition(".")[2])
            roles = [role for role, scopes in by_role.items() if self.scope in scopes]
            if isinstance(held, Members):
                lent += [every((present, held.holds(Text(code(role))))) for role in roles]
        for client, scopes in audience.legacy_clients.items():
            if self.scope in scopes:
                lent.append(self.request.client["id"] == code(client))
        return some(lent)

    def permitted(self, action: EntityUid, party: Party) -> Formula:
        """Whether the action's rules let the principal have it: facts known, no guardrail, a route that is met."""
        bundle = self.request.bundle
        question = bundle.plans.question(self.scope, action, party.about, party.role)
        known = every(self._known(key, party) for key in sorted(question.needs))
        translator = self.translator(action, party)
        blocks: list[Formula] = []
        routes: list[Formula] = []
        for rule in question.slice.rules_for(party.about):
            outcome = translator.rule(rule.template)
            if rule.effect == "forbid":
                blocks.append(some(outcome))
            else:
                demands = bundle.plans.terms(rule).demands
                routes.append(every((outcome.true, *(self._met(demand, party) for demand in demands))))
        self._note(translator)
        return every((known, negated(some(blocks)), some(routes)))

    def unguarded(self, action: EntityUid, party: Party) -> Formula:
        """Whether no guardrail keeps the action from the principal: what guardrails read is known, and none holds."""
        question = self.request.bundle.plans.question(self.scope, action, party.about, party.role)
        needs = question.plan.guard_needs(action, party.about, party.role)
        translator = self.translator(action, party)
        forbids = (rule for rule in question.slice.rules_for(party.about) if rule.effect == "forbid")
        blocks = [some(translator.rule(rule.template)) for rule in forbids]
        self._note(translator)
        return every((*(self._known(key, party) for key in sorted(needs)), negated(some(blocks))))

    def condition(self, expr: Any, action: EntityUid, party: Party) -> Outcome:
        """A rule-shaped condition about the principal and this scope."""
        translator = self.translator(action, party)
        outcome = translator.rule(expr)
        self._note(translator)
        return outcome

    def translator(self, action: EntityUid, party: Party) -> Translator:
        """Formulas for questions about the principal and this scope."""
        return Translator(self.request.symbols, self.asking(action, party), self._fresh)

    def asking(self, action: EntityUid, party: Party) -> Asking:
        """What the variables of a rule stand for."""
        request = self.request
        principal = Named(party.about, party.code, party)
        resource = Named(self._target.type, request.symbols.code(self.scope), self._target)
        return Asking(principal, action.id, resource, self._context())

    def _context(self) -> Fields:
        request, detail = self.request, self.detail
        if detail is None:
            return request.context
        return Fields(lambda name: (detail.term, True) if name == "detail" else request.context.get(name))

    def _note(self, translator: Translator) -> None:
        self.left_open += translator.left_open
        self.axioms += translator.axioms

    def _known(self, key: str, party: Party) -> Formula:
        role, _, source_id = key.rpartition("/")
        facet: Facet = party if role == party.role else self.request.facets[role]
        source = self.request.bundle.catalogue.sources[source_id]
        if "absent" in (source.missing, source.stale, source.failing):
            return True
        return facet.knows(source_id)

    def _met(self, demand: Obligation, party: Party) -> Formula:
        request, code = self.request, self.request.symbols.code
        texts, given, words = request.texts, request.given, demand.value.split()
        match demand.name:
            case "require_binding":
                named = demand.value == "any" or texts["binding"] == code(demand.value)
                return every((given["binding"], named))
            case "require_acr" | "require_purpose":
                name = demand.name.removeprefix("require_")
                return every((given[name], some(texts[name] == code(word) for word in words)))
            case "require_amr":
                return every(request.amr.holds(Text(code(word))) for word in words)
            case "require_auth_age":
                age = request.age
                return z3.And(request.signed_in, age >= -AHEAD, age <= seconds_of(demand.value) * 1000)
            case "require_approval":
                return approved(request, party, f"{demand.value}:{self.scope}")
            case _:
                return False


def approved(request: Request, party: Party, approval: str) -> Formula:
    """Whether the principal holds an approval."""
    held, present = party.get("approvals")
    if not isinstance(held, Members):
        return False
    return every((present, held.holds(Text(request.symbols.code(approval)))))

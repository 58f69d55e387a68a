"""One question to both bundles as formulas over the same variables: when each lets a scope through."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import z3
from cedarpy import pst

from mintwarden.model.decision import Obligation
from mintwarden.model.values import EntityUid
from mintwarden.policy.amend import Situation
from mintwarden.policy.cedar.render import render
from mintwarden.policy.cedar.rule import Rule
from mintwarden.policy.diff.pair import OWN, Pair, Side
from mintwarden.policy.diff.slices import permits_of, resources_alike
from mintwarden.policy.diff.trees import conditions_of
from mintwarden.policy.plan import ACT, IMPERSONATE, ISSUE
from mintwarden.policy.prove.example import Example
from mintwarden.policy.prove.grant import Granting
from mintwarden.policy.prove.party import Facet, Party
from mintwarden.policy.prove.request import Request, Shape
from mintwarden.policy.prove.solve import model_of
from mintwarden.policy.prove.terms import Formula, Symbols, every, negated, some
from mintwarden.policy.prove.translate import Asking, Outcome, Translator

ACTIONS = {action.id: action for action in (ISSUE, ACT, IMPERSONATE)}
_OF_A_CLIENT = re.compile(r"\bcontext\b(?!\.(?:request|chain|subject|session|device|world)\b)")


class _Twin(Request):
    """One bundle's view of a request: the variables are those of the request that both see.

    INVARIANT: what a client is, beside its name, is its own bundle's word, so it has a variable for each.
    """

    def __init__(self, pair: Pair, side: Side, shared: Request) -> None:
        bundle = pair.side(side)
        audience = bundle.catalogue.audiences[shared.audience.id]
        super().__init__(bundle, audience, shared.shape, shared.subject, shared.facets["world"], shared.prefix)
        self.actors, self.facets = shared.actors, shared.facets
        self.amr, self.chain = shared.amr, shared.chain
        self.client = {**{name: z3.Int(f"{side} client {name}") for name in OWN}, "id": shared.client["id"]}


class _Translator(Translator):
    """Leaves the same construct open in the same way for both bundles, and translates the same rule once for both."""

    def __init__(self, symbols: Symbols, asking: Asking, shared: Shared, side: Side) -> None:
        super().__init__(symbols, asking, shared.fresh)
        self._shared = shared
        self._key = (asking.principal.of.name, asking.action)
        self._side = side

    def opening(self, expr: pst.Expr) -> tuple[Any, Any]:
        return self._shared.opening(self._key, render(expr), self._side)

    def rule(self, template: pst.Template) -> Outcome:
        return self._shared.rule((*self._key, conditions_of(template)), self._side, lambda: _translated(self, template))


def _translated(translator: Translator, template: pst.Template) -> Outcome:
    """The rule, translated."""
    return Translator.rule(translator, template)


class Shared:
    """What the formulas of both bundles have in common: what could not be translated, and rules that are the same.

    INVARIANT: shared is only what comes to the same in both: nothing that looks at what is not alike in both.
    """

    def __init__(self, *, clients_alike: bool, resources_alike: bool) -> None:
        self._openings: dict[tuple[Any, ...], tuple[Any, Any]] = {}
        self._rules: dict[tuple[Any, ...], Outcome] = {}
        self._count = itertools.count()
        self._clients_alike = clients_alike
        self._resources_alike = resources_alike

    def fresh(self) -> Any:
        """A Boolean that nothing is known of."""
        return z3.Bool(f"open {next(self._count)}")

    def opening(self, key: tuple[str, str], text: str, side: Side) -> tuple[Any, Any]:
        """The truth and the fault of a construct that has no formula."""
        found = self._openings.get(known := (*key, text, self._whose(text, side)))
        if found is None:
            found = self._openings[known] = (self.fresh(), self.fresh())
        return found

    def rule(self, key: tuple[Any, ...], side: Side, make: Callable[[], Outcome]) -> Outcome:
        """A rule's outcome."""
        found = self._rules.get(known := (*key, self._whose(" ".join(key[-1]), side)))
        if found is None:
            found = self._rules[known] = make()
        return found

    def _whose(self, text: str, side: Side) -> str:
        if not self._clients_alike and _OF_A_CLIENT.search(text):
            return side
        return side if not self._resources_alike and "resource" in text else ""


class Form(Granting):
    """One bundle's formulas for one scope of the request."""

    def __init__(self, pair: Pair, side: Side, request: Request, scope: str, shared: Shared) -> None:
        super().__init__(_Twin(pair, side, request), scope, shared.fresh)
        self._shared = shared
        self._own: Side = side
        self._memo: dict[tuple[str, ...], Formula] = {}

    def translator(self, action: EntityUid, party: Party) -> Translator:
        """As `Granting`'s, what is alike shared with the other bundle."""
        return _Translator(self.request.symbols, self.asking(action, party), self._shared, self._own)

    def known_clients(self, names: Iterable[str]) -> Iterator[Formula]:
        """What the bundle says of its clients."""
        request, code = self.request, self.request.symbols.code
        for name in names:
            client = request.bundle.catalogue.clients.get(name)
            if client is not None:
                own = every(request.client[field] == code(getattr(client, field)) for field in OWN if field != "id")
                yield z3.Implies(request.client["id"] == code(client.id), own)

    def gate(self) -> Formula:
        """What stands before the rules."""
        return self._once(("gate",), lambda: self.request.passes(self.scope))

    def lets(self, action: EntityUid, party: Party) -> Formula:
        """Whether rules let the principal have it."""
        return self._once(("lets", action.id, party.name), lambda: self.permitted(action, party))

    def leaves(self, action: EntityUid, party: Party) -> Formula:
        """Whether no guardrail stands in the way, and what guardrails read is known."""
        return self._once(("leaves", action.id, party.name), lambda: self.unguarded(action, party))

    def clear(self, action: EntityUid, party: Party) -> Formula:
        """The same, and whatever any of the rules reads is known: where an exception may be one more route."""
        question = self.request.bundle.plans.question(self.scope, action, party.about, party.role)
        return every((*(self._known(key, party) for key in sorted(question.needs)), self.leaves(action, party)))

    def apart(self, action: EntityUid, party: Party, rules: Iterable[Rule]) -> tuple[Formula, Formula, Formula]:
        """What only these rules of the slice add to it: whether one blocks, whether one is a route, what must be known.

        Routes of different demands are told apart by neither bundle where all three are alike.
        """
        bundle = self.request.bundle
        translator = self.translator(action, party)
        blocks: list[Formula] = []
        routes: list[Formula] = []
        for rule in rules:
            outcome = translator.rule(rule.template)
            if rule.effect == "forbid":
                blocks.append(some(outcome))
            else:
                demands = bundle.plans.terms(rule).demands
                routes.append(every((outcome.true, *(self._met(demand, party) for demand in demands))))
        self._note(translator)
        question = bundle.plans.question(self.scope, action, party.about, party.role)
        known = every(self._known(key, party) for key in sorted(question.needs))
        return some(blocks), some(routes), known

    def guards_know(self, action: EntityUid, party: Party) -> Formula:
        """Whether what guardrails read is known."""
        question = self.request.bundle.plans.question(self.scope, action, party.about, party.role)
        needs = question.plan.guard_needs(action, party.about, party.role)
        return every(self._known(key, party) for key in sorted(needs))

    def winners(self, action: EntityUid, party: Party, longest: int) -> dict[str, Formula]:
        """By what a route puts into a lifetime: whether such a route is the one that counts.

        Bounds of `longest` seconds and more are no bounds.
        """
        bundle = self.request.bundle
        translator = self.translator(action, party)
        found: dict[str, list[Formula]] = {}
        earlier: list[Formula] = []
        for rule in permits_of(bundle, self.scope, action, party.about):
            demands = bundle.plans.terms(rule).demands
            met = every((translator.rule(rule.template).true, *(self._met(demand, party) for demand in demands)))
            found.setdefault(signature(self, rule, longest), []).append(every((met, negated(some(earlier)))))
            earlier.append(met)
        self._note(translator)
        return {key: some(ways) for key, ways in found.items()}

    def _once(self, key: tuple[str, ...], make: Callable[[], Formula]) -> Formula:
        if key not in self._memo:
            self._memo[key] = make()
        return self._memo[key]


def signature(form: Form, rule: Rule, longest: int) -> str:
    """What a route puts into a lifetime: its own bound, and the entitlements whose end is its own.

    Only elements of sets and memberships have an end of their own.
    """
    bundle = form.request.bundle
    terms = bundle.plans.terms(rule)
    sets = {
        name for source in bundle.catalogue.sources.values() for name, f in source.facts.items() if f.type.kind == "set"
    }
    leans = {
        name: None if held is None else sorted(held)
        for name, held in rule.leans_on.items()
        if name in sets or name == "groups"
    }
    ttl = longest if terms.max_ttl is None else min(terms.max_ttl, longest)
    return json.dumps([ttl, leans, _approvals(terms.demands)], sort_keys=True)


def _approvals(demands: Iterable[Obligation]) -> list[str]:
    return [demand.value for demand in demands if demand.name == "require_approval"]


class Forms:
    """Both bundles' formulas for a scope, a type of subject, a shape of chain, and a principal in it.

    Attributes:
        party: whom the question is about: the subject, or the actor.
        old, new: the formulas; None where the bundle does not have the scope.
    """

    def __init__(self, pair: Pair, scope: str, subject: str, shape: Shape, actor: str | int | None = None) -> None:
        catalogue = pair.both.catalogue
        self.scope = scope
        self.symbols = Symbols()
        person = Party(catalogue, "subject", subject, "", self.symbols)
        world = Facet(catalogue, "world", "world", "")
        audience = catalogue.audiences[catalogue.scopes[scope].audience]
        self.shared = Request(pair.both, audience, shape, person, world, "")
        self.extra: list[Party] = []
        if actor is None:
            self.party = person
        elif isinstance(actor, int):
            self.party = self.shared.actors[actor]
        else:
            self.party = Party(catalogue, "actor:0", actor, "", self.symbols)
            self.extra = [self.party]
        both_have = has_scope(pair, "old", scope) and has_scope(pair, "new", scope)
        alike = Shared(clients_alike=clients_alike(pair), resources_alike=both_have and resources_alike(pair, scope))
        self.old, self.new = (
            Form(pair, side, self.shared, scope, alike) if has_scope(pair, side, scope) else None
            for side in ("old", "new")
        )

        audience_id = audience.id
        self._clients = sorted(
            {
                client.id
                for bundle in (pair.old, pair.new)
                for client in bundle.catalogue.clients.values()
                if scope in client.ceilings.get(audience_id, ())
            }
        )

    def form(self, side: Side) -> Form | None:
        """One bundle's."""
        return self.old if side == "old" else self.new

    @property
    def left_open(self) -> list[str]:
        """What could not be translated so far."""
        return [text for form in (self.old, self.new) if form is not None for text in form.left_open]

    def model(self, parts: Iterable[Formula]) -> z3.ModelRef | None:
        """A model of all of the parts; None when there is none. Raises `GaveUp`."""
        wanted = every(parts)
        if wanted is False:
            return None
        forms = [form for form in (self.old, self.new) if form is not None]
        axioms: list[Formula] = [*self.shared.axioms(), *(axiom for form in forms for axiom in form.axioms)]
        axioms += [axiom for form in forms for axiom in form.known_clients(self._clients)]
        for party in self.extra:
            axioms += [*party.all_axioms(), self.shared.depth >= 1]
        return model_of([wanted, *axioms, *self.symbols.axioms()], [self.shared])

    def situation(self, model: z3.ModelRef) -> Situation:
        """The inputs that a model describes, as both bundles' sources together would tell them."""
        return Example(model, self.shared).situation(self.scope)


def has_scope(pair: Pair, side: Side, scope: str) -> bool:
    """Whether the bundle has the scope, and in the audience that it is looked for in."""
    known = pair.side(side).catalogue.scopes.get(scope)
    return known is not None and known.audience == pair.both.catalogue.scopes[scope].audience


def clients_alike(pair: Pair) -> bool:
    """Whether both have the same clients, and rules see the same of each."""
    one, other = pair.old.catalogue.clients, pair.new.catalogue.clients
    return all(
        name in one and name in other and all(getattr(one[name], field) == getattr(other[name], field) for field in OWN)
        for name in {*one, *other}
    )


def shapes(kinds: tuple[str, ...], most: int) -> Iterator[Shape]:
    """Every chain that there can be, the shortest first, those with a hidden client after the one without actors."""
    yield Shape(())
    yield from (Shape((about,), hidden=True) for about in kinds)
    for length in range(1, most + 1):
        yield from (Shape(chain) for chain in itertools.product(kinds, repeat=length))

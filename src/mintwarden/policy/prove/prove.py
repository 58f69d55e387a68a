"""Holds a bundle's assertions against all inputs: `holds`, `violated` with an example, or `not proved`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import z3
from msgspec import Struct

from mintwarden.model.values import Entity
from mintwarden.policy.amend import Situation
from mintwarden.policy.bundle.assertions import Assertion
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.cedar.operators import World
from mintwarden.policy.cedar.walk import Walker, goals_of
from mintwarden.policy.decide import decide
from mintwarden.policy.plan import ACT, EXTERNAL_PRINCIPALS, ISSUE
from mintwarden.policy.prove.example import Example
from mintwarden.policy.prove.grant import Granting, approved
from mintwarden.policy.prove.party import Facet, Party
from mintwarden.policy.prove.request import ANYBODY, Request, Shape
from mintwarden.policy.prove.solve import GaveUp, model_of
from mintwarden.policy.prove.terms import Formula, Symbols, Untranslated, every, negated, some

LISTED = 5
MOST_CHAINS = 1_500
"""How many chains are looked at one by one, for one scope and type of subject."""

Outcome = Literal["holds", "violated", "not proved"]


class Verdict(Struct, frozen=True, kw_only=True):
    """What became of one assertion.

    Attributes:
        examples: when violated, what to ask `decide` for: it grants each of them, and nothing excuses it.
        reason: why not proved.
        left_open: constructs in the way that have no formula; they are no obstacle to `holds`.
        questions: how many the solver was asked.
    """

    assertion: Assertion
    outcome: Outcome
    examples: tuple[Situation, ...] = ()
    reason: str = ""
    left_open: tuple[str, ...] = ()
    questions: int = 0


class _Case(Struct, frozen=True):
    """One way to violate an assertion: a subject of a type, in a shape, with the principal that it is about.

    `actor` is the place of the principal in the chain; None for the subject. `actor_type` is for an open shape.
    """

    scopes: tuple[str, ...]
    subject: str
    shape: Shape
    actor: int | None = None
    actor_type: str = ""


class _Question(Struct, frozen=True):
    formula: Formula
    requests: tuple[Request, ...]
    grantings: tuple[Granting, ...]
    principals: tuple[Party, ...]


def prove(bundle: Bundle, assertions: Sequence[Assertion] | None = None) -> tuple[Verdict, ...]:
    """A verdict for each of the bundle's assertions (or of `assertions`), in order. Pure and deterministic."""
    prover = Prover(bundle)
    return tuple(prover.verdict(one) for one in (bundle.assertions if assertions is None else assertions))


class Prover:
    """Proves assertions of one bundle; formulas are kept from one assertion to the next. For one thread at a time."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._symbols = Symbols()
        self._count = itertools.count()
        self._cases: dict[_Case, _Question] = {}
        self._asked = 0
        self._kinds = sorted(
            {
                demand.value
                for rule in bundle.rules.rules.values()
                for demand in bundle.plans.terms(rule).demands
                if demand.name == "require_approval"
            }
        )

    def fresh(self) -> Any:
        """A Boolean that nothing is known of."""
        return z3.Bool(f"open {next(self._count)}")

    def verdict(self, assertion: Assertion) -> Verdict:
        """Whether it holds for all inputs."""
        self._asked = 0
        reasons: list[str] = []
        left_open: dict[str, None] = {}
        for case in self._open_cases(assertion):
            examples, reason, opened = self._try(assertion, case)
            left_open.update(dict.fromkeys(opened))
            if examples:
                return Verdict(assertion=assertion, outcome="violated", examples=examples, questions=self._asked)
            if reason:
                reasons.append(reason)
        return Verdict(
            assertion=assertion,
            outcome="not proved" if reasons else "holds",
            reason="; ".join(dict.fromkeys(reasons)),
            left_open=tuple(left_open)[:LISTED],
            questions=self._asked,
        )

    # -- the cases -------------------------------------------------------------------------------------------------

    def _open_cases(self, assertion: Assertion) -> Iterator[_Case]:
        groups = [assertion.scopes] if assertion.together else [(scope,) for scope in assertion.scopes]
        for scopes in groups:
            for about in assertion.types:
                if assertion.about == "subject":
                    yield _Case(scopes, about, ANYBODY)
                else:
                    yield from (_Case(scopes, subject, ANYBODY, 0, about) for subject in EXTERNAL_PRINCIPALS)

    def _closed_cases(self, assertion: Assertion, case: _Case) -> Iterator[_Case]:
        """Every chain that there can be, the shortest first."""
        most = self._bundle.catalogue.max_actors
        hidden = [Shape((about,), hidden=True) for about in EXTERNAL_PRINCIPALS]
        seen = [Shape(kinds) for n in range(most + 1) for kinds in itertools.product(EXTERNAL_PRINCIPALS, repeat=n)]
        for shape in (*seen[:1], *hidden, *seen[1:]):
            if assertion.about == "subject":
                yield _Case(case.scopes, case.subject, shape)
            else:
                places = [index for index, kind in enumerate(shape.actors or ()) if kind == case.actor_type]
                yield from (_Case(case.scopes, case.subject, shape, place, case.actor_type) for place in places)

    def _try(self, assertion: Assertion, case: _Case) -> tuple[tuple[Situation, ...], str, list[str]]:
        """An example, or why there is neither an example nor a proof, or nothing: then there can be no example."""
        try:
            model, question, opened = self._solve(assertion, case)
            if model is None:
                return (), "", opened
            reason = ""
            for looked, closed in enumerate(self._closed_cases(assertion, case)):
                if looked == MOST_CHAINS:
                    return (), reason or f"{', '.join(case.scopes)}: there are too many chains to look at each", opened
                model, question, opened = self._solve(assertion, closed)
                if model is None:
                    continue
                examples = self._confirmed(assertion, closed, model, question)
                if examples:
                    return examples, "", opened
                reason = reason or _unconfirmed(closed, opened)
            if len(case.scopes) > 1:
                # INVARIANT: only chains of one shape were looked at, which is no proof for the others.
                reason = reason or f"{', '.join(case.scopes)}: an example would need chains of different shapes"
        except GaveUp:
            return (), f"the solver gave up on {', '.join(case.scopes)}", []
        except Untranslated as error:
            return (), f"{', '.join(case.scopes)}: {error}", []
        return (), reason, opened

    # -- one question ----------------------------------------------------------------------------------------------

    def _question(self, case: _Case) -> _Question:
        found = self._cases.get(case)
        if found is None:
            found = self._cases[case] = self._make(case)
        return found

    def _make(self, case: _Case) -> _Question:
        bundle = self._bundle
        subject = Party(bundle.catalogue, "subject", case.subject, "", self._symbols)
        world = Facet(bundle.catalogue, "world", "world", "")
        parts: list[Formula] = []
        requests, grantings, principals = [], [], []
        for index, scope in enumerate(case.scopes):
            audience = bundle.plans.scope(scope).audience
            prefix = f"{index}/" if index else ""
            request = Request(bundle, audience, case.shape, subject, world, prefix)
            granting = Granting(request, scope, self.fresh)
            parts.append(granting.granted())
            principal = subject
            if case.actor is not None and case.shape.actors is None:
                principal = Party(bundle.catalogue, "actor:0", case.actor_type, prefix, self._symbols)
                parts += [granting.acting(principal, granting.legacy()), request.depth >= 1]
            elif case.actor is not None:
                principal = request.actors[case.actor]
            requests.append(request)
            grantings.append(granting)
            principals.append(principal)
        return _Question(every(parts), tuple(requests), tuple(grantings), tuple(principals))

    def _solve(self, assertion: Assertion, case: _Case) -> tuple[z3.ModelRef | None, _Question, list[str]]:
        question = self._question(case)
        if question.formula is False:
            return None, question, []
        marks = [len(granting.left_open) for granting in question.grantings]
        condition = every(self._violating(assertion, case, question))
        opened = [text for granting in question.grantings for text in granting.left_open]
        for granting, mark in zip(question.grantings, marks, strict=True):
            del granting.left_open[mark:]
        if condition is False:
            return None, question, opened
        self._asked += 1
        parts = [question.formula, condition]
        for request, granting, principal in zip(
            question.requests, question.grantings, question.principals, strict=True
        ):
            parts += [*request.axioms(), *granting.all_axioms(), *principal.all_axioms()]
        parts += self._symbols.axioms()
        return model_of(parts, question.requests), question, opened

    def _violating(self, assertion: Assertion, case: _Case, question: _Question) -> Iterable[Formula]:
        action = ISSUE if case.actor is None else ACT
        code = self._symbols.code
        for granting, principal in zip(question.grantings, question.principals, strict=True):
            request = granting.request
            if assertion.clients:
                yield some(request.client["id"] == code(name) for name in assertion.clients)
            if assertion.environments:
                yield some(request.texts["environment"] == code(name) for name in assertion.environments)
            if assertion.unless_approved:
                held = (approved(request, principal, f"{kind}:{granting.scope}") for kind in self._kinds)
                yield negated(some(held))
            if assertion.when is not None:
                yield granting.condition(assertion.when, action, principal).true
            if assertion.unless is not None:
                yield negated(granting.condition(assertion.unless, action, principal).true)

    # -- confirming ------------------------------------------------------------------------------------------------

    def _confirmed(
        self, assertion: Assertion, case: _Case, model: z3.ModelRef, question: _Question
    ) -> tuple[Situation, ...]:
        """The example, if `decide` grants it all and nothing excuses it."""
        found = tuple(
            Example(model, granting.request).situation(granting.scope, granting.detail)
            for granting in question.grantings
        )
        confirmed = all(
            violates(self._bundle, assertion, situation, scope, case.actor, self._kinds)
            for situation, scope in zip(found, case.scopes, strict=True)
        )
        return found if confirmed else ()


def violates(
    bundle: Bundle, assertion: Assertion, situation: Situation, scope: str, actor: int | None, kinds: Iterable[str]
) -> bool:
    """Whether `decide` grants the scope where the assertion says never; `actor` is whom it is about."""
    asked, facts, now = situation
    decision = decide(bundle, asked, facts, now)
    answers = (*decision.scopes, *decision.details) if decision.granted else ()
    if not any(answer.granted and answer.scope == scope for answer in answers):
        return False
    principal: Entity = facts.subject if actor is None else facts.actors[actor]
    action = ISSUE if actor is None else ACT
    walker = Walker(World(principal, action, bundle.plans.scope(scope).resource, facts.context))

    def is_true(condition: Any) -> bool:
        return all(walker.truth(goal) == "true" for goal in goals_of(condition))

    approvals = principal.attrs.get("approvals")
    held = approvals if isinstance(approvals, frozenset) else frozenset()
    return (
        (not assertion.clients or asked.client_id in assertion.clients)
        and (not assertion.environments or asked.environment in assertion.environments)
        and not (assertion.unless_approved and any(f"{kind}:{scope}" in held for kind in kinds))
        and (assertion.when is None or is_true(assertion.when))
        and (assertion.unless is None or not is_true(assertion.unless))
    )


def _unconfirmed(case: _Case, opened: Iterable[str]) -> str:
    in_the_way = list(dict.fromkeys(opened))[:LISTED]
    scopes = ", ".join(case.scopes)
    if in_the_way:
        return f"{scopes}: cannot be translated: {', '.join(in_the_way)}"
    return f"{scopes}: an example was found that `decide` refuses for a reason that has no formula"

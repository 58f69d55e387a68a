"""What scenarios ask of a bundle's rules: every question, with the world that it was asked in."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from mintwarden.context.assemble import Assembly
from mintwarden.model.asked import Asked
from mintwarden.model.facts import Facts
from mintwarden.model.values import Entity, EntityUid, Record
from mintwarden.policy.bundle.model import Bundle, ScenarioDocument, Verdict
from mintwarden.policy.cedar.operators import World
from mintwarden.policy.cedar.rules import Rule
from mintwarden.policy.cedar.slice import Slice
from mintwarden.policy.decide import decide
from mintwarden.policy.modes import said_of
from mintwarden.review.given import asked_of, facts_of
from mintwarden.review.scenarios import Difference, differences_of


class Question(Struct, frozen=True):
    """One question to the rules of one slice, about one action of one principal on one scope."""

    slice: Slice
    world: World

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that were asked."""
        return self.slice.rules_for(self.world.principal.uid.type)


class Watched(Struct, frozen=True, kw_only=True):
    """One scenario, ready to be decided again.

    Attributes:
        questions: all that the rules were asked.
        lacks_facts: a scope was refused for want of a fact, before any rule was asked.
    """

    scenario: ScenarioDocument
    asked: Asked
    facts: Facts
    questions: tuple[Question, ...]
    lacks_facts: bool

    def under(self, bundle: Bundle) -> tuple[Difference, ...]:
        """How the scenario comes out otherwise under another bundle of the same catalogue."""
        return differences_of(self.scenario, decide(bundle, self.asked, self.facts, self.scenario.given["now"]))


class _Watching(Bundle):
    """The bundle, which notes what it is asked."""

    __slots__ = ("_bundle", "questions")

    def __init__(self, bundle: Bundle, questions: list[Question] | None = None) -> None:
        super().__init__(
            digest=bundle.digest,
            catalogue=bundle.catalogue,
            rules=bundle.rules,
            schema=bundle.schema,
            derivations=bundle.derivations,
            approvals=bundle.approvals,
            scenarios=bundle.scenarios,
            plans=bundle.plans,
        )
        self._bundle = bundle
        self.questions: list[Question] = [] if questions is None else questions

    def evaluate(
        self, slice_: Slice, principal: Entity, action: EntityUid, resource: Entity, context: Record
    ) -> Verdict:
        self.questions.append(Question(slice_, World(principal, action, resource, context)))
        return super().evaluate(slice_, principal, action, resource, context)

    def at(self, now: int) -> Bundle:
        """As ever, watched as well."""
        changed = self._bundle.at(now)
        return self if changed is self._bundle else _Watching(changed, self.questions)

    def with_observed(self) -> Bundle:
        """As ever, watched as well: what observed rules are asked shows in what they would have said."""
        return _Watching(self._bundle.with_observed(), self.questions)


def watch_scenarios(bundle: Bundle) -> Iterator[Watched]:
    """Every scenario of the bundle, decided once by the compiled rules. Pure."""
    assembly = Assembly(bundle.catalogue)
    for scenario in bundle.scenarios:
        asked = asked_of(scenario, bundle.catalogue)
        facts = facts_of(scenario, asked, bundle.catalogue, assembly)
        watching = _Watching(bundle)
        decision = decide(watching, asked, facts, scenario.given["now"])
        yield Watched(
            scenario=scenario,
            asked=asked,
            facts=facts,
            questions=tuple(watching.questions),
            lacks_facts=any(scope.facts or said_of(scope).facts for scope in (*decision.scopes, *decision.details)),
        )

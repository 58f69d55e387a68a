"""What a bundle's decisions need, worked out once per scope: its slices, the sources they read, its claims.

A plan is a memo over an immutable bundle: asking twice gives the same answer, and nothing in it is a fact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from mintwarden.model.catalogue import Audience, Catalogue, Claim, Scope, Tier
from mintwarden.model.decision import ScopeDecision
from mintwarden.model.detail import DetailType
from mintwarden.model.values import Entity, EntityUid
from mintwarden.policy.modes import lenders_of, reads_of
from mintwarden.policy.obligations import Terms, terms_of

if TYPE_CHECKING:
    from mintwarden.policy.cedar.rules import Rule, RuleSet
    from mintwarden.policy.cedar.slice import Slice
    from mintwarden.policy.derive import Derivation

ISSUE = EntityUid("Action", "issue")
ACT = EntityUid("Action", "act")
IMPERSONATE = EntityUid("Action", "impersonate")

NAMESPACES = ("client", "session", "device", "world")
GROUPS = "<groups>"
MAX_READS = 1_000
"""Combinations of scopes remembered; callers choose them, so they are forgotten beyond that."""

EXTERNAL_PRINCIPALS = ("User", "Workload", "Agent")


class ClaimPlan(Struct, frozen=True):
    """A claim as one audience takes it. `scopes` empty: whatever is granted. `steps` is the origin path, split."""

    claim: Claim
    scopes: frozenset[str]
    steps: tuple[str, ...]
    derivation: Derivation | None

    def wanted_by(self, granted: Iterable[str]) -> bool:
        """Whether any of the granted scopes needs it."""
        return not self.scopes or not self.scopes.isdisjoint(granted)


class Route(NamedTuple):
    """A rule that grants, and its obligations."""

    rule: Rule
    terms: Terms


class PlainGrant(NamedTuple):
    """The grant by one rule alone that demands nothing."""

    decision: ScopeDecision
    route: Route


class Question(Struct, frozen=True):
    """All that is constant about one action on one scope or detail for principals of one type in one role.

    Attributes:
        plan: the scope's, or that of the detail's type.
        slice: the rules that can decide it.
        needs: reading keys that they depend on.
        plain: by rule id, the grant by that rule alone where it demands nothing: the same every time, so made once.
    """

    plan: ScopePlan
    slice: Slice
    needs: frozenset[str]
    plain: dict[str, PlainGrant]


class Side(Struct, frozen=True):
    """A principal in its role, and what is asked of it."""

    principal: Entity
    role: str
    action: EntityUid
    questions: Questions


class ScopePlan:
    """Everything constant about one scope, or one type of detail: its entity, tier and slices, and what they read."""

    def __init__(
        self, scope: Scope | DetailType, audience: Audience, tier: Tier, rules: RuleSet, sources: SourceIndex
    ) -> None:
        self.scope = scope
        self.audience = audience
        self.tier = tier
        self.resource = Entity(
            EntityUid("Scope" if isinstance(scope, Scope) else "Detail", scope.name),
            {"name": scope.name, "audience": audience.id, "tier": tier.id, "rank": tier.rank},
            frozenset({EntityUid("Audience", audience.id)}),
        )
        self._rules = rules
        self._sources = sources
        self._slices: dict[str, Slice] = {}
        self._needs: dict[tuple[str, str, str], frozenset[str]] = {}

    def slice(self, action: EntityUid) -> Slice:
        """The rules that can decide `action` on this scope."""
        found = self._slices.get(action.id)
        if found is None:
            found = self._slices[action.id] = self._rules.slice(action.id, self.scope.name)
        return found

    def needs(self, action: EntityUid, principal_type: str, role: str) -> frozenset[str]:
        """The reading keys (`"subject/directory"`) that the slice's rules depend on for a principal in `role`."""
        key = (action.id, principal_type, role)
        found = self._needs.get(key)
        if found is None:
            reads = self.slice(action).reads(principal_type)
            found = self._needs[key] = self._sources.keys(reads, principal_type, role)
        return found

    def guard_needs(self, action: EntityUid, principal_type: str, role: str) -> frozenset[str]:
        """The reading keys that the slice's forbids depend on."""
        key = (f"guards of {action.id}", principal_type, role)
        found = self._needs.get(key)
        if found is None:
            reads = self.slice(action).guard_reads(principal_type)
            found = self._needs[key] = self._sources.keys(reads, principal_type, role)
        return found

    def lender_needs(self, principal_type: str) -> frozenset[str]:
        """The reading keys that decide whether the mapping of an older system gives the scope to such a subject."""
        key = ("lent", principal_type, "subject")
        found = self._needs.get(key)
        if found is None:
            reads = lenders_of(self.audience, self.scope.name)
            found = self._needs[key] = self._sources.keys(reads, principal_type, "subject")
        return found

    def reads(self, action: EntityUid, principal_type: str) -> frozenset[str]:
        """The read paths of the slice for a principal type."""
        return self.slice(action).reads(principal_type)


class SourceIndex:
    """Which source stands behind a read path."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._by_fact: dict[tuple[str, str], str] = {}
        self._groups: dict[str, list[str]] = {}
        self._about: dict[str, list[str]] = {}
        self._keys: dict[frozenset[str], frozenset[str]] = {}
        for source in catalogue.sources.values():
            for about in source.about:
                self._about.setdefault(about, []).append(source.id)
                if source.groups:
                    self._groups.setdefault(about, []).append(source.id)
                for fact in source.facts:
                    self._by_fact[about, fact] = source.id

    def tenancy_key(self, principal_type: str, member_of: str) -> str | None:
        """The reading key behind `subject.<fact>`, or None when no source provides the fact."""
        source = self._by_fact.get((principal_type, member_of.partition(".")[2]))
        return f"subject/{source}" if source else None

    def keys(self, reads: Iterable[str], principal_type: str, role: str) -> frozenset[str]:
        """Reading keys for read paths, the principal standing in `role`."""
        found: set[str] = set()
        for path in reads:
            head, _, rest = path.partition(".")
            if head == "principal":
                found.update(f"{role}/{source}" for source in self._of_principal(principal_type, rest))
            elif head == "context":
                found.update(self._of_context(rest))
        keys = frozenset(found)
        # The same keys are one object, so that what was looked at for one scope need not be for the next.
        return self._keys.setdefault(keys, keys)

    def _of_principal(self, principal_type: str, rest: str) -> list[str]:
        if rest == GROUPS:
            return self._groups.get(principal_type, [])
        name = rest.partition(".")[0]
        if not name:
            return self._about.get(principal_type, [])
        source = self._by_fact.get((principal_type, name))
        return [source] if source else []

    def _of_context(self, rest: str) -> list[str]:
        namespace, _, name = rest.partition(".")
        if not namespace:
            return [f"{space}/{source}" for space in NAMESPACES for source in self._about.get(space, [])]
        if namespace not in NAMESPACES:
            return []
        if not name:
            return [f"{namespace}/{source}" for source in self._about.get(namespace, [])]
        found = self._by_fact.get((namespace, name.partition(".")[0]))
        return [f"{namespace}/{found}"] if found else []


class Questions(dict[str, "Question"]):
    """Everything constant about one action for principals of one type in one role, by scope or type of detail."""

    def __init__(self, plans: Plans, action: EntityUid, principal_type: str, role: str) -> None:
        super().__init__()
        self._plans = plans
        self._asked = (action, principal_type, role)

    def __missing__(self, name: str) -> Question:
        action, principal_type, role = self._asked
        plan = self._plans.scope(name)
        found = self[name] = Question(plan, plan.slice(action), plan.needs(action, principal_type, role), {})
        return found


class Plans:
    """The plans of one bundle."""

    def __init__(self, catalogue: Catalogue, rules: RuleSet, derivations: Mapping[str, Derivation]) -> None:
        self._catalogue = catalogue
        self._rules = rules
        self._derivations = derivations
        self.sources = SourceIndex(catalogue)
        self._scopes: dict[str, ScopePlan] = {}
        self._claims: dict[str, tuple[ClaimPlan, ...]] = {}
        self._terms: dict[str, Terms] = {}
        self._questions: dict[tuple[str, str, str], Questions] = {}
        self._reads: dict[tuple[object, ...], frozenset[str]] = {}

    def scope(self, name: str) -> ScopePlan:
        """The plan of a scope or a type of detail of the catalogue; raises `KeyError` for any other."""
        plan = self._scopes.get(name)
        if plan is None:
            scope = self._catalogue.scopes.get(name) or self._catalogue.details[name]
            audience = self._catalogue.audiences[scope.audience]
            plan = ScopePlan(scope, audience, self._catalogue.tiers[scope.tier], self._rules, self.sources)
            self._scopes[name] = plan
        return plan

    def questions(self, action: EntityUid, principal_type: str, role: str) -> Questions:
        """Everything constant about `action` for such a principal."""
        key = (action.id, principal_type, role)
        found = self._questions.get(key)
        if found is None:
            found = self._questions[key] = Questions(self, action, principal_type, role)
        return found

    def question(self, name: str, action: EntityUid, principal_type: str, role: str) -> Question:
        """Everything constant about `action` on the scope or type of detail `name`, for such a principal."""
        return self.questions(action, principal_type, role)[name]

    def side(self, principal: Entity, role: str, action: EntityUid) -> Side:
        """The principal as it stands in `role`, asked about `action`."""
        return Side(principal, role, action, self.questions(action, principal.uid.type, role))

    def route(self, rule: Rule) -> Route:
        """A rule as a route."""
        return Route(rule, self.terms(rule))

    def plain_grant(self, question: Question, rule: Rule) -> PlainGrant | None:
        """The grant of the question's scope by `rule` alone, or None if the rule has demands."""
        found = question.plain.get(rule.id)
        if found is None:
            route = self.route(rule)
            if route.terms.demands:
                return None
            granted = ScopeDecision(scope=question.plan.scope.name, granted=True, route=rule.id)
            found = question.plain[rule.id] = PlainGrant(granted, route)
        return found

    def claims(self, audience: Audience) -> tuple[ClaimPlan, ...]:
        """The audience's claims, sorted by name."""
        found = self._claims.get(audience.id)
        if found is None:
            found = self._claims[audience.id] = tuple(
                ClaimPlan(
                    claim := self._catalogue.claims[name],
                    frozenset(scopes),
                    tuple(claim.origin.split(".")) if claim.origin else (),
                    self._derivations.get(name),
                )
                for name, scopes in sorted(audience.claims.items())
            )
        return found

    def terms(self, rule: Rule) -> Terms:
        """A rule's obligations."""
        found = self._terms.get(rule.id)
        if found is None:
            found = self._terms[rule.id] = terms_of(rule.annotations)
        return found

    def reads(
        self, audience: Audience, scopes: tuple[str, ...], subject_type: str, actor_types: tuple[str, ...]
    ) -> frozenset[str]:
        """Every path that a decision over these may look at: what a record has to keep to be replayed.

        `scopes` are those and the types of details.
        `principal.<fact>` stands for the subject and each actor, `subject.<fact>` for the subject alone.
        """
        key = (audience.id, scopes, subject_type, actor_types)
        found = self._reads.get(key)
        if found is None:
            if len(self._reads) >= MAX_READS:
                self._reads.clear()
            found = self._reads[key] = self._collect(audience, scopes, subject_type, actor_types)
        return found

    def _collect(
        self, audience: Audience, scopes: tuple[str, ...], subject_type: str, actor_types: tuple[str, ...]
    ) -> frozenset[str]:
        paths: set[str] = {"principal.approvals", "context.session.expires_at"}
        for name in scopes:
            if name not in self._catalogue.scopes and name not in self._catalogue.details:
                continue
            plan = self.scope(name)
            paths |= self._rules.aside_reads(name)
            paths |= plan.reads(ISSUE, subject_type)
            for actor_type in actor_types:
                paths |= plan.reads(ACT, actor_type) | plan.reads(IMPERSONATE, actor_type)
        for claim_plan in self.claims(audience):
            derivation = claim_plan.derivation
            paths |= derivation.reads if derivation is not None else {claim_plan.claim.origin}
        paths |= {tenancy.member_of for tenancy in audience.tenancy}
        paths |= reads_of(audience)
        return frozenset(paths)

"""What an explanation is made of: data, ready for JSON, from which `explain_text` makes a page for people."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from mintwarden.model.decision import Obligation, RefusalReason


class FactShown(Struct, frozen=True, kw_only=True):
    """A fact and where it came from.

    Attributes:
        path: `subject.department`, `actor:0.risk`, `context.session.risk`, `subject.<groups>`.
        present: whether there is such a fact.
        value: as JSON; None when it is not present.
        source: the source's id, or `request` for what the request itself says.
        state: how the source answered; empty for the request.
        age: seconds since the source observed it; None when it never did.
        max_age: the source's age limit in seconds; None for none.
    """

    path: str
    present: bool
    value: Any = None
    source: str = ""
    state: str = ""
    age: int | None = None
    max_age: int | None = None


class RuleShown(Struct, frozen=True, kw_only=True):
    """A rule and the facts that it looked at. `role` is whose request it judged: `subject` or `actor:<index>`."""

    id: str
    effect: Literal["permit", "forbid"]
    role: str
    owner: str
    reason: str
    file: str
    line: int
    facts: tuple[FactShown, ...] = ()


class ConditionShown(Struct, frozen=True, kw_only=True):
    """One condition of a rule; see `policy.cedar.walk.Condition`. `facts` are what it looked at."""

    text: str
    truth: Literal["true", "false", "fault"]
    kind: Literal["test", "all", "any", "not", "if"]
    reached: bool
    parts: tuple[ConditionShown, ...] = ()
    facts: tuple[FactShown, ...] = ()
    fault: str = ""


class Route(Struct, frozen=True, kw_only=True):
    """The rule that came nearest to granting: its conditions, and the obligations that were not met."""

    rule: RuleShown
    conditions: tuple[ConditionShown, ...]
    unmet: tuple[Obligation, ...] = ()


class ChangeShown(Struct, frozen=True):
    """One thing that would have to be otherwise. `about` is a role, a namespace, `request` or `source`."""

    about: str
    text: str


class ExceptionShown(Struct, frozen=True, kw_only=True):
    """An exception that granted what no rule permits, or would have.

    Attributes:
        role, principal: whose request it answered, and who that is.
        starts_at, expires_at: RFC 3339.
        approvals: how many people approved it.
        unmet: what it demands and the request does not bring; empty where it granted.
    """

    id: str
    role: str
    principal: str
    starts_at: str
    expires_at: str
    approvals: int
    waives: tuple[str, ...] = ()
    unmet: tuple[Obligation, ...] = ()


class ScopeExplained(Struct, frozen=True, kw_only=True):
    """Why one scope, or one authorization detail (`scope` is then its type), was granted or refused.

    Attributes:
        carried: the rules that granted it: the subject's route, then one per actor.
        exceptions: those that did where no rule did; of a refused scope, the one that demands too much.
        mapped: while observing, the part of the older system's mapping that gave it, or those that would.
        reason, because: why it is refused, as a word and as a sentence.
        deciding: the forbids that refused it.
        route: the nearest route of a refused scope.
        lacking: sources that were needed and had no answer, or claims that have no value.
        change: the least that would turn it, tried by deciding again; None when no change of facts or of the
            request was found that does.
        faults: rules that could not be evaluated.
        would: what the rules (or the rules that are only observed) would have said, where that is something else.
    """

    scope: str
    meaning: str
    tier: str
    granted: bool
    carried: tuple[RuleShown, ...] = ()
    exceptions: tuple[ExceptionShown, ...] = ()
    mapped: tuple[str, ...] = ()
    reason: RefusalReason | None = None
    because: str = ""
    deciding: tuple[RuleShown, ...] = ()
    route: Route | None = None
    lacking: tuple[FactShown, ...] = ()
    change: tuple[ChangeShown, ...] | None = None
    faults: tuple[RuleShown, ...] = ()
    would: ScopeExplained | None = None


class ClaimShown(Struct, frozen=True):
    """A claim, the fact path or expression that it comes from, and its source with the age of what it said."""

    name: str
    value: Any
    origin: str
    source: str
    age: int | None = None


class BoundShown(Struct, frozen=True):
    """One bound on the lifetime; the one that `decided` is the least."""

    name: str
    seconds: int
    decided: bool


class Explanation(Struct, frozen=True, kw_only=True):
    """A decision and why it came out so."""

    bundle: str
    name: str
    owner: str
    contact: str
    decided_at: int
    evaluator: str
    mode: str
    stage: str
    client: str
    audience: str
    subject: str
    actors: tuple[str, ...]
    granted: bool
    scopes: tuple[ScopeExplained, ...]
    claims: tuple[ClaimShown, ...] = ()
    claim_faults: tuple[str, ...] = ()
    lifetime: int | None = None
    bounds: tuple[BoundShown, ...] = ()
    binding: str = ""
    details: tuple[ScopeExplained, ...] = ()

"""Step 5's result: per scope granted or refused and by what; claims, lifetime, binding, each with its origin."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from mintwarden.model.caller import Binding
from mintwarden.model.values import EntityUid

RefusalReason = Literal[
    "no_route",  # no permit holds
    "not_mapped",  # while observing: the mapping of the older system does not give it
    "forbidden",  # a forbid holds
    "forbid_failed",  # a forbid could not be evaluated
    "actor_not_permitted",  # an actor may not act with this scope
    "obligation_unmet",  # a permit holds, its obligations do not
    "fact_missing",
    "fact_stale",
    "source_failing",
    "tenancy",  # tenant, workspace or project is absent or not the subject's
    "wider_than_parent",  # the earlier token does not carry this scope
    "client_ceiling",  # the client may never have this scope
    "unknown_scope",
    "unknown_detail",  # the audience has no such type of authorization detail, or not with such fields
    "environment",  # the audience does not exist where the token would be used
    "claim_absent",  # a claim that the scope cannot do without has no value
    "no_lifetime",  # a bound leaves no time
    "unverified",  # Cedar disagreed with the compiled rules
]


Stage = Literal["", "canary", "downgrade", "returned"]


class Obligation(Struct, frozen=True):
    """What a route demands. `name` is the annotation's name without `@`, `value` its argument.

    `require_binding` (`dpop`, `mtls`, `any`), `require_acr`, `require_amr`, `require_auth_age` (a duration),
    `require_approval`, `require_purpose` and `max_ttl` (a bound rather than a demand).
    """

    name: str
    value: str


class RuleFault(Struct, frozen=True):
    """A rule that could not be evaluated. INVARIANT: it never widens."""

    rule: str
    effect: Literal["permit", "forbid"]


class ScopeDecision(Struct, frozen=True, kw_only=True):
    """The answer for one candidate scope, or for one authorization detail.

    Attributes:
        scope: its name in the catalogue; of a detail, its type.
        granted: may it be issued now.
        route: id of the winning permit for the subject, or empty.
        acting: for each actor in order, id of the permit that lets it act.
        reason: why it is refused, or None.
        determining: ids of the forbids or of the permits with unmet obligations behind a refusal.
        unmet: obligations of the nearest route, for a challenge.
        facts: `"<role>/<source>"` of the readings that refused it.
        faults: rules that failed.
        would: while something is observed, the rules' own answer where it is not this one: of the rules where the
            audience observes, of the observed rules as well where only they are. Nothing of it is ever issued.
    """

    scope: str
    granted: bool
    route: str = ""
    acting: tuple[str, ...] = ()
    reason: RefusalReason | None = None
    determining: tuple[str, ...] = ()
    unmet: tuple[Obligation, ...] = ()
    facts: tuple[str, ...] = ()
    faults: tuple[RuleFault, ...] = ()
    would: ScopeDecision | None = None


class ClaimDecision(Struct, frozen=True):
    """One derived claim. `origin` is the fact path or the CEL expression's claim id, `source` its source."""

    name: str
    value: object
    origin: str
    source: str


class Lifetime(Struct, frozen=True):
    """How long, in seconds, what bounded it, and every bound that applied (name to seconds)."""

    seconds: int
    bounded_by: str
    bounds: tuple[tuple[str, int], ...]


class Decision(Struct, frozen=True, kw_only=True):
    """Everything that was decided. A refusal is one too: `granted` is then false and `scopes` says why.

    Attributes:
        bundle: digest of the bundle that decided.
        decided_at: the `now` it was decided under, `Millis`.
        audience: catalogue id.
        subject, actors: as they will stand in the token (`actors` empty for permitted impersonation).
        scopes: one entry per candidate, in the order asked.
        granted: at least one scope or detail was granted and nothing refuses the whole.
        claims: the derived claims, sorted by name.
        claim_faults: names of claims whose expression failed; they are absent.
        lifetime: None when refused.
        binding: the key that the token is bound to.
        evaluator: `compiled`, or `cedar` when the bundle runs on Cedar alone.
        mode: what held for this caller: `enforce`, the rules decided; `observe`, the mapping of the older system did.
        stage: why, where the audience's mode alone does not say: `canary`, this caller's part of it; `downgrade`, it
            observes for a while; `returned`, that while is over.
        identity: what was decided about the identity scopes that were asked beside the others, or None.
        details: one entry per authorization detail, in the order asked.
    """

    bundle: str
    decided_at: int
    audience: str
    subject: EntityUid
    actors: tuple[EntityUid, ...]
    scopes: tuple[ScopeDecision, ...]
    granted: bool
    claims: tuple[ClaimDecision, ...] = ()
    claim_faults: tuple[str, ...] = ()
    lifetime: Lifetime | None = None
    binding: Binding | None = None
    evaluator: Literal["compiled", "cedar"] = "compiled"
    mode: Literal["observe", "enforce"] = "enforce"
    stage: Stage = ""
    identity: Decision | None = None
    details: tuple[ScopeDecision, ...] = ()

    @property
    def granted_scopes(self) -> tuple[str, ...]:
        """The names of the granted scopes, in the order asked."""
        return tuple([s.scope for s in self.scopes if s.granted])

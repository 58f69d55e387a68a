"""The canonical entry of a decision or of any other act that governs. Field by field: `docs/ledger.md`.

INVARIANT: an entry holds nothing personal. People stand in it as references that only their own key resolves,
claims without their values, lifetimes without the elements of entitlements.

Evolution: a new member has a default that is left out; a change of meaning raises `VERSION`. Members stand in
alphabetical order, because that is the order in which they are written (RFC 8785 section 3.2.3).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from mintwarden.ledger.canonical import MAX_INTEGER, canonical_json, encode, not_canonical
from mintwarden.ledger.seal import reference, token_digest
from mintwarden.model.asked import Asked
from mintwarden.model.decision import ClaimDecision, Decision, Lifetime, ScopeDecision
from mintwarden.model.ids import decision_text
from mintwarden.model.token import PreparedToken
from mintwarden.model.values import EntityUid

VERSION = 1
MAX_ENTRY = 65535
"""The longest entry that an entry bundle can hold (C2SP tlog-tiles)."""

GovernanceKind = Literal[
    "policy_activation",
    "policy_approval",
    "exception",
    "exception_end",
    "mode_change",
    "revocation",
    "key_rotation",
    "erasure",
    "sign_in",
    "evaluator_disagreement",
    "configuration",
    "administration",
    "consent",
    "approval",
    "ledger_start",
]
GOVERNANCE_KINDS: tuple[str, ...] = GovernanceKind.__args__  # type: ignore[attr-defined]


class PrincipalMember(Struct, frozen=True, omit_defaults=True, gc=False):
    """A workload or an agent by `id`; a person by `ref`, which only their key resolves."""

    id: str = ""
    ref: str = ""
    type: str = ""


class ClaimMember(Struct, frozen=True, gc=False):
    """That a claim was issued and where its value came from."""

    name: str
    origin: str
    source: str


class LifetimeMember(Struct, frozen=True, gc=False):
    """Seconds, and the name of what bounded them."""

    bound: str
    seconds: int


class FaultMember(Struct, frozen=True, gc=False):
    """A rule that could not be evaluated."""

    effect: str
    rule: str


class UnmetMember(Struct, frozen=True, gc=False):
    """An obligation that the nearest route demanded."""

    name: str
    value: str


class ScopeMember(Struct, frozen=True, omit_defaults=True, gc=False):
    """The answer for one scope, or one detail by its type; see `ScopeDecision`. `would` does not name it again."""

    acting: tuple[str, ...] = ()
    determining: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    faults: tuple[FaultMember, ...] = ()
    granted: bool | None = None
    reason: str = ""
    route: str = ""
    scope: str = ""
    unmet: tuple[UnmetMember, ...] = ()
    would: ScopeMember | None = None


class IdentityMember(Struct, frozen=True, omit_defaults=True, gc=False):
    """What was decided about the identity scopes beside the others, and what fixes the ID token."""

    claims: tuple[ClaimMember, ...] = ()
    granted: bool | None = None
    id_token: str = ""
    lifetime: LifetimeMember | None = None
    scopes: tuple[ScopeMember, ...] = ()


class DecisionEntry(Struct, frozen=True, omit_defaults=True, gc=False):
    """The public record of one decision."""

    actors: tuple[PrincipalMember, ...] = ()
    at: int = -1
    audience: str = ""
    binding: str = ""
    bundle: str = ""
    claims: tuple[ClaimMember, ...] = ()
    client: str = ""
    details: tuple[ScopeMember, ...] = ()
    environment: str = ""
    evaluator: str = ""
    facts: str = ""
    grant: str = ""
    granted: bool | None = None
    id: str = ""
    identity: IdentityMember | None = None
    issuer: str = ""
    kind: str = ""
    lifetime: LifetimeMember | None = None
    method: str = ""
    mode: str = ""
    prepared: str = ""
    purpose: str = ""
    scopes: tuple[ScopeMember, ...] = ()
    signer: str = ""
    stage: str = ""
    subject: PrincipalMember | None = None
    v: int = 0


class GovernanceEntry(Struct, frozen=True, omit_defaults=True, gc=False):
    """The public record of an act that governs: who, what, when, and in `detail` what it was about."""

    actor: PrincipalMember
    at: int
    detail: Mapping[str, object] = {}
    facts: str = ""
    id: str = ""
    issuer: str = ""
    kind: str = ""
    v: int = 0


def decision_entry(
    *,
    decision_id: str,
    issuer: str,
    decision: Decision,
    asked: Asked,
    prepared: PreparedToken | None,
    id_token: PreparedToken | None = None,
    commitment: bytes,
    blinding: bytes,
) -> bytes:
    """The entry of a decision: depends on its arguments alone.

    `commitment` and `blinding` are those of the sealed document (`Sealer.seal`). Raises
    `MintwardenError(LEDGER)` for a value without a canonical form.
    """
    at, lifetime, binding = decision.decided_at, decision.lifetime, decision.binding
    if not 0 <= at <= MAX_INTEGER or (lifetime is not None and not 0 <= lifetime.seconds <= MAX_INTEGER):
        raise not_canonical("a time out of range")
    return _within_bounds(
        encode(
            DecisionEntry(
                tuple([_principal(actor, blinding) for actor in decision.actors]) if decision.actors else (),
                at,
                decision.audience,
                "" if binding is None else binding.kind,
                decision.bundle,
                tuple([_claim(claim) for claim in decision.claims]) if decision.claims else (),
                asked.client_id,
                tuple([_scope(detail, detail.scope) for detail in decision.details]) if decision.details else (),
                asked.environment,
                decision.evaluator,
                commitment.hex(),
                asked.grant,
                decision.granted,
                decision_id,
                None if decision.identity is None else _identity(decision.identity, id_token, blinding),
                issuer,
                "decision",
                None if lifetime is None else _lifetime(lifetime),
                asked.method,
                decision.mode,
                "" if prepared is None else token_digest(blinding, prepared.digest),
                asked.purpose,
                tuple([_scope(scope, scope.scope) for scope in decision.scopes]),
                asked.signer,
                decision.stage,
                _principal(decision.subject, blinding),
                VERSION,
            )
        )
    )


def governance_entry(
    *,
    kind: GovernanceKind,
    entry_id: bytes,
    issuer: str,
    at: int,
    actor: EntityUid,
    detail: Mapping[str, object],
    commitment: bytes = b"",
    blinding: bytes = b"",
) -> bytes:
    """The entry of an act that governs.

    `detail` is public: no personal data. What is personal goes into the sealed document behind `commitment`;
    without one, the actor must not be a person. Raises `MintwardenError(LEDGER)` for a value without a
    canonical form.
    """
    if kind not in GOVERNANCE_KINDS:
        raise not_canonical(f"the unknown kind `{kind}`")
    if actor.type == "User" and not blinding:
        raise not_canonical("a person in clear")
    who = {"type": actor.type}
    if actor.type == "User":
        who["ref"] = reference(blinding, actor)
    else:
        who["id"] = actor.id
    members: dict[str, object] = {
        "actor": who,
        "at": at,
        "detail": dict(detail),
        "id": decision_text(entry_id),
        "issuer": issuer,
        "kind": kind,
        "v": VERSION,
    }
    if commitment:
        members["facts"] = commitment.hex()
    return _within_bounds(canonical_json(members))


def _within_bounds(entry: bytes) -> bytes:
    if len(entry) > MAX_ENTRY:
        raise not_canonical("more than 65535 bytes")
    return entry


def _principal(uid: EntityUid, blinding: bytes) -> PrincipalMember:
    if uid.type == "User":
        return PrincipalMember("", reference(blinding, uid), "User")
    return PrincipalMember(uid.id, "", uid.type)


def _claim(claim: ClaimDecision) -> ClaimMember:
    return ClaimMember(claim.name, claim.origin, claim.source)


def _identity(decision: Decision, id_token: PreparedToken | None, blinding: bytes) -> IdentityMember:
    return IdentityMember(
        tuple([_claim(claim) for claim in decision.claims]),
        decision.granted,
        "" if id_token is None else token_digest(blinding, id_token.digest),
        None if decision.lifetime is None else _lifetime(decision.lifetime),
        tuple([_scope(scope, scope.scope) for scope in decision.scopes]),
    )


def _lifetime(lifetime: Lifetime) -> LifetimeMember:
    return LifetimeMember(_public(lifetime.bounded_by), lifetime.seconds)


def _public(bound: str) -> str:
    """The element of an entitlement is a value of a fact (`entitlement:tenants/acme`): it stays sealed."""
    return bound.partition("/")[0] if bound.startswith("entitlement:") else bound


@functools.lru_cache(maxsize=4096)
def _plain_scope(acting: tuple[str, ...], route: str, name: str) -> ScopeMember:
    return ScopeMember(acting, (), (), (), True, "", route, name)


def _scope(scope: ScopeDecision, name: str) -> ScopeMember:
    if scope.granted and not scope.faults and scope.would is None:
        return _plain_scope(scope.acting, scope.route, name)
    return ScopeMember(
        scope.acting,
        # Rules, claims, or the bound that left no time.
        tuple([_public(name) for name in scope.determining]),
        scope.facts,
        tuple([FaultMember(fault.effect, fault.rule) for fault in scope.faults]),
        scope.granted,
        scope.reason or "",
        scope.route,
        name,
        tuple([UnmetMember(obligation.name, obligation.value) for obligation in scope.unmet]),
        None if scope.would is None else _scope(scope.would, ""),
    )

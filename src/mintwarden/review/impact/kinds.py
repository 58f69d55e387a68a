"""In which ways a decision comes out otherwise, and which scopes, rules, reasons, bounds and claims it is about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from msgspec.structs import replace

from mintwarden.ledger.entry import DecisionEntry, ScopeMember
from mintwarden.model.decision import Decision, ScopeDecision

KINDS: Mapping[str, str] = {
    "gained": "a token where there was none",
    "widened": "more scopes in the token",
    "lost": "no token where there was one",
    "narrowed": "fewer scopes in the token",
    "shortened": "the token lives shorter",
    "lengthened": "the token lives longer",
    "bound": "the token must be bound to its holder's key, and was not",
    "unbound": "the token need not be bound to its holder's key any more",
    "claims": "other claims, or other values of them",
    "reason": "the same outcome by another rule or for another reason",
}
"""Every kind of change, and what it means. A decision may change in several ways at once."""

DIMENSIONS: tuple[str, ...] = ("client", "audience", "scope", "tenant", "rule", "reason", "bound", "claim")
"""By what changes are counted."""

_NONE: tuple[str, ...] = ()
_BINDING = "require_binding"


class Change(NamedTuple):
    """One way in which a decision changed, with the names it is about, by dimension."""

    kind: str
    scopes: tuple[str, ...] = _NONE
    rules: tuple[str, ...] = _NONE
    reasons: tuple[str, ...] = _NONE
    bounds: tuple[str, ...] = _NONE
    claims: tuple[str, ...] = _NONE

    def names(self) -> Iterator[tuple[str, str]]:
        """(dimension, name), each once."""
        for dimension, names in (
            ("scope", self.scopes),
            ("rule", self.rules),
            ("reason", self.reasons),
            ("bound", self.bounds),
            ("claim", self.claims),
        ):
            for name in dict.fromkeys(names):
                yield dimension, name


def changes_of(was: DecisionEntry, claims: Mapping[str, Any], now: Decision) -> tuple[Change, ...]:
    """How the recorded decision `was`, with the values of its claims, differs from `now`; empty where it does not.

    What is compared is what the token says, and why: scopes, lifetime, binding, claims; routes and reasons.
    """
    was, now = folded(was), folded(now)
    if _is_unchanged(was, claims, now):
        return ()
    return tuple(_changes(was, claims, now))


Decided = TypeVar("Decided", DecisionEntry, Decision)


def folded(whole: Decided) -> Decided:
    """The decision with its authorization details among its scopes, by type: `type#2` is the second of a type."""
    if not whole.details:
        return whole
    details: Sequence[Any] = whole.details
    types = [detail.scope for detail in details]
    named: list[Any] = [
        replace(detail, scope=f"{detail.scope}#{types[: place + 1].count(detail.scope)}")
        if types.count(detail.scope) > 1
        else detail
        for place, detail in enumerate(details)
    ]
    return replace(whole, scopes=(*whole.scopes, *named), details=())


def public_bound(bound: str) -> str:
    """The bound without the element of an entitlement, as entries have it."""
    return bound.partition("/")[0] if bound.startswith("entitlement:") else bound


def _is_unchanged(was: DecisionEntry, claims: Mapping[str, Any], now: Decision) -> bool:
    """The usual case, without building anything."""
    if was.granted is not now.granted or len(was.scopes) != len(now.scopes):
        return False
    for before, after in zip(was.scopes, now.scopes, strict=True):
        if (
            before.scope != after.scope
            or before.granted is not after.granted
            or before.route != after.route
            or before.acting != after.acting
            or not (after.granted or _same_refusal(before, after))
        ):
            return False
    lifetime, binding = now.lifetime, now.binding
    if lifetime is None or was.lifetime is None:
        return lifetime is None and was.lifetime is None
    if lifetime.seconds != was.lifetime.seconds or was.binding != ("" if binding is None else binding.kind):
        return False
    return len(claims) == len(now.claims) and all(
        claim.name in claims and claims[claim.name] == claim.value for claim in now.claims
    )


def _same_refusal(before: ScopeMember, after: ScopeDecision) -> bool:
    return (
        before.reason == (after.reason or "")
        and before.determining == tuple([public_bound(name) for name in after.determining])
        and [(unmet.name, unmet.value) for unmet in before.unmet]
        == [(unmet.name, unmet.value) for unmet in after.unmet]
    )


def _changes(was: DecisionEntry, claims: Mapping[str, Any], now: Decision) -> Iterator[Change]:
    before = {scope.scope: scope for scope in was.scopes}
    after = {scope.scope: scope for scope in now.scopes}
    more = [s for s in now.scopes if s.granted and not _is_granted(before.get(s.scope))]
    fewer = [s for s in was.scopes if s.granted and not _is_granted(after.get(s.scope))]
    if more:
        yield _gain("widened" if was.granted else "gained", more, before)
    if fewer:
        yield _loss("narrowed" if now.granted else "lost", fewer, after)
    yield from _binding(was, now, more, fewer, before, after)
    if was.granted and now.granted:
        yield from _lifetime(was, now)
        yield from _claims(claims, now)
    if not more and not fewer:
        yield from _reasons(now, before)


def _is_granted(scope: ScopeMember | ScopeDecision | None) -> bool:
    return scope is not None and scope.granted is True


def _gain(kind: str, scopes: Iterable[ScopeDecision], before: Mapping[str, ScopeMember]) -> Change:
    names, rules, reasons = [], [], []
    for scope in scopes:
        names.append(scope.scope)
        rules += [scope.route, *scope.acting]
        earlier = before.get(scope.scope)
        reasons.append("not asked" if earlier is None else earlier.reason)
    return Change(kind, tuple(names), _filled(rules), _filled(reasons))


def _loss(kind: str, scopes: Iterable[ScopeMember], after: Mapping[str, ScopeDecision]) -> Change:
    names: list[str] = []
    rules: list[str] = []
    reasons: list[str] = []
    for scope in scopes:
        names.append(scope.scope)
        later = after.get(scope.scope)
        rules += _blamed(scope, later)
        reasons.append("not asked" if later is None else later.reason or "")
    return Change(kind, tuple(names), _filled(rules), _filled(reasons))


_REFUSING = frozenset({"forbidden", "forbid_failed", "obligation_unmet"})
"""Reasons whose determining names are rules: they refuse now, where otherwise it is a rule that grants no more."""


def _blamed(before: ScopeMember, after: ScopeDecision | None) -> tuple[str, ...]:
    """The rules by which a scope is lost."""
    if after is not None and after.reason in _REFUSING:
        return after.determining
    return before.acting if after is not None and after.reason == "actor_not_permitted" else (before.route,)


def _lifetime(was: DecisionEntry, now: Decision) -> Iterator[Change]:
    before, after = was.lifetime, now.lifetime
    if before is None or after is None or before.seconds == after.seconds:
        return
    granted = tuple(scope.scope for scope in now.scopes if scope.granted)
    if after.seconds < before.seconds:
        yield Change("shortened", granted, bounds=(public_bound(after.bounded_by),))
    else:
        yield Change("lengthened", granted, bounds=(before.bound,))


def _claims(claims: Mapping[str, Any], now: Decision) -> Iterator[Change]:
    after = {claim.name: claim.value for claim in now.claims}
    names = sorted(
        name
        for name in claims.keys() | after.keys()
        if name not in claims or name not in after or claims[name] != after[name]
    )
    if names:
        granted = tuple(scope.scope for scope in now.scopes if scope.granted)
        yield Change("claims", granted, claims=tuple(names))


def _binding(
    was: DecisionEntry,
    now: Decision,
    more: Iterable[ScopeDecision],
    fewer: Iterable[ScopeMember],
    before: Mapping[str, ScopeMember],
    after: Mapping[str, ScopeDecision],
) -> Iterator[Change]:
    """A token takes the binding that was proven; so a demand for one shows in what is refused for want of it."""
    bound = [scope.scope for scope in fewer if _demands_binding(after.get(scope.scope))]
    unbound = [scope.scope for scope in more if _demands_binding(before.get(scope.scope))]
    kind = "" if now.binding is None else now.binding.kind
    if was.granted and now.granted and was.binding != kind:
        scopes = [scope.scope for scope in now.scopes if scope.granted]
        if kind:
            bound += scopes
        else:
            unbound += scopes
    if bound:
        yield Change("bound", tuple(dict.fromkeys(bound)))
    if unbound:
        yield Change("unbound", tuple(dict.fromkeys(unbound)))


def _demands_binding(scope: ScopeMember | ScopeDecision | None) -> bool:
    return scope is not None and any(unmet.name == _BINDING for unmet in scope.unmet)


def _reasons(now: Decision, before: Mapping[str, ScopeMember]) -> Iterator[Change]:
    scopes, rules, reasons = [], [], []
    for scope in now.scopes:
        earlier = before.get(scope.scope)
        if earlier is None:
            scopes.append(scope.scope)
            reasons.append(scope.reason or "")
        elif earlier.route != scope.route or earlier.acting != scope.acting or not _same_reason(earlier, scope):
            scopes.append(scope.scope)
            rules += [scope.route, *scope.acting]
            reasons.append(scope.reason or "")
    if scopes or len(before) != len(now.scopes):
        yield Change("reason", tuple(scopes), _filled(rules), _filled(reasons))


def _same_reason(before: ScopeMember, after: ScopeDecision) -> bool:
    return after.granted or _same_refusal(before, after)


def _filled(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))

"""What a change of the policy could lift: whether it needs the larger quorum, and why.

INVARIANT: what is not known to be harmless is of higher risk. Each table below lists the members of a declaration that
are judged; a member that no table knows, one that a later version of the format adds for instance, counts as of higher
risk whenever it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from mintwarden.model.catalogue import Audience, Catalogue, Client, Scope, Tier
from mintwarden.model.detail import DetailType
from mintwarden.policy.bundle.model import Approver, Bundle
from mintwarden.policy.cedar.rule import Rule

Level = Literal["ordinary", "higher"]


class Reason(Struct, frozen=True, order=True):
    """Why a change is of higher risk: what it is about (`rule`, `scope`, ...), which one, and what happens to it."""

    about: str
    name: str
    what: str

    def __str__(self) -> str:
        return f"{self.about} `{self.name}` {self.what}" if self.name else f"{self.about} {self.what}"


class Risk(Struct, frozen=True):
    """`higher` with its reasons in order, or `ordinary` without any."""

    level: Level
    reasons: tuple[Reason, ...]


def risk(old: Bundle, new: Bundle) -> Risk:
    """What changes from `old`, which governs, to `new`. Pure, deterministic, and equal bundles are `ordinary`."""
    found = tuple(sorted(set(_Change(old, new).reasons())))
    return Risk("higher" if found else "ordinary", found)


def high_scopes(bundle: Bundle) -> frozenset[str]:
    """The scopes, and types of details, of the tiers that a bundle names for its larger quorum."""
    tiers = bundle.approvals.higher_risk.tiers
    return frozenset(name for name, scope in _issued(bundle.catalogue).items() if scope.tier in tiers)


def _issued(catalogue: Catalogue) -> Mapping[str, Scope | DetailType]:
    """Scopes and types of authorization details; no two have one name."""
    return {**catalogue.scopes, **catalogue.details}


Judge = Callable[[Any, Any], bool]
"""Old and new value of a member that differ: is that of higher risk."""

_MODES = ("observe", "canary", "enforce")
_LOOSER = ("legacy", "oauth21", "mcp", "fapi2")
"""Profiles, from loose to strict."""
_VERIFY = ("off", "sampled", "always")


def _never(_old: Any, _new: Any) -> bool:
    return False


def _raised(old: Any, new: Any) -> bool:
    return bool(new > old)


def _added(old: Collection[Any], new: Collection[Any]) -> bool:
    return not set(new) <= set(old)


def _lowered_in(order: tuple[str, ...]) -> Judge:
    return lambda old, new: order.index(new) < order.index(old)


def _tells_more(old: Collection[str] | None, new: Collection[str] | None) -> bool:
    return old is not None and (new is None or _added(old, new))


_TIER: Mapping[str, Judge] = {
    "description": _never,
    "max_ttl": _raised,
    "verify": _lowered_in(_VERIFY),
    "verify_share": lambda old, new: new < old,
    "exception_max": _raised,
    "exception_approvals": lambda old, new: new < old,
}
_AUDIENCE: Mapping[str, Judge] = {
    "description": _never,
    "owner": _never,
    "disclose": _never,
    "algorithm": _never,
    "scopes": _never,  # one by one, below
    "details": _never,  # likewise
    "claims": _never,  # likewise
    "max_ttl": _never,  # likewise
    "default_ttl": _never,  # likewise
    "environments": _added,
    "mode": _lowered_in(_MODES),
    "binding": lambda old, _new: bool(old),
    "tenancy": lambda old, new: _added(new, old),
    "status_list": lambda old, _new: bool(old),
    "max_age_of_decision": lambda old, new: old is not None and (new is None or new > old),
    "profile": _lowered_in(_LOOSER),
    "introspection": lambda old, new: (old.fresh and not new.fresh) or _tells_more(old.claims, new.claims),
}
_CLIENT: Mapping[str, Judge] = {
    "name": _never,
    "description": _never,
    "owner": _never,
    "ceilings": _never,  # below
    "details": _never,  # below
    "grants": _added,
    "methods": _added,
    "algorithms": _added,
    "environments": _added,
    "serves": _added,
    "post_logout_redirect_uris": _added,
    "redirect_uris": _added,
    "origins": _added,
    "authorization": lambda old, new: (
        (old.consent == "explicit" and new.consent == "implicit")
        or new.remember > old.remember
        or (old.pushed and not new.pushed)
        or (old.signed and not new.signed)
    ),
    # Where tokens are sent, nobody has to ask for them.
    "backchannel": lambda old, new: (
        (new.delivery == "push" and (new.delivery, new.endpoint) != (old.delivery, old.endpoint))
        or (bool(old.signing) and not new.signing)
    ),
    "addresses": lambda old, new: bool(old) and (not new or _added(old, new)),
    "certificate_bound": lambda old, _new: old,
    "protections": lambda old, new: (
        (old.dpop and not new.dpop)
        or (bool(old.object_algorithm) and new.object_algorithm != old.object_algorithm)
        or (old.max_age is not None and (new.max_age is None or new.max_age > old.max_age))
        or (bool(old.acr_values) and new.acr_values != old.acr_values)
    ),
    "attestation_max_age": lambda old, new: bool(old) and not 0 < new <= old,
    "attestation_challenge": lambda old, _new: old,
    "profile": _lowered_in(_LOOSER),
}
_CATALOGUE: Mapping[str, Judge] = {
    "owner_contact": _never,
    "purposes": _never,
    "max_actors": _raised,
    "sessions": lambda old, new: new.idle > old.idle or new.absolute > old.absolute,
    # Each of these is looked at one by one, below.
    **dict.fromkeys(
        ("tiers", "audiences", "scopes", "claims", "sources", "clients", "issuers", "providers", "transmitters"), _never
    ),
}
_BUNDLE = frozenset(
    "_changed _other digest plans evaluator schema derivations observed_scopes returning scenarios rules catalogue "
    "approvals assertions".split()
)
"""What a bundle holds that is judged here, that follows from what is, or that only tests it."""


def _members(about: str, name: str, table: Mapping[str, Judge], old: Any, new: Any) -> Iterator[Reason]:
    for field in msgspec.structs.fields(type(old)):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if before != after:
            judge = table.get(field.name)
            if judge is None or judge(before, after):
                yield Reason(about, name, f"changes its `{field.name}`")


class _Change:
    def __init__(self, old: Bundle, new: Bundle) -> None:
        self.old, self.new = old, new
        self.before: Catalogue = old.catalogue
        self.after: Catalogue = new.catalogue
        known = self.before.tiers
        self.high = high_scopes(old) | high_scopes(new)
        after = _issued(self.after)
        self.high |= {name for name, scope in after.items() if scope.tier not in known}
        self.high |= {name for name, scope in after.items() if scope.tier in old.approvals.higher_risk.tiers}

    def reasons(self) -> Iterator[Reason]:
        yield from self._approvals()
        yield from self._rules()
        yield from self._assertions()
        yield from _members("the catalogue", "", _CATALOGUE, self.before, self.after)
        yield from self._tiers()
        yield from self._scopes()
        yield from self._details()
        for audience in self.after.audiences.values():
            yield from self._audience(self.before.audiences.get(audience.id), audience)
        yield from self._claims()
        yield from self._sources()
        for client in self.after.clients.values():
            yield from self._client(self.before.clients.get(client.id), client)
        for name, issuer in self.after.issuers.items():
            if name not in self.before.issuers:
                yield Reason("issuer", name, "is trusted from now on")
            elif self.before.issuers[name] != issuer:
                yield Reason("issuer", name, "is trusted otherwise")
        for name, provider in self.after.providers.items():
            if name not in self.before.providers:
                yield Reason("provider", name, "lets people sign in from now on")
            elif self.before.providers[name] != provider:
                yield Reason("provider", name, "lets people sign in otherwise")
        for name in sorted(self.before.transmitters.keys() | self.after.transmitters.keys()):
            if self.before.transmitters.get(name) != self.after.transmitters.get(name):
                # One that is taken away too: what it would have ended goes on.
                yield Reason("transmitter", name, "is listened to otherwise")
        for slot in Bundle.__slots__:
            if slot not in _BUNDLE and getattr(self.old, slot) != getattr(self.new, slot):
                yield Reason("the bundle", "", f"changes its `{slot}`")

    def _approvals(self) -> Iterator[Reason]:
        old, new = self.old.approvals, self.new.approvals
        for field in msgspec.structs.fields(type(old)):
            before, after = getattr(old, field.name), getattr(new, field.name)
            if field.name in ("approvers", "authors"):
                before, after = _people(before), _people(after)
            if before != after:
                yield Reason("who approves", "", f"changes: `{field.name}`")

    def _rules(self) -> Iterator[Reason]:
        old, new = self.old.rules.rules, self.new.rules.rules
        for name in sorted(old.keys() | new.keys()):
            before, after = old.get(name), new.get(name)
            if before is not None and after is not None and _said(before) == _said(after):
                continue
            if before is not None and before.effect == "forbid":
                yield Reason("guardrail", name, "is taken away" if after is None else "is changed")
                continue
            if after is not None and after.effect == "forbid" and before is None:
                continue
            for one, catalogue in ((before, self.before), (after, self.after)):
                touched = sorted(self.high & _named(one, catalogue)) if one is not None else []
                if touched:
                    verb = "is added" if before is None else "is taken away" if after is None else "is changed"
                    yield Reason("rule", name, f"{verb} and is about the high-tier scope `{touched[0]}`")
                    break

    def _assertions(self) -> Iterator[Reason]:
        new = {one.id: one for one in self.new.assertions}
        for one in self.old.assertions:
            kept = new.get(one.id)
            if kept is None:
                yield Reason("assertion", one.id, "is taken away")
            elif msgspec.structs.replace(kept, file=one.file, line=one.line) != one:
                yield Reason("assertion", one.id, "is changed")

    def _tiers(self) -> Iterator[Reason]:
        if [*self.before.tiers] != [*self.after.tiers]:
            yield Reason("the tiers", "", "are others, or in another order")
        for name, tier in self.after.tiers.items():
            old: Tier | None = self.before.tiers.get(name)
            if old is not None:
                yield from _members("tier", name, {**_TIER, "rank": _never}, old, tier)

    def _scopes(self) -> Iterator[Reason]:
        old, new = self.before.scopes, self.after.scopes
        for name in sorted(old.keys() | new.keys()):
            before, after = old.get(name), new.get(name)
            if before == after:
                continue
            if name in self.high:
                verb = "is added" if before is None else "is taken away" if after is None else "is changed"
                yield Reason("scope", name, f"{verb} and is of a high tier")
            elif after is not None:
                yield from self._low_scope(name, before, after)

    def _details(self) -> Iterator[Reason]:
        """INVARIANT: what may be said in detail is of higher risk however it changes, its words for people aside."""
        old, new = self.before.details, self.after.details
        for name in sorted(old.keys() | new.keys()):
            before, after = old.get(name), new.get(name)
            if before is None and after is not None and name not in self.high:
                continue  # nobody could ask for it before
            if before is not None and after is not None:
                before = msgspec.structs.replace(before, meaning=after.meaning)
            if before != after:
                verb = "is added" if before is None else "is taken away" if after is None else "is changed"
                yield Reason("authorization detail", name, verb)

    def _low_scope(self, name: str, before: Scope | None, after: Scope) -> Iterator[Reason]:
        carried = sorted((set(after.carries) - set(before.carries if before else ())) & self.high)
        if carried:
            yield Reason("scope", name, f"carries the high-tier scope `{carried[0]}` from now on")
        if before is not None and before.audience != after.audience:
            yield Reason("scope", name, "is of another audience")
        if before is not None and before.tier != after.tier:
            ranks = {tier: rank for rank, tier in enumerate(self.before.tiers)}
            if ranks.get(after.tier, -1) < ranks.get(before.tier, 0):
                yield Reason("scope", name, "is of a lower tier")

    def _audience(self, before: Audience | None, after: Audience) -> Iterator[Reason]:
        high = sorted(self.high & {*after.scopes, *after.details})
        if before is None:
            if after.mode != "enforce":
                yield Reason("audience", after.id, "is added and does not enforce")
            return
        table = dict(_AUDIENCE)
        if after.mode == "enforce":  # nothing of it counts then
            table |= dict.fromkeys(("legacy", "legacy_roles", "legacy_clients", "canary"), _never)
        if after.downgrade is None:
            table["downgrade"] = _never
        yield from _members("audience", after.id, table, before, after)
        if high and (after.max_ttl > before.max_ttl or after.default_ttl > before.default_ttl):
            yield Reason("audience", after.id, "gives longer lives to tokens with high-tier scopes")
        for claim in sorted(after.claims):
            if after.claims[claim] != before.claims.get(claim) and (high or self._is_sensitive(claim)):
                yield Reason("audience", after.id, f"gets the claim `{claim}` otherwise")

    def _is_sensitive(self, claim: str) -> bool:
        return any(
            catalogue.claims[claim].sensitivity not in ("public", "internal")
            for catalogue in (self.before, self.after)
            if claim in catalogue.claims
        )

    def _claims(self) -> Iterator[Reason]:
        for name, claim in self.after.claims.items():
            before = self.before.claims.get(name)
            if before is None or before == claim:
                continue
            if before.sensitivity != claim.sensitivity:
                yield Reason("claim", name, "is of another sensitivity")
            takers = [a.id for a in self.after.audiences.values() if name in a.claims and self.high & a.scopes.keys()]
            described = msgspec.structs.replace(before, description=claim.description, sensitivity=claim.sensitivity)
            if takers and described != claim:
                yield Reason("claim", name, f"is derived otherwise, and `{min(takers)}` takes it")

    def _sources(self) -> Iterator[Reason]:
        old, new = self.before.sources, self.after.sources
        for name in sorted(old.keys() | new.keys()):
            before, after = old.get(name), new.get(name)
            if before is None or after is None:
                known = after or before
                if before is not None or (known is not None and known.groups):
                    yield Reason("source", name, "is taken away" if after is None else "is added and names groups")
                elif known is not None and known.scim is not None:
                    yield Reason("source", name, "is added and fed over SCIM")
            elif msgspec.structs.replace(before, description=after.description) != after:
                yield Reason("source", name, "is read otherwise")

    def _client(self, before: Client | None, after: Client) -> Iterator[Reason]:
        if before is not None:
            yield from _members("client", after.id, _CLIENT, before, after)
        old = _ceiling(before, self.before) if before is not None else frozenset[str]()
        gained = sorted((_ceiling(after, self.after) - old) & self.high)
        if gained:
            yield Reason("client", after.id, f"may have the high-tier scope `{gained[0]}` from now on")
        detailed = sorted({*after.details} - {*(before.details if before is not None else ())} & self.high)
        if detailed:
            yield Reason("client", after.id, f"may have the high-tier authorization detail `{detailed[0]}` from now on")
        served = [name for name in after.serves if self.high & self.after.audiences[name].scopes.keys()]
        if before is None and served:
            yield Reason("client", after.id, f"is added and serves `{served[0]}`, which has high-tier scopes")


def _people(people: tuple[Approver, ...]) -> list[Approver]:
    return sorted((msgspec.structs.replace(one, contact="") for one in people), key=lambda one: one.name)


def _said(rule: Rule) -> tuple[str, dict[str, str], str]:
    return rule.effect, dict(rule.annotations), rule.text


def _named(rule: Rule, catalogue: Catalogue) -> frozenset[str]:
    if rule.head.scope or rule.head.detail:
        return frozenset((rule.head.scope or rule.head.detail,))
    audience = catalogue.audiences.get(rule.head.audience)
    within = catalogue if audience is None else audience
    return frozenset((*within.scopes, *within.details))


def _ceiling(client: Client, catalogue: Catalogue) -> frozenset[str]:
    found: set[str] = set()
    for name, scopes in client.ceilings.items():
        audience = catalogue.audiences.get(name)
        found.update(audience.scopes if "*" in scopes and audience is not None else scopes)
    return frozenset(found)

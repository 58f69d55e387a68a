"""What changes tokens without changing who is granted what: lifetimes, claims, and what the steps before let through.

INVARIANT: what is not known here to make no difference makes one. A field that is added to the catalogue counts as an
effect until somebody says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from mintwarden.model.catalogue import Audience, Catalogue, Claim, Scope
from mintwarden.policy.bundle.expressions import spelling
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.diff.parts import IN_BUNDLE, Part, encoded, fields_of, further, part_of_rule, plain
from mintwarden.policy.diff.reads import reads_of
from mintwarden.policy.durations import written

NOTHING = "none"
WORDS = frozenset({"description", "meaning", "owner", "owner_contact", "name"})
"""For people."""
_NOT_OF_TOKENS: Mapping[str, frozenset[str]] = {
    "catalogue": WORDS | IN_BUNDLE | {"environments"},
    "tier": WORDS | {"rank", "max_ttl"},
    "audience": WORDS | {"id", "scopes", "claims", "max_ttl", "default_ttl", "environments", "binding", "readiness"},
    "scope": WORDS | {"audience", "tier"},
    "client": WORDS | {"kind", "ceilings"},
    "issuer": WORDS | {"profile"},
    "provider": WORDS,
    "transmitter": WORDS,
    "source": WORDS,
    "purpose": WORDS,
}
"""By kind, the fields that are words for people, that are looked at below, or that the rules' formulas hold."""
_NAMES: Mapping[str, str] = {
    "default": "given when nothing is asked for",
    "carries": "scopes that a token with it may be exchanged for",
    "identifier": "`aud`",
    "also": "further `aud`",
    "algorithm": "signature",
    "mode": "mode",
    "max_age_of_decision": "longest life of what an autonomous agent holds, in seconds",
    "profile": "profile",
    "disclose": "what a refused client may learn",
    "introspection": "what introspection tells:",
    "status_list": "status list",
    "methods": "authentication methods",
    "algorithms": "accepted signatures",
    "jwks": "keys",
    "endpoint_spiffe_id": "whom its bundle endpoint is",
    "endpoint_authorities": "authorities of its bundle endpoint",
    "attester_keys": "keys of those who attest it",
    "attestation_max_age": "oldest attestation of its instances, in seconds",
    "attestation_challenge": "challenges that its instances must answer",
    "spiffe_id": "workload that it is",
    "certificate": "name of its certificate",
    "certificate_bound": "tokens bound to its certificate",
    "protections": "what it is held to",
    "addresses": "addresses that it may call from",
    "serves": "audiences that it serves",
    "grants": "grants",
    "environments": "environments",
    "principal": "kind of principal",
    "max_age": "age limit in milliseconds",
    "conditions": "conditions",
    "issuer": "`iss`",
    "max_actors": "longest chain of actors",
    "verify": "verification by Cedar",
    "verify_share": "share that Cedar verifies",
}

_OF_ISSUERS = {"max_age": "longest life of a token"}


class Effect(Struct, frozen=True, kw_only=True):
    """One thing that is otherwise in or before a token.

    Attributes:
        what: of which kind: `longest lifetime`, `claim department`, `keys`.
        about: whom or what it is said of: scopes, clients, sources.
        old, new: before and after, `none` where there is nothing.
        certain: False where the two are written differently and may yet come to the same.
    """

    what: str
    about: tuple[str, ...]
    old: str
    new: str
    certain: bool = True

    @property
    def text(self) -> str:
        """One line for people."""
        may = "" if self.certain else " (may differ)"
        return f"{self.what} of {', '.join(self.about)}: {self.old} -> {self.new}{may}"


def effects(old: Bundle, new: Bundle) -> tuple[Effect, ...]:
    """Everything besides grants that may make another token of the same request. Pure."""
    return tuple(_all(old, new))


def _all(old: Bundle, new: Bundle) -> Iterator[Effect]:
    one, other = old.catalogue, new.catalogue
    yield from _fields("catalogue", "the bundle", _catalogue(old), _catalogue(new))
    yield from _listed("purpose", one.purposes, other.purposes)
    yield from _listed("issuer", one.issuers, other.issuers)
    yield from _listed("provider", one.providers, other.providers)
    yield from _listed("transmitter", one.transmitters, other.transmitters)
    yield from _listed("client", one.clients, other.clients)
    yield from _client_words(old, new)
    yield from _sources(old, new)
    yield from _observed(old, new)
    yield from _details(old, new)
    for name in sorted({*one.scopes, *other.scopes}):
        before, scope = one.scopes.get(name), other.scopes.get(name)
        if before is None or scope is None:
            told = [NOTHING if known is None else "known" for known in (before, scope)]
            yield Effect(what="scope", about=(name,), old=told[0], new=told[1])
        elif before.audience == scope.audience:
            yield from _scope(one, other, before, scope)
        else:
            yield Effect(what="audience", about=(f"scope {name}",), old=before.audience, new=scope.audience)
    for name, audience in sorted(other.audiences.items()):
        earlier = one.audiences.get(name)
        if earlier is not None:
            yield from _fields(
                "audience", f"audience {name}", fields_of("audience", earlier), fields_of("audience", audience)
            )
            yield from _claims(one, other, earlier, audience)


def _catalogue(bundle: Bundle) -> dict[str, Any]:
    catalogue = bundle.catalogue
    told = {name: plain(getattr(catalogue, name), in_order=False) for name in catalogue.__struct_fields__}
    return told | {name: plain(getattr(bundle, name), in_order=False) for name in further(bundle)}


def _fields(kind: str, about: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Effect]:
    """Fields that are otherwise, those aside that are no matter here."""
    for name in sorted({*old, *new}):
        head, _, rest = name.partition(".")
        if head in _NOT_OF_TOKENS[kind] or old.get(name) == new.get(name):
            continue
        known = _OF_ISSUERS.get(head) if kind == "issuer" else None
        what = " ".join(filter(None, (known or _NAMES.get(head, head.replace("_", " ")), rest)))
        before, after = old.get(name), new.get(name)
        if kind == "issuer" and name == "conditions":
            # Other words may still let the same tokens through.
            before, after = _spelled(before), _spelled(after)
            if before != after:
                yield Effect(what=what, about=(about,), old=_told(before), new=_told(after), certain=False)
            continue
        yield Effect(what=what, about=(about,), old=_told(before), new=_told(after))


def _spelled(conditions: Any) -> list[str]:
    return sorted(spelling(condition) for condition in conditions or ())


def _observed(old: Bundle, new: Bundle) -> Iterator[Effect]:
    """Rules that are only observed stand in no slice; what they record, and when they begin to count, is compared."""
    before, after = _aside(old), _aside(new)
    for key in sorted({*before, *after}):
        one, other = before.get(key), after.get(key)
        if one is None or other is None:
            name = (one or other or "").partition(" ")[0]
            yield Effect(what="observed rule", about=(f"rule {name}",), old=_told(one), new=_told(other))


def _aside(bundle: Bundle) -> dict[str, str]:
    """What tells one observed rule from another, and how it is told."""
    found: dict[str, str] = {}
    for rule_id in sorted(getattr(bundle.rules, "aside", ())):
        rule = bundle.rules.rules[rule_id]
        part: Part = part_of_rule(rule)
        bearing = {name: value for name, value in rule.annotations.items() if name not in ("id", "owner", "reason")}
        until = bearing.get("observe_until", "")
        found[f"{part.key}{sorted(bearing.items())}"] = f"{rule_id} is observed" + (f" until {until}" if until else "")
    return found


def _details(old: Bundle, new: Bundle) -> Iterator[Effect]:
    """Rules about authorization details: nothing proves that other rules grant the same, nor that they do not."""
    one, other = old.catalogue, new.catalogue
    for name in sorted(one.details.keys() & other.details.keys()):
        for action in ("issue", "act", "impersonate"):
            sides = [_about_detail(bundle, action, name) for bundle in (old, new)]
            if [*sides[0]] != [*sides[1]]:
                before, after = (", ".join(sorted(side.values())) or NOTHING for side in sides)
                about = (f"authorization detail {name} ({action})",)
                yield Effect(what="rules", about=about, old=before, new=after, certain=False)
        tiers = (one.tiers[one.details[name].tier], other.tiers[other.details[name].tier])
        about_it = f"authorization detail {name}"
        yield from _fields("tier", about_it, fields_of("tier", tiers[0]), fields_of("tier", tiers[1]))
        if tiers[0].max_ttl != tiers[1].max_ttl:
            yield Effect(
                what="longest lifetime", about=(about_it,), old=written(tiers[0].max_ttl), new=written(tiers[1].max_ttl)
            )


def _about_detail(bundle: Bundle, action: str, name: str) -> dict[str, str]:
    """What tells each rule of the slice from another, in order, and its id."""
    found = {}
    for rule in bundle.rules.slice(action, name).rules:
        bearing = {key: value for key, value in rule.annotations.items() if key not in ("id", "owner", "reason")}
        found[f"{part_of_rule(rule).key}{rule.head.principal_type}{sorted(bearing.items())}"] = rule.id
    return dict(sorted(found.items()))


def _told(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return NOTHING
    return ", ".join(map(encoded, value)) if isinstance(value, list) else encoded(value)


def _listed(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Effect]:
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before is None or after is None:
            told = ("known" if value is not None else NOTHING for value in (before, after))
            yield Effect(what=kind, about=(name,), old=next(told), new=next(told))
        else:
            yield from _fields(kind, f"{kind} {name}", fields_of(kind, before), fields_of(kind, after))


def _client_words(old: Bundle, new: Bundle) -> Iterator[Effect]:
    """Kind and owner of a client matter to rules, whose formulas hold them, and to claims that copy them."""
    for name in ("kind", "owner", "name"):
        path = f"context.client.{name}"
        if not any(path in reads_of(bundle).claims for bundle in (old, new)):
            continue
        for client in sorted({*old.catalogue.clients} & {*new.catalogue.clients}):
            before, after = (getattr(bundle.catalogue.clients[client], name) for bundle in (old, new))
            if before != after:
                yield Effect(what=f"{name} in claims", about=(f"client {client}",), old=before, new=after)


def _sources(old: Bundle, new: Bundle) -> Iterator[Effect]:
    """Sources that a rule, a claim or a tenancy of either bundle leans on."""
    read = reads_of(old).sources | reads_of(new).sources
    one, other = old.catalogue.sources, new.catalogue.sources
    yield from _listed(
        "source",
        {name: source for name, source in one.items() if name in read},
        {name: source for name, source in other.items() if name in read},
    )


def _scope(one: Catalogue, other: Catalogue, before: Scope, after: Scope) -> Iterator[Effect]:
    about = f"scope {after.name}"
    yield from _fields("scope", about, fields_of("scope", before), fields_of("scope", after))
    tiers = (one.tiers[before.tier], other.tiers[after.tier])
    yield from _fields("tier", about, fields_of("tier", tiers[0]), fields_of("tier", tiers[1]))
    if before.tier != after.tier and any(tier.exception_max for tier in tiers):
        # An exception is for the tier that the scope had when it was asked for.
        yield Effect(what="tier that exceptions are for", about=(about,), old=before.tier, new=after.tier)
    audiences = (one.audiences[before.audience], other.audiences[after.audience])
    caps = [min(audience.max_ttl, tier.max_ttl) for audience, tier in zip(audiences, tiers, strict=True)]
    usual = [min(audience.default_ttl, cap) for audience, cap in zip(audiences, caps, strict=True)]
    for what, values in (("longest lifetime", caps), ("usual lifetime", usual)):
        if values[0] != values[1]:
            yield Effect(what=what, about=(about,), old=written(values[0]), new=written(values[1]))


def _claims(one: Catalogue, other: Catalogue, before: Audience, after: Audience) -> Iterator[Effect]:
    for name in sorted({*before.claims, *after.claims}):
        old, new = _taken(one, before, name), _taken(other, after, name)
        if old == new:
            continue
        certain = old is None or new is None or old[1:] != new[1:]
        about = (f"audience {after.id}",)
        yield Effect(what=f"claim {name}", about=about, old=_claim_text(old), new=_claim_text(new), certain=certain)


def _taken(catalogue: Catalogue, audience: Audience, name: str) -> tuple[Any, ...] | None:
    """An audience's claim: its derivation, then all else that tells one from another."""
    if name not in audience.claims:
        return None
    claim: Claim = catalogue.claims[name]
    scopes = frozenset(audience.claims[name])
    for_all = not scopes or scopes >= audience.scopes.keys()
    whom = "every scope" if for_all else ", ".join(sorted(scopes & audience.scopes.keys()))
    expression = spelling(claim.expression) if claim.expression else ""
    further_fields = {
        key: value
        for key, value in fields_of("claim", claim).items()
        if key not in (*WORDS, "sensitivity", "expression", "origin")
    }
    return (
        expression,
        claim.origin,
        bool(expression),
        whom,
        tuple(sorted((k, encoded(v)) for k, v in further_fields.items())),
    )


def _claim_text(taken: tuple[Any, ...] | None) -> str:
    if taken is None:
        return NOTHING
    expression, origin, _, whom, rest = taken
    notes = [f"{name} {value}" for name, value in rest]
    return f"`{expression or origin}` for {whom} ({', '.join(notes)})"

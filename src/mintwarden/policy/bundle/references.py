"""Every name that one part of a bundle uses and another declares."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from mintwarden.model.catalogue import (
    Audience,
    Catalogue,
    Claim,
    Client,
    ClientDocuments,
    OpenRegistration,
    Provider,
    Registration,
    Source,
    TrustedIssuer,
)
from mintwarden.model.fact_type import FactType
from mintwarden.model.profiles import PROFILES
from mintwarden.policy.bundle import (
    audiences,
    claims,
    clients,
    head,
    issuers,
    profiles,
    providers,
    sources,
    transmitters,
)
from mintwarden.policy.bundle.clients import OPEN_METHODS
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.expressions import Fault, inspect_expression
from mintwarden.policy.bundle.facttypes import FACT_TYPES, spelled
from mintwarden.policy.bundle.issuers import domain_of
from mintwarden.policy.bundle.namesakes import beginning_of, check_namesakes
from mintwarden.policy.bundle.problem import Place, quote
from mintwarden.policy.bundle.schema import REQUEST_FACTS, facts_about
from mintwarden.policy.bundle.sources import BUILT_IN, NAMESPACES, PRINCIPALS
from mintwarden.policy.derive import Derivation, ExpressionRefused, compile_derivation, parse_expression
from mintwarden.policy.hosts import ANY

INITIAL_SCOPE = "mintwarden:clients.register"
"""What an initial access token must have (RFC 7591 section 3)."""

REQUEST = "request"
"""The source of everything that a request itself states."""

_REQUEST_TYPES: Mapping[str, str] = {
    **dict.fromkeys(REQUEST_FACTS, "string"),
    "time": "datetime",
    "address": "ipaddr",
    "amr": "set<string>",
    "auth_age": "long",
}
_STATED: Mapping[str, FactType] = {
    **{f"context.request.{name}": FACT_TYPES[kind] for name, kind in _REQUEST_TYPES.items()},
    **{f"context.client.{name}": kind for name, kind in BUILT_IN.items()},
    "context.chain.depth": FACT_TYPES["long"],
    "context.chain.actors": FACT_TYPES["set<string>"],
    "context.subject.type": FACT_TYPES["string"],
    "context.subject.id": FACT_TYPES["string"],
}
"""Paths that hold in every decision, without any source."""


def check_references(draft: Draft, catalogue: Catalogue) -> Mapping[str, Derivation]:
    """Hold every reference against what is declared; the compiled derivations by claim name."""
    for audience in catalogue.audiences.values():
        _audience(draft, catalogue, audience)
    for client in catalogue.clients.values():
        _client(draft, catalogue, client)
    if catalogue.registration is not None:
        _registration(draft, catalogue, catalogue.registration)
    if catalogue.open_registration is not None:
        _open(draft, catalogue, catalogue.open_registration)
    if catalogue.documents is not None:
        _documents(draft, catalogue, catalogue.documents)
    for issuer in catalogue.issuers.values():
        _issuer(draft, catalogue, issuer)
    for provider in catalogue.providers.values():
        _provider(draft, catalogue, provider)
    check_namesakes(draft, catalogue.issuers.values(), catalogue.providers.values())
    transmitters.check_transmitters(draft, catalogue)
    paths = fact_paths(catalogue.sources)
    derivations = {}
    for claim in catalogue.claims.values():
        derivation = _claim(draft, catalogue, claim, paths)
        if derivation is not None:
            derivations[claim.name] = derivation
    return derivations


def fact_paths(declared: Mapping[str, Source]) -> Mapping[str, tuple[FactType, frozenset[str]]]:
    """Every path that a claim may read, with its type and the sources behind it."""
    found: dict[str, tuple[FactType, frozenset[str]]] = {
        path: (kind, frozenset({REQUEST})) for path, kind in _STATED.items()
    }
    for about in (*PRINCIPALS, *NAMESPACES):
        head = "subject" if about in PRINCIPALS else f"context.{about}"
        for name, (fact, source) in facts_about(declared, about).items():
            path = f"{head}.{name}"
            behind = found[path][1] if path in found else frozenset[str]()
            found[path] = (fact.type, behind | {source.id})
    return found


def _environments(draft: Draft, catalogue: Catalogue, names: Iterable[str], place: Place) -> None:
    for index, name in enumerate(names):
        draft.known("environment", name, frozenset(catalogue.environments), place.at(index))


def _audience(draft: Draft, catalogue: Catalogue, audience: Audience) -> None:
    file = draft.place("audience", audience.id).file
    _environments(draft, catalogue, audience.environments, Place(file, ("audience", "environments")))
    for name, needing in audience.claims.items():
        place = Place(file, ("claims", name))
        draft.known("claim", name, catalogue.claims, place, key=True)
        for index, scope in enumerate(needing):
            _own_scope(draft, audience, scope, place.at(index))
    _modes(draft, catalogue, audience, file)
    for key in ("client_ids", "resources"):
        if getattr(audience, key) and audience.kind != "domain":
            what = f'`{key}` have no meaning but with `kind = "domain"`'
            draft.problems.add(Place(file, ("audience", key)), what, "remove them", key=True)
    if audience.kind == "domain" and audience.also:
        what = "`also` has no meaning: an identity assertion is for one authorization server"
        draft.problems.add(
            Place(file, ("audience", "also")), what, "list its resource servers in `resources`", key=True
        )
    for name in audience.client_ids:
        draft.known("client", name, catalogue.clients, Place(file, ("audience", "client_ids", name)), key=True)
    if audience.kind == "identity":
        _identity(draft, catalogue, audience, file)
    elif catalogue.issuer and catalogue.issuer in (audience.identifier, *audience.also):
        what = "the issuer is no API: its tokens would say that they are for ourselves"
        remedy = 'write `kind = "identity"`, or the identifier of the API'
        draft.problems.add(Place(file, ("audience", "identifier")), what, remedy)
    for scope_ in audience.scopes.values():
        place = Place(file, ("scopes", scope_.name))
        draft.known("tier", scope_.tier, catalogue.tiers, place.at("tier"))
        for index, carried in enumerate(scope_.carries):
            draft.known("scope", carried, catalogue.scopes, place.at("carries", index))
    for detail in audience.details.values():
        draft.known("tier", detail.tier, catalogue.tiers, Place(file, ("details", detail.name, "tier")))
    for index, tenancy in enumerate(audience.tenancy):
        _tenancy(draft, catalogue, tenancy.member_of, Place(file, ("tenancy", index, "member_of")))


def _identity(draft: Draft, catalogue: Catalogue, audience: Audience, file: str) -> None:
    """The audience that is ourselves: one, named as we are, with the scope that stands for signing in."""
    if catalogue.identity != audience.id:
        what = f"audience `{catalogue.identity}` is of this kind already"
        draft.problems.add(Place(file, ("audience", "kind")), what, "keep one audience of kind `identity`")
    if catalogue.issuer and audience.identifier != catalogue.issuer:
        what = "the audience of kind `identity` is not named like the issuer"
        draft.problems.add(Place(file, ("audience", "identifier")), what, f"write `{catalogue.issuer}`")
    if "openid" not in audience.scopes:
        what = "an audience of kind `identity` needs the scope `openid`"
        draft.problems.add(Place(file, ("audience", "kind")), what, "add `[scopes.openid]`")


def _modes(draft: Draft, catalogue: Catalogue, audience: Audience, file: str) -> None:
    for fact, by_role in audience.legacy_roles.items():
        place = Place(file, ("legacy_roles", fact))
        _tenancy(draft, catalogue, fact, place)
        _lent(draft, audience, by_role, place)
    _lent(draft, audience, audience.legacy, Place(file, ("legacy",)))
    _lent(draft, audience, audience.legacy_clients, Place(file, ("legacy_clients",)))
    for client in audience.legacy_clients:
        draft.known("client", client, catalogue.clients, Place(file, ("legacy_clients", client)), key=True)
    for index, client in enumerate(audience.canary.clients if audience.canary else ()):
        draft.known("client", client, catalogue.clients, Place(file, ("canary", "clients", index)))
    for index, explained in enumerate(audience.readiness.explained):
        place = Place(file, ("readiness", "explained", index))
        if explained.client:
            draft.known("client", explained.client, catalogue.clients, place.at("client"))
        if explained.scope:
            _own_scope(draft, audience, explained.scope, place.at("scope"))


def _lent(draft: Draft, audience: Audience, mapping: Mapping[str, tuple[str, ...]], place: Place) -> None:
    for name, scopes in mapping.items():
        for index, scope in enumerate(scopes):
            _own_scope(draft, audience, scope, place.at(name, index))


def _own_scope(draft: Draft, audience: Audience, scope: str, place: Place) -> None:
    if scope not in audience.scopes:
        what = f"audience `{audience.id}` has no scope {quote(scope)}"
        draft.problems.add(place, what, draft.problems.near(scope, audience.scopes, "declare it under `[scopes]`"))


def _tenancy(draft: Draft, catalogue: Catalogue, member_of: str, place: Place) -> None:
    lists = {
        path
        for path, (kind, _) in fact_paths(catalogue.sources).items()
        if path.startswith("subject.") and spelled(kind) == "set<string>"
    }
    if member_of not in lists:
        what = f"{quote(member_of)} is no fact of a subject that lists names (`set<string>`)"
        draft.problems.add(place, what, draft.problems.near(member_of, lists, "declare it in `sources.toml`"))


def _registration(draft: Draft, catalogue: Catalogue, bounds: Registration) -> None:
    place = Place(head.FILE, ("registration",))
    _environments(draft, catalogue, bounds.environments, place.at("environments"))
    _ceilings(draft, catalogue, bounds.ceilings, place.at("ceilings"))
    profiles.check_bounds(draft, catalogue, bounds, place)
    _prefix(draft, catalogue, bounds.prefix, ("Workload", "Agent"), place)
    _detailed(draft, catalogue, bounds, place)
    if bounds.tier:
        draft.known("tier", bounds.tier, catalogue.tiers, place.at("max_tier"))


def _prefix(draft: Draft, catalogue: Catalogue, prefix: str, principals: Collection[str], place: Place) -> None:
    """Nobody else is called like a client that is registered, which is one of these `principals`."""
    namesakes = [f"client `{name}`" for name in catalogue.clients if name.startswith(prefix)]
    namesakes += _issuers_naming(catalogue, prefix, principals)
    if namesakes:
        what = f"{namesakes[0]} could be called like a client that is registered (`{prefix}...`)"
        draft.problems.add(place.at("prefix"), what, "choose a prefix that nobody else's name begins with")


def _open(draft: Draft, catalogue: Catalogue, bounds: OpenRegistration) -> None:
    place = Place(head.FILE, ("open_registration",))
    _environments(draft, catalogue, bounds.environments, place.at("environments"))
    _ceilings(draft, catalogue, bounds.ceilings, place.at("ceilings"))
    profiles.check_bounds(draft, catalogue, bounds, place)
    _prefix(draft, catalogue, bounds.prefix, (bounds.principal,), place)
    other = catalogue.registration.prefix if catalogue.registration is not None else None
    if other is not None and (other.startswith(bounds.prefix) or bounds.prefix.startswith(other)):
        what = f"`{bounds.prefix}` and the prefix `{other}` of `[registration]` are not apart"
        draft.problems.add(place.at("prefix"), what, "let neither begin like the other")
    for index, method in enumerate(bounds.methods):
        if method not in OPEN_METHODS:
            what = f"a client that registers itself cannot have `{method}`: no metadata goes with that"
            known = ", ".join(f"`{one}`" for one in OPEN_METHODS)
            remedy = f"choose among {known}; write others down in `clients/`"
            draft.problems.add(place.at("authentication", index), what, remedy)
    _public(draft, bounds, place)
    _detailed(draft, catalogue, bounds, place)
    if bounds.to == "initial_access_token":
        draft.known("scope", INITIAL_SCOPE, catalogue.scopes, place.at("to"))
    if bounds.statement_required and not bounds.publishers:
        what = "a software statement is required and nobody's counts"
        draft.problems.add(place.at("statement_required"), what, "add `[[open_registration.publishers]]`")
    if bounds.tier:
        draft.known("tier", bounds.tier, catalogue.tiers, place.at("max_tier"))


def _public(draft: Draft, bounds: OpenRegistration | ClientDocuments, place: Place) -> None:
    if bounds.methods == ("none",) and bounds.grants == ("client_credentials",):
        what = "a public client cannot use `client_credentials` (RFC 6749 section 4.4)"
        draft.problems.add(place.at("grants"), what, 'write `authentication = ["private_key_jwt"]`')
    if bounds.origins and not ("none" in bounds.methods and "authorization_code" in bounds.grants):
        what = "`origins` have no meaning but for public clients with `authorization_code`: no page keeps a secret"
        draft.problems.add(place.at("origins"), what, "remove it", key=True)
    if bounds.origins and isinstance(bounds, ClientDocuments) and ANY in bounds.hosts:
        what = "scripts of any page could read what the token endpoint answers"
        draft.problems.add(place.at("origins"), what, "remove it, or name the `hosts`", key=True)
    if "push" in bounds.backchannel_delivery and PROFILES[bounds.profile].bound:
        what = "a token that is pushed is bound to no key, and these clients get no others"
        draft.problems.add(place.at("backchannel_delivery"), what, "write `ping` or `poll`")


def _documents(draft: Draft, catalogue: Catalogue, bounds: ClientDocuments) -> None:
    place = Place(head.FILE, ("client_id_metadata",))
    _environments(draft, catalogue, bounds.environments, place.at("environments"))
    _ceilings(draft, catalogue, bounds.ceilings, place.at("ceilings"))
    profiles.check_bounds(draft, catalogue, bounds, place)
    namesakes = _issuers_naming(catalogue, "https://", (bounds.principal,))
    if namesakes:
        what = f"{namesakes[0]} could call somebody like a client that describes itself (`https://...`)"
        draft.problems.add(place, what, "give the issuer a `subject_prefix`", key=True)
    _public(draft, bounds, place)
    _detailed(draft, catalogue, bounds, place)
    if bounds.tier:
        draft.known("tier", bounds.tier, catalogue.tiers, place.at("max_tier"))


def _issuers_naming(catalogue: Catalogue, prefix: str, principals: Collection[str]) -> list[str]:
    """The issuers that could give such a principal a name that begins so."""
    found = []
    for issuer in catalogue.issuers.values():
        begins = beginning_of(issuer)
        if issuer.principal in principals and (begins.startswith(prefix) or prefix.startswith(begins)):
            found.append(f"issuer `{issuer.id}`")
    return found


def _ceilings(draft: Draft, catalogue: Catalogue, ceilings: Mapping[str, tuple[str, ...]], place: Place) -> None:
    for name, scopes in ceilings.items():
        at = place.at(name)
        if draft.known("audience", name, catalogue.audiences, at, key=True):
            for index, scope in enumerate(scopes):
                _own_scope(draft, catalogue.audiences[name], scope, at.at(index))


def _client(draft: Draft, catalogue: Catalogue, client: Client) -> None:
    file = draft.place("client", client.id).file
    place = Place(file, ("client",))
    _environments(draft, catalogue, client.environments, place.at("environments"))
    _ceilings(draft, catalogue, client.ceilings, place.at("ceilings"))
    profiles.check_ceilings(draft, catalogue, client, place)
    _detailed(draft, catalogue, client, place)
    for index, name in enumerate(client.serves):
        draft.known("audience", name, catalogue.audiences, place.at("serves", index))
    if client.spiffe_id:
        trusted = {issuer.issuer for issuer in catalogue.issuers.values() if issuer.profile == "spiffe"}
        draft.known("trust domain", domain_of(client.spiffe_id), trusted, place.at("spiffe_id"))
    signing = {audience.algorithm for audience in catalogue.audiences.values()}
    for key in ("response_algorithm", "userinfo_algorithm"):
        named = getattr(client.authorization, key)
        if named and named not in signing:
            what = f"nothing here is signed with `{named}`: no audience has it as its `algorithm`"
            remedy = f"use one of {', '.join(sorted(signing))}"
            draft.problems.add(place.at("authorization", key), what, remedy)


def _detailed(
    draft: Draft, catalogue: Catalogue, client: Client | Registration | ClientDocuments | OpenRegistration, place: Place
) -> None:
    for index, name in enumerate(client.details):
        at = place.at("details", index)
        if draft.known("type of authorization detail", name, catalogue.details, at):
            of = catalogue.details[name].audience
            if of not in client.ceilings:
                what = f"{quote(name)} is of audience `{of}`, which `ceilings` does not name"
                draft.problems.add(at, what, f"add `{of} = []`, or scopes of it, to `ceilings`")


def _issuer(draft: Draft, catalogue: Catalogue, issuer: TrustedIssuer) -> None:
    place = Place(draft.place("issuer", issuer.id).file, ("issuer",))
    if issuer.issuer and issuer.issuer == catalogue.issuer:
        draft.problems.add(place.at("issuer"), "our own issuer needs no trust", "remove this file")
    for index, condition in enumerate(issuer.conditions):
        _condition(draft, condition, place.at("conditions", index))
    _told_facts(draft, catalogue, issuer.principal, issuer.facts, place)


def _provider(draft: Draft, catalogue: Catalogue, provider: Provider) -> None:
    place = Place(draft.place("provider", provider.id).file, ("provider",))
    if provider.issuer and provider.issuer == catalogue.issuer:
        draft.problems.add(place.at("issuer"), "nobody signs in here by signing in here", "remove this file")
    for index, condition in enumerate(provider.conditions):
        _condition(draft, condition, place.at("conditions", index))
    _told_facts(draft, catalogue, "User", provider.facts, place)


def _told_facts(draft: Draft, catalogue: Catalogue, about: str, facts: Iterable[str], place: Place) -> None:
    told = {
        name: fact.type
        for name, (fact, source) in facts_about(catalogue.sources, about).items()
        if source.kind == "token"
    }
    for name in facts:
        if name not in told:
            what = f"no source of kind `token` about `{about}` provides fact {quote(name)}"
            draft.problems.add(
                place.at("facts", name), what, draft.problems.near(name, told, "declare it in `sources.toml`"), key=True
            )


def _condition(draft: Draft, condition: str, place: Place) -> None:
    form = inspect_expression(condition, {"claims": 0})
    if not isinstance(form, Fault):
        try:
            parse_expression(condition, form)
        except ExpressionRefused as refused:
            form = refused.fault
    if isinstance(form, Fault):
        _fault(draft, form, condition, place)
    elif not form.reads:
        draft.problems.add(place, "the condition does not read `claims`", "write it as `claims.email_verified == true`")


def _fault(draft: Draft, fault: Fault, expression: str, place: Place) -> None:
    before = expression[: fault.offset]
    where = f" (character {len(before) + 1})" if before else ""
    remedy = draft.problems.near(fault.wrong, fault.known, fault.remedy) if fault.known else fault.remedy
    draft.problems.add(place, f"{fault.message}{where}", remedy)


def _claim(
    draft: Draft, catalogue: Catalogue, claim: Claim, paths: Mapping[str, tuple[FactType, frozenset[str]]]
) -> Derivation | None:
    place = Place(claims.FILE, ("claims", claim.name))
    known = {*catalogue.sources, REQUEST}
    if not claim.source:
        return None
    is_known = draft.known("source", claim.source, known, place.at("source"))
    if claim.origin:
        _origin(draft, claim, paths, place.at("from"), is_known=is_known)
        return None
    if not claim.expression:
        return None
    try:
        derivation = compile_derivation(claim.expression, claim.type)
    except ExpressionRefused as refused:
        _fault(draft, refused.fault, claim.expression, place.at("derive"))
        return None
    return derivation if _derived(draft, claim, derivation, paths, place, is_known=is_known) else None


def _origin(
    draft: Draft,
    claim: Claim,
    paths: Mapping[str, tuple[FactType, frozenset[str]]],
    place: Place,
    *,
    is_known: bool,
) -> None:
    found = paths.get(claim.origin)
    if found is None:
        what = f"no source provides {quote(claim.origin)}"
        draft.problems.add(place, what, draft.problems.near(claim.origin, paths, "declare the fact in `sources.toml`"))
        return
    kind, behind = found
    if is_known and claim.source not in behind:
        _other_source(draft, claim, behind, place)
    if kind != claim.type:
        what = f"`{claim.origin}` is `{spelled(kind)}`, the claim is `{spelled(claim.type)}`"
        draft.problems.add(place, what, f'write `type = "{spelled(kind)}"`')


def _other_source(draft: Draft, claim: Claim, behind: Iterable[str], place: Place) -> None:
    names = sorted(behind)
    listed = ", ".join(f"`{name}`" for name in names)
    what = f"the value comes from {listed}, not from source `{claim.source}`"
    draft.problems.add(place, what, f'write `source = "{names[0]}"`')


def _derived(
    draft: Draft,
    claim: Claim,
    derivation: Derivation,
    paths: Mapping[str, tuple[FactType, frozenset[str]]],
    place: Place,
    *,
    is_known: bool,
) -> bool:
    unknown = [path for path in sorted(derivation.reads) if path not in paths]
    for path in unknown:
        remedy = draft.problems.near(path, paths, "declare the fact in `sources.toml`")
        draft.problems.add(place.at("derive"), f"no source provides {quote(path)}", remedy)
    if unknown:
        return False
    behind = frozenset[str]().union(*(paths[path][1] for path in derivation.reads)) or {REQUEST}
    if is_known and claim.source not in behind:
        _other_source(draft, claim, behind, place.at("source"))
    wrong = derivation.trial({path: paths[path][0] for path in derivation.reads})
    if wrong:
        draft.problems.add(place.at("derive"), f"the types do not fit: {wrong}", "convert the value, or change `type`")
    return not wrong


TABLES = (
    *audiences.TABLES, *claims.TABLES, *clients.TABLES, *issuers.TABLES, *providers.TABLES, *sources.TABLES,
    *transmitters.TABLES,
)  # fmt: skip

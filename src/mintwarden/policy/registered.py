"""Clients that are registered beside the bundle: what the bundle's `[registration]` lets them be. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from mintwarden.model.asked import Asked, RegisteredClient
from mintwarden.model.catalogue import Catalogue, Client, ClientDocuments, OpenRegistration, Registration
from mintwarden.model.profiles import PROFILES, ProfileName
from mintwarden.model.terms import Backchannel
from mintwarden.policy.hosts import host_of, may_describe
from mintwarden.policy.origins import page_origins

DOCUMENT = ("https://", "http://")


def is_document_id(client_id: str) -> bool:
    """Could a client of that id describe itself: its id is a URL. No client that is registered has such an id."""
    return client_id.startswith(DOCUMENT)


Bounds = Registration | ClientDocuments | OpenRegistration


def bounds_of(catalogue: Catalogue, client_id: str) -> Bounds | None:
    """What bounds a client of that id, which is none of the bundle's; None where there may be none."""
    if is_document_id(client_id):
        return catalogue.documents
    for bounds in (catalogue.registration, catalogue.open_registration):
        if bounds is not None and client_id.startswith(bounds.prefix):
            return bounds
    return None


def why_not(catalogue: Catalogue, client: Client) -> str:
    """Why the bundle lets nobody register `client`, in words, or nothing."""
    bounds = catalogue.registration
    if bounds is None:
        return "the bundle lets nobody register clients"
    if not client.id.startswith(bounds.prefix) or client.id == bounds.prefix:
        return f"the id does not begin with `{bounds.prefix}`"
    if is_document_id(client.id):
        return "the id is a URL, which is for clients that describe themselves"
    for what, said, allowed in (
        ("kind", (client.kind,), bounds.kinds),
        ("authentication", client.methods, bounds.methods),
        ("grant", client.grants, bounds.grants),
        ("environment", client.environments, bounds.environments),
        ("owner", (client.owner,), bounds.owners),
    ):
        beyond = _beyond(said, allowed)
        if beyond:
            return f"{what} `{beyond}` is not among those that may be registered"
    for audience, scopes in client.ceilings.items():
        beyond = _beyond(scopes, within(catalogue, bounds).get(audience, ()))
        if beyond:
            return f"scope `{beyond}` of audience `{audience}` is not among those that may be registered"
    beyond = _beyond(client.details, detailed(catalogue, bounds))
    if beyond:
        return f"type of authorization details `{beyond}` is not among those that may be registered"
    unreached = _beyond([catalogue.details[name].audience for name in client.details], client.ceilings)
    return f"authorization details of audience `{unreached}`, which `ceilings` does not name" if unreached else ""


def admitted(catalogue: Catalogue, client: Client) -> Client | None:
    """`client` as this bundle admits it: within its bounds, or not at all when it is of another make.

    A scope or a type of authorization detail that the bundle no longer allows is cut, and so is what comes after
    signing out and how it is told of answers; a kind, method, grant or environment that it no longer allows ends the
    client, and so does a promise that cannot be kept any more. An owner that it does not name any more does not: that
    is for the review of owners.
    """
    bounds = bounds_of(catalogue, client.id)
    if bounds is None or isinstance(bounds, ClientDocuments) or client.id in catalogue.clients:
        return None
    made = ((client.kind,), bounds.kinds), (client.methods, bounds.methods), (client.grants, bounds.grants)
    if any(_beyond(said, allowed) for said, allowed in (*made, (client.environments, bounds.environments))):
        return None
    within_bounds = replace(
        client,
        ceilings=_cut(catalogue, bounds, client.ceilings),
        details=_detailed(catalogue, bounds, client.details),
    )
    if isinstance(bounds, OpenRegistration):
        within_bounds = replace(
            within_bounds,
            owner=bounds.owner,
            post_logout_redirect_uris=client.post_logout_redirect_uris if bounds.post_logout_redirects else (),
            backchannel_logout_uri=client.backchannel_logout_uri if bounds.backchannel_logout else "",
            backchannel=_backchannel(bounds, client.backchannel),
            origins=page_origins(bounds, client),
        )
    held = held_to(within_bounds, bounds.profile)
    return None if why_unprotected(catalogue, held) else held


def _backchannel(bounds: OpenRegistration, said: Backchannel) -> Backchannel:
    """INVARIANT: whoever may not be told any more where they wanted to be has to ask."""
    return said if said.delivery in bounds.backchannel_delivery else Backchannel(signing=said.signing)


def held_to(client: Client, profile: ProfileName) -> Client:
    """A client beside the bundle under the profile that the bundle holds such clients to, whatever its record says."""
    rules = PROFILES[profile]
    refresh = client.refresh if rules.rotates else replace(client.refresh, rotate=False)
    asking = replace(client.authorization, pushed=True) if rules.pushed else client.authorization
    return replace(client, profile=profile, algorithms=rules.assumed, refresh=refresh, authorization=asking)


def why_unprotected(catalogue: Catalogue, client: Client) -> str:
    """Why what a client had us promise is not kept, in words, or nothing."""
    promised, ours = client.protections, {audience.algorithm for audience in catalogue.audiences.values()}
    identity = {catalogue.audiences[catalogue.identity].algorithm} if catalogue.identity else set()
    for name, algorithm, known in (
        ("id_token_signed_response_alg", promised.id_token_algorithm, identity),
        ("userinfo_signed_response_alg", client.authorization.userinfo_algorithm, ours),
        ("authorization_signed_response_alg", client.authorization.response_algorithm, ours),
        ("introspection_signed_response_alg", promised.introspection_algorithm, ours),
    ):
        if algorithm and algorithm not in known:
            return f"`{name}`: we do not sign with `{algorithm[:50]}`, but with {', '.join(sorted(known))}"
    for name, algorithm in (
        ("token_endpoint_auth_signing_alg", promised.assertion_algorithm),
        ("request_object_signing_alg", promised.object_algorithm),
    ):
        if algorithm and algorithm not in client.algorithms:
            return f"`{name}`: no signature with `{algorithm[:50]}` is taken here"
    return ""


def client_of(catalogue: Catalogue, asked: Asked) -> Client | RegisteredClient | None:
    """The client of a question: the bundle's, or the registered one that stands in it, as this bundle admits it."""
    known = catalogue.clients.get(asked.client_id)
    registered = asked.registered
    if known is not None or registered is None:
        return known
    bounds = bounds_of(catalogue, registered.id)
    if bounds is None or registered.id != asked.client_id:
        return None
    if isinstance(bounds, ClientDocuments) and not may_describe(bounds, host_of(registered.id)):
        return None
    if registered.kind not in bounds.kinds:
        return None
    if _beyond(registered.environments, bounds.environments):
        return None
    return replace(
        registered,
        ceilings=_cut(catalogue, bounds, registered.ceilings),
        details=_detailed(catalogue, bounds, registered.details),
    )


def within(catalogue: Catalogue, bounds: Bounds) -> Mapping[str, tuple[str, ...]]:
    """Audience id to the scopes that a registered client may have, those of too high a tier left out."""
    return {
        audience: tuple(
            name
            for name in scopes
            if (scope := catalogue.scopes.get(name)) is not None
            and scope.audience == audience
            and _in_reach(catalogue, bounds, scope.tier)
        )
        for audience, scopes in bounds.ceilings.items()
    }


def detailed(catalogue: Catalogue, bounds: Bounds) -> tuple[str, ...]:
    """The types of authorization details that a registered client may have, those of too high a tier left out."""
    return tuple(
        name
        for name in bounds.details
        if (detail := catalogue.details.get(name)) is not None and _in_reach(catalogue, bounds, detail.tier)
    )


def _in_reach(catalogue: Catalogue, bounds: Bounds, tier: str) -> bool:
    return not bounds.tier or catalogue.tiers[tier].rank <= catalogue.tiers[bounds.tier].rank


def _detailed(catalogue: Catalogue, bounds: Bounds, said: tuple[str, ...]) -> tuple[str, ...]:
    allowed = detailed(catalogue, bounds)
    return tuple(name for name in said if name in allowed)


def _cut(
    catalogue: Catalogue, bounds: Bounds, ceilings: Mapping[str, tuple[str, ...]]
) -> Mapping[str, tuple[str, ...]]:
    allowed = within(catalogue, bounds)
    return {
        audience: tuple(name for name in scopes if name in allowed[audience])
        for audience, scopes in ceilings.items()
        if audience in allowed
    }


def _beyond(said: Iterable[str], allowed: Iterable[str]) -> str:
    """The first that is not allowed, or nothing."""
    known = frozenset(allowed)
    return next((one for one in said if one not in known), "")


def registered_form(client: Client) -> RegisteredClient:
    """A client that is none of the bundle's, as a question carries it."""
    return RegisteredClient(
        id=client.id,
        kind=client.kind,
        owner=client.owner,
        principal=client.principal,
        environments=client.environments,
        ceilings=client.ceilings,
        details=client.details,
    )

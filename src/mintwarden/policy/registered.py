"""Clients that are registered beside the bundle: what the bundle's `[registration]` lets them be. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from mintwarden.model.asked import Asked, RegisteredClient
from mintwarden.model.catalogue import Catalogue, Client, ClientDocuments, OpenRegistration, Registration
from mintwarden.model.profiles import PROFILES, ProfileName
from mintwarden.policy.hosts import host_of, may_describe

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
    return ""


def admitted(catalogue: Catalogue, client: Client) -> Client | None:
    """`client` as this bundle admits it: within its bounds, or not at all when it is of another make.

    A scope or a type of authorization detail that the bundle no longer allows is cut, and so is what comes after
    signing out; a kind, method, grant or environment that it no longer allows ends the client. An owner that it does
    not name any more does not: that is for the review of owners.
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
        details=_detailed(bounds, client.details),
    )
    if isinstance(bounds, OpenRegistration):
        within_bounds = replace(
            within_bounds,
            owner=bounds.owner,
            post_logout_redirect_uris=client.post_logout_redirect_uris if bounds.post_logout_redirects else (),
            backchannel_logout_uri=client.backchannel_logout_uri if bounds.backchannel_logout else "",
        )
    return held_to(within_bounds, bounds.profile)


def held_to(client: Client, profile: ProfileName) -> Client:
    """A client beside the bundle under the profile that the bundle holds such clients to, whatever its record says."""
    rules = PROFILES[profile]
    refresh = client.refresh if rules.rotates else replace(client.refresh, rotate=False)
    asking = replace(client.authorization, pushed=True) if rules.pushed else client.authorization
    return replace(client, profile=profile, algorithms=rules.assumed, refresh=refresh, authorization=asking)


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
        details=_detailed(bounds, registered.details),
    )


def within(catalogue: Catalogue, bounds: Bounds) -> Mapping[str, tuple[str, ...]]:
    """Audience id to the scopes that a registered client may have, those of too high a tier left out."""
    highest = catalogue.tiers[bounds.tier].rank if bounds.tier else None
    return {
        audience: tuple(
            name
            for name in scopes
            if (scope := catalogue.scopes.get(name)) is not None
            and scope.audience == audience
            and (highest is None or catalogue.tiers[scope.tier].rank <= highest)
        )
        for audience, scopes in bounds.ceilings.items()
    }


def _detailed(bounds: Bounds, said: tuple[str, ...]) -> tuple[str, ...]:
    """The types of authorization details that a client may have; administrators register clients without any."""
    return () if isinstance(bounds, Registration) else tuple(name for name in said if name in bounds.details)


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

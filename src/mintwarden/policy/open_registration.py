"""Clients that register themselves: what of their metadata the bundle's `[open_registration]` lets them be. Pure."""

from __future__ import annotations

from mintwarden.model.catalogue import Catalogue, Client, ClientDocuments, OpenRegistration
from mintwarden.model.metadata import ClientMetadata
from mintwarden.policy.metadata import GRANT_TYPES, MetadataRefused, redirect_kind
from mintwarden.policy.registered import held_to, within


def registrable(catalogue: Catalogue, bounds: OpenRegistration, client_id: str, metadata: ClientMetadata) -> Client:
    """The client that `metadata` describes. Raises `MetadataRefused` where the bundle does not let it be.

    Grants, scopes, types of authorization details and, as wholes, what comes after signing out are cut where the bundle
    does not allow them (RFC 7591 section 3.2.1 lets the server replace values).
    """
    after = metadata.post_logout_redirect_uris if bounds.post_logout_redirects else ()
    for uri in (*metadata.redirect_uris, *after):
        if redirect_kind(uri) not in bounds.redirects:
            raise MetadataRefused("invalid_redirect_uri", f"`{uri[:200]}` is no address that may be registered here")
    if metadata.jwks_uri:
        raise MetadataRefused("invalid_client_metadata", "`jwks_uri` is not fetched: give the keys in `jwks`")
    if metadata.method == "private_key_jwt" and not metadata.jwks:
        raise MetadataRefused("invalid_client_metadata", "`private_key_jwt` needs `jwks`")
    return client_from(catalogue, bounds, client_id, metadata)


def client_from(
    catalogue: Catalogue, bounds: ClientDocuments | OpenRegistration, client_id: str, metadata: ClientMetadata
) -> Client:
    """The client of that id, with the grants and scopes that it wants and may have; raises `MetadataRefused`."""
    if metadata.method not in bounds.methods:
        raise MetadataRefused("invalid_client_metadata", f"`{metadata.method}` is not taken from such a client")
    wanted = {GRANT_TYPES.get(name, "") for name in metadata.grant_types}
    if metadata.method == "none":
        wanted.discard("client_credentials")
    grants = tuple(name for name in bounds.grants if name in wanted)
    if not grants:
        raise MetadataRefused("invalid_client_metadata", "none of its `grant_types` is allowed")
    named = metadata.scopes
    ceilings = {
        audience: tuple(name for name in scopes if named is None or name in named)
        for audience, scopes in within(catalogue, bounds).items()
    }
    details = tuple(name for name in bounds.details if name in metadata.details)
    detailed = {catalogue.details[name].audience for name in details if name in catalogue.details}
    made = Client(
        id=client_id,
        name=metadata.name or client_id,
        kind=bounds.kind,
        owner=bounds.owner,
        principal=bounds.principal,
        methods=(metadata.method,),
        grants=grants,
        ceilings={name: scopes for name, scopes in ceilings.items() if scopes or name in detailed},
        environments=bounds.environments,
        jwks=metadata.jwks if metadata.method == "private_key_jwt" else (),
        redirect_uris=metadata.redirect_uris,
        post_logout_redirect_uris=metadata.post_logout_redirect_uris if bounds.post_logout_redirects else (),
        backchannel_logout_uri=metadata.backchannel_logout_uri if bounds.backchannel_logout else "",
        details=details,
    )
    return held_to(made, bounds.profile)

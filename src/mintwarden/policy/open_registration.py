"""Clients that register themselves: what of their metadata the bundle's `[open_registration]` lets them be. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from mintwarden.model.catalogue import Catalogue, Client, ClientDocuments, OpenRegistration
from mintwarden.model.metadata import ClientMetadata
from mintwarden.model.profiles import PROFILES
from mintwarden.model.terms import Authorization, Backchannel, Protections
from mintwarden.policy.metadata import GRANT_TYPES, MetadataRefused, redirect_kind
from mintwarden.policy.origins import page_origins
from mintwarden.policy.registered import detailed, held_to, why_unprotected, within

_PROVEN = frozenset({"client_credentials", "ciba", "jwt_bearer"})
"""Grants that are for clients which prove who they are."""

_WITH_PEOPLE = frozenset({"authorization_code", "device_code", "ciba"})
"""Grants that ID tokens come of."""


def registrable(
    catalogue: Catalogue,
    bounds: OpenRegistration,
    client_id: str,
    metadata: ClientMetadata,
    *,
    local: bool = False,
    certificates: bool = True,
) -> Client:
    """The client that `metadata` describes. Raises `MetadataRefused` where the bundle does not let it be.

    `local`: this is a server on loopback, which may call others there. `certificates`: it sees those of its clients.

    Grants, scopes, types of authorization details and, as wholes, what comes after signing out are cut where the bundle
    does not allow them (RFC 7591 section 3.2.1 lets the server replace values).
    """
    after = metadata.post_logout_redirect_uris if bounds.post_logout_redirects else ()
    for uri in (*metadata.redirect_uris, *after):
        if redirect_kind(uri) not in bounds.redirects:
            raise MetadataRefused("invalid_redirect_uri", f"`{uri[:200]}` is no address that may be registered here")
    if redirect_kind(metadata.notified_at) == "loopback" and not local:
        raise MetadataRefused(
            "invalid_client_metadata", "`backchannel_client_notification_endpoint` is on the server itself"
        )
    if metadata.jwks_uri:
        raise MetadataRefused("invalid_client_metadata", "`jwks_uri` is not fetched: give the keys in `jwks`")
    if metadata.method == "private_key_jwt" and not metadata.jwks:
        raise MetadataRefused("invalid_client_metadata", "`private_key_jwt` needs `jwks`")
    return client_from(catalogue, bounds, client_id, metadata, certificates=certificates)


def client_from(
    catalogue: Catalogue,
    bounds: ClientDocuments | OpenRegistration,
    client_id: str,
    metadata: ClientMetadata,
    *,
    certificates: bool,
) -> Client:
    """The client of that id, with the grants and scopes that it wants and may have; raises `MetadataRefused`.

    `certificates`: the server sees those of its clients.
    """
    if metadata.certificate_bound and not certificates:
        what = "`tls_client_certificate_bound_access_tokens`: no certificate of a client is seen here"
        raise MetadataRefused("invalid_client_metadata", what)
    if metadata.method not in bounds.methods:
        raise MetadataRefused("invalid_client_metadata", f"`{metadata.method}` is not taken from such a client")
    wanted = {GRANT_TYPES.get(name, "") for name in metadata.grant_types}
    if metadata.method == "none":
        wanted -= _PROVEN
    grants = tuple(name for name in bounds.grants if name in wanted)
    if not grants:
        raise MetadataRefused("invalid_client_metadata", "none of its `grant_types` is allowed")
    named = metadata.scopes
    ceilings = {
        audience: tuple(name for name in scopes if named is None or name in named)
        for audience, scopes in within(catalogue, bounds).items()
    }
    allowed = detailed(catalogue, bounds)
    details = tuple(name for name in allowed if name in metadata.details)
    of_details = {catalogue.details[name].audience for name in details}
    backchannel = _backchannel(bounds, metadata) if "ciba" in grants else Backchannel()
    signs_in = bool(ceilings.get(catalogue.identity)) and not _WITH_PEOPLE.isdisjoint(grants)
    protections = _protections(metadata, signs_in=signs_in)
    uses_keys = metadata.method == "private_key_jwt" or metadata.signed or protections.object_algorithm
    made = Client(
        id=client_id,
        name=metadata.name or client_id,
        kind=bounds.kind,
        owner=bounds.owner,
        principal=bounds.principal,
        methods=(metadata.method,),
        grants=grants,
        ceilings={name: scopes for name, scopes in ceilings.items() if scopes or name in of_details},
        environments=bounds.environments,
        jwks=metadata.jwks if uses_keys or backchannel.signing else (),
        redirect_uris=metadata.redirect_uris,
        authorization=Authorization(
            pushed=metadata.pushed,
            signed=metadata.signed,
            response_algorithm=metadata.response_algorithm if "authorization_code" in grants else "",
            userinfo_algorithm=metadata.userinfo_algorithm if signs_in else "",
        ),
        post_logout_redirect_uris=metadata.post_logout_redirect_uris if bounds.post_logout_redirects else (),
        backchannel_logout_uri=metadata.backchannel_logout_uri if bounds.backchannel_logout else "",
        details=details,
        backchannel=backchannel,
        certificate_bound=metadata.certificate_bound,
        protections=protections,
    )
    held = held_to(replace(made, origins=page_origins(bounds, made)), bounds.profile)
    if backchannel.signing and backchannel.signing not in held.algorithms:
        raise MetadataRefused("invalid_client_metadata", f"nothing is signed with `{backchannel.signing[:50]}` here")
    unkept = why_unprotected(catalogue, held)
    if unkept:
        raise MetadataRefused("invalid_client_metadata", unkept)
    return held


def _protections(metadata: ClientMetadata, *, signs_in: bool) -> Protections:
    """What it has us promise. Raises `MetadataRefused` where nothing it sends could then be taken.

    `signs_in`: it may have ID tokens. What is about something that it neither sends nor gets is no promise.
    """
    if metadata.signed and not (metadata.jwks or metadata.jwks_uri):
        what = "`require_signed_request_object` needs a key in `jwks` that requests are signed with"
        raise MetadataRefused("invalid_client_metadata", what)
    said = metadata.protections
    return replace(
        said,
        assertion_algorithm=said.assertion_algorithm if metadata.method == "private_key_jwt" else "",
        id_token_algorithm=said.id_token_algorithm if signs_in else "",
    )


def _backchannel(bounds: ClientDocuments | OpenRegistration, metadata: ClientMetadata) -> Backchannel:
    """How it learns that people answered (OpenID CIBA Core 1.0 section 4). Raises `MetadataRefused`."""
    delivery, endpoint = metadata.delivery, metadata.notified_at
    if delivery not in bounds.backchannel_delivery:
        raise MetadataRefused("invalid_client_metadata", f"`{delivery}` is not how such a client is told here")
    if delivery != "poll" and not endpoint:
        raise MetadataRefused(
            "invalid_client_metadata", f"`{delivery}` needs `backchannel_client_notification_endpoint`"
        )
    if delivery == "push" and (
        PROFILES[bounds.profile].bound or metadata.certificate_bound or metadata.protections.dpop
    ):
        raise MetadataRefused("invalid_client_metadata", "a token that is pushed is bound to no key")
    if metadata.request_signing and not (metadata.jwks or metadata.jwks_uri):
        raise MetadataRefused("invalid_client_metadata", "requests are signed with a key of `jwks`")
    told_at = endpoint if delivery != "poll" else ""
    return Backchannel(delivery=delivery, endpoint=told_at, signing=metadata.request_signing)

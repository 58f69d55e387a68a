"""What a client says of itself: client metadata (RFC 7591 section 2), read and well formed, and not yet allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from mintwarden.model.terms import Protections

ApplicationType = Literal["", "web", "native"]


class ClientMetadata(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Client metadata, from a document at a URL or from a registration. What is not here was not understood.

    Attributes:
        method: `token_endpoint_auth_method`.
        redirect_uris: well formed, each fit for `application_type`.
        application_type: `web` or `native`; empty where it was not said.
        grant_types, response_types: as the client spells them.
        scopes: those that it may ask for; None where it does not say.
        jwks, jwks_uri: its public keys, or where they are.
        post_logout_redirect_uris: as `redirect_uris` are.
        backchannel_logout_uri: at a host of `redirect_uris`, or empty.
        backchannel_logout_session_required: it wants `sid`, which every logout token of ours has.
        details: `authorization_details_types` (RFC 9396 section 10).
        delivery, notified_at, request_signing: `backchannel_token_delivery_mode`, where it is told, and what it signs
            its requests with (OpenID CIBA Core 1.0 section 4); empty where it does not say.
        pushed: `require_pushed_authorization_requests` (RFC 9126 section 6).
        signed: `require_signed_request_object` (RFC 9101 section 10.5).
        certificate_bound: `tls_client_certificate_bound_access_tokens` (RFC 8705 section 3.4).
        response_algorithm, userinfo_algorithm: `authorization_signed_response_alg` (JARM section 3) and
            `userinfo_signed_response_alg`, or empty.
        protections: what else it wants us to promise.
        links: `client_uri`, `logo_uri`, `tos_uri`, `policy_uri`, where given.
    """

    method: str
    name: str = ""
    redirect_uris: tuple[str, ...] = ()
    application_type: ApplicationType = ""
    grant_types: tuple[str, ...] = ("authorization_code",)
    response_types: tuple[str, ...] = ()
    scopes: tuple[str, ...] | None = None
    jwks: tuple[Mapping[str, object], ...] = ()
    jwks_uri: str = ""
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str = ""
    backchannel_logout_session_required: bool = False
    details: tuple[str, ...] = ()
    delivery: Literal["poll", "ping", "push"] = "poll"
    notified_at: str = ""
    request_signing: str = ""
    pushed: bool = False
    signed: bool = False
    certificate_bound: bool = False
    response_algorithm: str = ""
    userinfo_algorithm: str = ""
    protections: Protections = Protections()
    contacts: tuple[str, ...] = ()
    links: Mapping[str, str] = {}
    software_id: str = ""
    software_version: str = ""
    software_statement: str = ""

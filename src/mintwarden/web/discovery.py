"""What the service says about itself: RFC 8414 and OpenID Connect Discovery 1.0."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from mintwarden.issue.approval_requests import approval_kinds
from mintwarden.issue.authorization.request import GRANT as _GRANT
from mintwarden.issue.authorization.request import MODES, PROMPTS
from mintwarden.issue.pending import DELIVERIES
from mintwarden.model.catalogue import DEFAULT_ALGORITHMS, Catalogue
from mintwarden.model.profiles import PROFILES
from mintwarden.model.token import ID_JAG

AUTHORIZATION_SERVER = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"


_CALLED_BY_CLIENTS = frozenset(
    f"{name}_endpoint"
    for name in (
        "token",
        "introspection",
        "revocation",
        "pushed_authorization_request",
        "device_authorization",
        "backchannel_authentication",
        "approval_request",
        "userinfo",
        "registration",
        "challenge",
    )
)
"""The endpoints that have an alias for mutual TLS: those that clients call, and no browser."""

ID_JAG_PROFILE = "urn:ietf:params:oauth:grant-profile:id-jag"
_BINDING = frozenset({"tls_client_auth", "self_signed_tls_client_auth", "spiffe_x509", "none"})
"""Ways to authenticate of which whoever shows a certificate gets tokens that are bound to it."""
_OF_EVERY_ID_TOKEN = ("sub", "iss", "aud", "exp", "iat", "jti", "nonce", "auth_time", "acr", "amr", "sid")


class GrantNames(Struct, frozen=True):
    """A grant as clients list it, and its `grant_type` value."""

    name: str
    grant_type: str


def base_of(issuer: str) -> str:
    """What endpoint paths are appended to: the issuer without a terminating slash."""
    return issuer.rstrip("/")


def path_of(issuer: str) -> str:
    """The issuer's path without a terminating slash; empty for an issuer without one."""
    return urlsplit(issuer).path.rstrip("/")


def metadata_paths(issuer: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The paths of the OAuth document (RFC 8414 section 3.1) and of the OpenID document (both of its forms)."""
    path = path_of(issuer)
    openid = (OPENID + path, path + OPENID) if path else (OPENID,)
    return (AUTHORIZATION_SERVER + path,), openid


def describe(
    issuer: str,
    catalogue: Catalogue,
    grants: Iterable[GrantNames],
    dpop_algorithms: Iterable[str] = (),
    *,
    mtls_base: str = "",
    certificates: bool = False,
) -> dict[str, object]:
    """RFC 8414 metadata of what the bundle lets clients use; what is empty is left out (section 3.2).

    `dpop_algorithms` are those that proofs may be signed with (RFC 9449 section 5.1), `mtls_base` is where clients with
    a certificate come, empty for where everybody comes (RFC 8705 section 5), `certificates` whether they are seen here.
    """
    base = base_of(issuer)
    described = catalogue.documents
    methods = {method for client in catalogue.clients.values() for method in client.methods}
    algorithms = {
        algorithm
        for client in catalogue.clients.values()
        if "private_key_jwt" in client.methods
        for algorithm in client.algorithms
    }
    used = {grant for client in catalogue.clients.values() for grant in client.grants}
    for unwritten in (described, catalogue.open_registration):
        if unwritten is not None:
            methods.update(unwritten.methods)
            used.update(unwritten.grants)
            algorithms.update(DEFAULT_ALGORITHMS if "private_key_jwt" in unwritten.methods else ())
    attested = dpop_algorithms if "attest_jwt_client_auth" in methods else ()
    proving = sorted(methods - {"none"})
    listed = any(audience.status_list for audience in catalogue.audiences.values())
    document: dict[str, object] = {
        "issuer": issuer,
        "token_endpoint": f"{base}/token",
        "introspection_endpoint": f"{base}/introspect",
        "revocation_endpoint": f"{base}/revoke",
        "jwks_uri": f"{base}/jwks.json",
        "grant_types_supported": [g.grant_type for g in grants if g.name in used],
        "response_types_supported": [],
        **(_authorization(base, catalogue, algorithms) if "authorization_code" in used else {}),
        "token_endpoint_auth_methods_supported": sorted(methods),
        "token_endpoint_auth_signing_alg_values_supported": sorted(algorithms),
        "introspection_endpoint_auth_methods_supported": proving,
        "introspection_endpoint_auth_signing_alg_values_supported": sorted(algorithms),
        "status_list_aggregation_endpoint": f"{base}/status" if listed else "",
        "introspection_signing_alg_values_supported": sorted({a.algorithm for a in catalogue.audiences.values()}),
        "revocation_endpoint_auth_methods_supported": sorted(methods),
        "revocation_endpoint_auth_signing_alg_values_supported": sorted(algorithms),
        "dpop_signing_alg_values_supported": list(dpop_algorithms),
        "challenge_endpoint": f"{base}/challenge" if attested else "",
        "client_attestation_signing_alg_values_supported": list(attested),
        "client_attestation_pop_signing_alg_values_supported": list(attested),
        "client_id_metadata_document_supported": described is not None,
        "registration_endpoint": f"{base}/register" if catalogue.open_registration is not None else "",
        "tls_client_certificate_bound_access_tokens": (certificates and binds_to_certificates(catalogue)) or "",
        "authorization_details_types_supported": sorted(
            {t for client in catalogue.clients.values() for t in client.details}
        ),
    }
    document |= _across(catalogue) | _elsewhere(base, bool(approval_kinds(catalogue)), used)
    if mtls_base:
        own = {name: value for name, value in document.items() if name in _CALLED_BY_CLIENTS and value}
        document["mtls_endpoint_aliases"] = {name: f"{mtls_base}{str(u)[len(base) :]}" for name, u in own.items()}
    return without_empty(document)


def _authorization(base: str, catalogue: Catalogue, algorithms: Iterable[str]) -> dict[str, object]:
    """What is told of the authorization endpoint: RFC 8414, 7636, 9126, 9101, 9207, 9396, JARM."""
    asking = [client for client in catalogue.clients.values() if "authorization_code" in client.grants]
    signed = sorted({algorithm for client in asking if client.jwks for algorithm in client.algorithms} | {*algorithms})
    return {
        "authorization_endpoint": f"{base}/authorize",
        "pushed_authorization_request_endpoint": f"{base}/par",
        "require_pushed_authorization_requests": _all_push(catalogue),
        "require_signed_request_object": _all_sign(catalogue),
        "response_types_supported": ["code"],
        "response_modes_supported": list(MODES),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "request_parameter_supported": True,
        "request_uri_parameter_supported": False,
        "request_object_signing_alg_values_supported": signed or list(DEFAULT_ALGORITHMS),
        "authorization_signing_alg_values_supported": sorted({a.algorithm for a in catalogue.audiences.values()}),
        "prompt_values_supported": list(PROMPTS),
        "claims_parameter_supported": bool(catalogue.identity),
        "scopes_supported": sorted(catalogue.audiences[catalogue.identity].scopes) if catalogue.identity else [],
    }


def _all_push(catalogue: Catalogue) -> bool:
    """Are requests taken as pushed ones alone (RFC 9126 section 5), of whoever may come beside the bundle, too."""
    asking = [client for client in catalogue.clients.values() if _GRANT in client.grants]
    bounds = (catalogue.registration, catalogue.documents, catalogue.open_registration)
    beside = [one for one in bounds if one is not None and _GRANT in one.grants]
    pushing = [client.authorization.pushed for client in asking] + [PROFILES[one.profile].pushed for one in beside]
    return bool(pushing) and all(pushing)


def _all_sign(catalogue: Catalogue) -> bool:
    """Are requests taken as signed ones alone (RFC 9101 section 10.5); whoever may come beside the bundle need not."""
    asking = [client for client in catalogue.clients.values() if _GRANT in client.grants]
    bounds = (catalogue.registration, catalogue.documents, catalogue.open_registration)
    others = any(one is not None and _GRANT in one.grants for one in bounds)
    return bool(asking) and not others and all(client.authorization.signed for client in asking)


def _elsewhere(base: str, approvals: bool, used: Collection[str]) -> dict[str, object]:
    """What is told of requests that people answer elsewhere: RFC 8628 section 4, OpenID CIBA Core 1.0 section 4."""
    found: dict[str, object] = {}
    if approvals:
        found["approval_request_endpoint"] = f"{base}/approval-requests"
    if "device_code" in used:
        found["device_authorization_endpoint"] = f"{base}/device_authorization"
    if "ciba" in used:
        found |= {
            "backchannel_authentication_endpoint": f"{base}/bc-authorize",
            "backchannel_token_delivery_modes_supported": list(DELIVERIES),
            "backchannel_user_code_parameter_supported": False,
            "backchannel_authentication_request_signing_alg_values_supported": list(DEFAULT_ALGORITHMS),
        }
    return found


def binds_to_certificates(catalogue: Catalogue) -> bool:
    """Whether the bundle lets anybody have a token that is bound to their certificate (RFC 8705 section 3.3).

    Whoever may come beside it may ask for that, and a public client's are without asking (section 4).
    """
    beside = (catalogue.documents, catalogue.open_registration, catalogue.registration)
    return (
        any(one is not None for one in beside)
        or any(audience.binding in ("mtls", "any") for audience in catalogue.audiences.values())
        or any(
            client.certificate_bound or client.rules.bound or not _BINDING.isdisjoint(client.methods)
            for client in catalogue.clients.values()
        )
    )


def _across(catalogue: Catalogue) -> dict[str, object]:
    """What crosses domains, both ways; who is trusted is nobody's business (ID-JAG draft, section 6)."""
    leads = any(audience.kind == "domain" for audience in catalogue.audiences.values())
    takes = any("id_jag" in issuer.uses for issuer in catalogue.issuers.values())
    return {
        "identity_chaining_requested_token_types_supported": [ID_JAG] if leads else [],
        "authorization_grant_profiles_supported": [ID_JAG_PROFILE] if takes else [],
    }


def describe_openid(metadata: Mapping[str, object], catalogue: Catalogue) -> dict[str, object]:
    """The same for libraries that look for the OpenID document, and how people sign out where they can sign in."""
    document: dict[str, object] = {**metadata, "subject_types_supported": ["public"]}
    if catalogue.identity:
        mine = catalogue.audiences[catalogue.identity]
        document |= {
            "userinfo_endpoint": f"{base_of(str(metadata['issuer']))}/userinfo",
            "userinfo_signing_alg_values_supported": sorted({a.algorithm for a in catalogue.audiences.values()}),
            "id_token_signing_alg_values_supported": [mine.algorithm],
            "claims_supported": [*_OF_EVERY_ID_TOKEN, *sorted(mine.claims)],
            "claim_types_supported": ["normal"],
        }
    if catalogue.providers or catalogue.passkeys.enabled:
        document |= {
            "acr_values_supported": sorted(_levels(catalogue)),
            "end_session_endpoint": f"{base_of(str(metadata['issuer']))}/logout",
            "backchannel_logout_supported": True,
            "backchannel_logout_session_supported": True,
        }
    return document


def _levels(catalogue: Catalogue) -> set[str]:
    """The levels that a sign-in here can reach."""
    found = {level for provider in catalogue.providers.values() for level in provider.acr.values()}
    return found | ({catalogue.passkeys.acr} if catalogue.passkeys.enabled else set())


def without_empty(document: Mapping[str, object]) -> dict[str, object]:
    """Claims with zero elements are omitted (RFC 8414 section 3.2)."""
    return {name: value for name, value in document.items() if value not in ([], (), {}, "")}

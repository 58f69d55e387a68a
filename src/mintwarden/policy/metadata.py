"""Reads client metadata (RFC 7591 section 2): what is unknown is ignored, what is known must be right. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any, Final, Literal, NoReturn
from urllib.parse import SplitResult, urlsplit

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.metadata import ApplicationType, ClientMetadata
from mintwarden.model.terms import Protections
from mintwarden.policy.bundle.jwk import PRIVATE
from mintwarden.policy.legible import all_seen

GRANT_TYPES: Final[Mapping[str, str]] = {
    "authorization_code": "authorization_code",
    "refresh_token": "refresh_token",
    "client_credentials": "client_credentials",
    "urn:ietf:params:oauth:grant-type:token-exchange": "token_exchange",
    "urn:ietf:params:oauth:grant-type:jwt-bearer": "jwt_bearer",
    "urn:ietf:params:oauth:grant-type:device_code": "device_code",
    "urn:openid:params:grant-type:ciba": "ciba",
}
"""`grant_type` values to the names that a bundle gives them."""

MOST = 20
LONGEST = 2_000
_LINKS = ("client_uri", "logo_uri", "tos_uri", "policy_uri")
_UNKEPT = tuple(
    f"{what}_encrypted_response_{part}"
    for what in ("id_token", "userinfo", "authorization", "introspection")
    for part in ("alg", "enc")
)
"""What would have us encrypt: who is told otherwise would not know that anybody can read it."""
_PLACE = re.compile(r"[A-Za-z0-9.:\[\]-]*", re.ASCII)
"""Host and port, without credentials and without what RFC 3986 lets stand in a host and no host has."""
_PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+", re.ASCII)
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}", re.ASCII)

Code = Literal[
    "invalid_redirect_uri", "invalid_client_metadata", "invalid_software_statement", "unapproved_software_statement"
]


class MetadataRefused(MintwardenError):
    """Metadata that no client may have. `code` as in RFC 7591 section 3.2.2."""

    def __init__(self, code: Code, why: str) -> None:
        super().__init__(ErrorKind(code), why)


def read_metadata(document: Mapping[str, Any], *, method: str = "client_secret_basic") -> ClientMetadata:
    """The metadata in a JSON object; `method` is what is meant by a client that says nothing of how it authenticates.

    Raises `MetadataRefused`.
    """
    kind = _application_type(document)
    grants = _texts(document, "grant_types") if "grant_types" in document else ("authorization_code",)
    redirects = _texts(document, "redirect_uris")
    for uri in redirects:
        check_redirect(uri, kind)
    after = _texts(document, "post_logout_redirect_uris")
    for uri in after:
        check_redirect(uri, kind)
    responses = _responses(document, grants, redirects)
    links = {name: _text(document, name, LONGEST) for name in _LINKS if name in document}
    for name, link in links.items():
        if _split(link) is None or urlsplit(link).scheme not in ("https", "http"):
            _refuse(f"`{name}` is not a web address")
    jwks, jwks_uri = _keys(document), _text(document, "jwks_uri", LONGEST)
    if jwks and jwks_uri:
        _refuse("`jwks` and `jwks_uri` exclude each other")
    if jwks_uri and ((parts := _split(jwks_uri)) is None or parts.scheme not in ("https", "http")):
        _refuse("`jwks_uri` is not a web address")
    return ClientMetadata(
        method=_text(document, "token_endpoint_auth_method") or method,
        name=_name(document),
        redirect_uris=redirects,
        post_logout_redirect_uris=after,
        backchannel_logout_uri=_logout_uri(document, redirects),
        backchannel_logout_session_required=_boolean(document, "backchannel_logout_session_required"),
        details=_texts(document, "authorization_details_types"),
        delivery=_delivery(document),
        notified_at=_notified_at(document),
        request_signing=_text(document, "backchannel_authentication_request_signing_alg"),
        pushed=_boolean(document, "require_pushed_authorization_requests"),
        signed=_boolean(document, "require_signed_request_object"),
        certificate_bound=_boolean(document, "tls_client_certificate_bound_access_tokens"),
        response_algorithm=_text(document, "authorization_signed_response_alg"),
        userinfo_algorithm=_signed(document, "userinfo_signed_response_alg"),
        protections=_protections(document),
        application_type=kind,
        grant_types=grants,
        response_types=responses,
        scopes=_scopes(document),
        jwks=jwks,
        jwks_uri=jwks_uri,
        contacts=_texts(document, "contacts"),
        links=links,
        software_id=_text(document, "software_id"),
        software_version=_text(document, "software_version"),
        software_statement=_text(document, "software_statement", 16_384),
    )


def _protections(document: Mapping[str, Any]) -> Protections:
    """What it wants us to promise. INVARIANT: what is read here is kept or refused, and never passed over."""
    for name in _UNKEPT:
        if _text(document, name):
            _refuse(f"`{name}`: nothing is encrypted here")
    if _text(document, "subject_type") not in ("", "public"):
        _refuse("`subject_type` is not `public`: every client knows people by the same `sub` here")
    return Protections(
        assertion_algorithm=_text(document, "token_endpoint_auth_signing_alg"),
        object_algorithm=_text(document, "request_object_signing_alg"),
        dpop=_boolean(document, "dpop_bound_access_tokens"),
        id_token_algorithm=_signed(document, "id_token_signed_response_alg"),
        introspection_algorithm=_text(document, "introspection_signed_response_alg"),
        max_age=_seconds(document, "default_max_age"),
        acr_values=_texts(document, "default_acr_values"),
        auth_time=_boolean(document, "require_auth_time"),
    )


def _signed(document: Mapping[str, Any], name: str) -> str:
    """An algorithm, or empty for none: who wants no signature is promised none."""
    said = _text(document, name)
    return "" if said == "none" else said


def _seconds(document: Mapping[str, Any], name: str) -> int | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 10**9:
        _refuse(f"`{name}` is not a number of seconds")
    return value


def _logout_uri(document: Mapping[str, Any], redirects: tuple[str, ...]) -> str:
    """Where it is told that a session ended (OpenID Connect Back-Channel Logout 1.0 section 2.2).

    INVARIANT: whoever introduces themselves has us call nobody but those whom they send people to.
    """
    uri = _text(document, "backchannel_logout_uri", LONGEST)
    if not uri:
        return ""
    if redirect_kind(uri) not in ("https", "loopback"):
        _refuse("`backchannel_logout_uri` is not an https URL without fragment")
    hosts = {(parts.scheme, parts.netloc) for parts in map(urlsplit, redirects)}
    if (urlsplit(uri).scheme, urlsplit(uri).netloc) not in hosts:
        _refuse("`backchannel_logout_uri` is not at a host of `redirect_uris`")
    return uri


def _delivery(document: Mapping[str, Any]) -> Literal["poll", "ping", "push"]:
    """How it learns that a person answered elsewhere (OpenID CIBA Core 1.0 section 4).

    Whether it has a `user_code` only counts where such codes are supported, which they are not.
    """
    _boolean(document, "backchannel_user_code_parameter")
    said = _text(document, "backchannel_token_delivery_mode") or "poll"
    if said == "ping":
        return "ping"
    if said == "push":
        return "push"
    if said != "poll":
        _refuse("`backchannel_token_delivery_mode` is none of `poll`, `ping` and `push`")
    return "poll"


def _notified_at(document: Mapping[str, Any]) -> str:
    """Where it is told. INVARIANT: no address that is written down as one of a network that is not everybody's."""
    uri = _text(document, "backchannel_client_notification_endpoint", LONGEST)
    if not uri:
        return ""
    if redirect_kind(uri) not in ("https", "loopback"):
        _refuse("`backchannel_client_notification_endpoint` is not an https URL without fragment")
    try:
        address = ipaddress.ip_address(urlsplit(uri).hostname or "")
    except ValueError:
        return uri
    if not address.is_global and not address.is_loopback:
        _refuse("`backchannel_client_notification_endpoint` is in a private network")
    return uri


def _boolean(document: Mapping[str, Any], name: str) -> bool:
    value = document.get(name, False)
    if not isinstance(value, bool):
        _refuse(f"`{name}` is neither true nor false")
    return value


def _application_type(document: Mapping[str, Any]) -> ApplicationType:
    said = _text(document, "application_type")
    if said == "web":
        return "web"
    if said == "native":
        return "native"
    if said:
        _refuse("`application_type` is neither `web` nor `native`")
    return ""


def check_redirect(uri: str, application_type: str) -> None:
    """Raise `invalid_redirect_uri` for what no user may be sent to.

    `web` clients get https alone. `native` ones also get http on loopback and schemes of their own, which must
    have a dot (RFC 8252 section 7.1); so does a client that does not say which it is.
    """
    kind = redirect_kind(uri)
    if not kind:
        why = "is no address that users may be sent back to"
        raise MetadataRefused("invalid_redirect_uri", f"`{uri[:200]}` {why}: https, loopback, or a scheme with a dot")
    if application_type == "web" and kind != "https":
        raise MetadataRefused("invalid_redirect_uri", f"`{uri[:200]}` is not for a client of the type `web`")


def redirect_kind(uri: str) -> Literal["", "https", "loopback", "private_scheme"]:
    """What sort of redirect URI it is; empty for one that is none."""
    parts = _split(uri)
    if parts is None or "*" in uri:
        return ""
    if parts.scheme in ("https", "http"):
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if not parts.hostname or (parts.scheme == "http" and not local):
            return ""
        return "loopback" if local else "https"
    return "private_scheme" if _PRIVATE_SCHEME.fullmatch(parts.scheme) and not parts.netloc.count("@") else ""


def _split(url: str) -> SplitResult | None:
    """The parts of an absolute URL without fragment or credentials, in plain characters."""
    if (
        not 0 < len(url) <= LONGEST
        or not url.isascii()
        or not url.isprintable()
        or any(c in url for c in ' "\\<>^`{|}#')
    ):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    # Our pages name it as where their forms may lead (CSP), and show nothing where they cannot.
    plain = _PLACE.fullmatch(parts.netloc) is not None
    return parts if parts.scheme and port != 0 and plain else None


def _responses(document: Mapping[str, Any], grants: tuple[str, ...], redirects: tuple[str, ...]) -> tuple[str, ...]:
    said = _texts(document, "response_types")
    if "implicit" in grants or any(part == "token" for one in said for part in one.split(" ")):
        _refuse("there is no implicit grant")
    by_code = "authorization_code" in grants
    if by_code and not redirects:
        raise MetadataRefused("invalid_redirect_uri", "the grant `authorization_code` needs `redirect_uris`")
    if said and (("code" in said) != by_code or said != ("code",)):
        _refuse("`response_types` and `grant_types` do not fit each other (RFC 7591 section 2.1)")
    return ("code",) if by_code else ()


def _scopes(document: Mapping[str, Any]) -> tuple[str, ...] | None:
    if "scope" not in document:
        return None
    names = tuple(dict.fromkeys(_text(document, "scope", 8_000).split()))
    if not all(_SCOPE.fullmatch(name) for name in names):
        _refuse("`scope` is not a list of scopes")
    return names


def _keys(document: Mapping[str, Any]) -> tuple[Mapping[str, object], ...]:
    jwks = document.get("jwks")
    if jwks is None:
        return ()
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(keys, list) or not 0 < len(keys) <= MOST:
        _refuse(f"`jwks` is not a set of 1 to {MOST} keys")
    for key in keys:
        if not isinstance(key, dict) or any(name in key for name in PRIVATE):
            _refuse("`jwks` holds something that is no public key")
    return tuple(keys)


def _text(document: Mapping[str, Any], name: str, most: int = 200) -> str:
    value = document.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or not 0 < len(value) <= most or not value.isprintable():
        _refuse(f"`{name}` is not a text of 1 to {most} characters")
    return value


def _name(document: Mapping[str, Any]) -> str:
    """What people know it by. INVARIANT: they see all of it: none is blank, and none covers what stands beside it."""
    name = _text(document, "client_name")
    # A heart is spelled with a selector, and is seen.
    if not all_seen(name.replace("\ufe0f", "")) or (name and not name.strip()):
        _refuse("`client_name` holds characters that are not seen")
    return name


def _texts(document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = document.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MOST or not all(isinstance(one, str) for one in value):
        code: Code = "invalid_redirect_uri" if name == "redirect_uris" else "invalid_client_metadata"
        raise MetadataRefused(code, f"`{name}` is not an array of at most {MOST} texts")
    return tuple(dict.fromkeys(value))


def _refuse(why: str) -> NoReturn:
    raise MetadataRefused("invalid_client_metadata", why)

"""Client authentication at the token endpoint, one file per method, in the order in which they are looked for."""

from __future__ import annotations

from collections.abc import Callable

from mintwarden.authn.methods.attest_jwt_client_auth import AttestJwtClientAuth
from mintwarden.authn.methods.attest_jwt_client_auth_dpop import AttestJwtClientAuthDpop
from mintwarden.authn.methods.client_secret_basic import ClientSecretBasic
from mintwarden.authn.methods.client_secret_post import ClientSecretPost
from mintwarden.authn.methods.method import (
    BY_CERTIFICATE,
    Method,
    NotAttestedError,
    NotProvenError,
    Proven,
    Tools,
)
from mintwarden.authn.methods.none import Unauthenticated
from mintwarden.authn.methods.private_key_jwt import PrivateKeyJwt
from mintwarden.authn.methods.self_signed_tls_client_auth import SelfSignedTlsClientAuth
from mintwarden.authn.methods.spiffe_jwt import SpiffeJwt
from mintwarden.authn.methods.spiffe_x509 import SpiffeX509
from mintwarden.authn.methods.tls_client_auth import TlsClientAuth

METHODS: tuple[Callable[[Tools], Method], ...] = (
    ClientSecretBasic,
    ClientSecretPost,
    PrivateKeyJwt,
    TlsClientAuth,
    SelfSignedTlsClientAuth,
    SpiffeJwt,
    SpiffeX509,
    AttestJwtClientAuth,
    AttestJwtClientAuthDpop,
    Unauthenticated,
)

METHOD_NAMES = (
    ClientSecretBasic.name,
    ClientSecretPost.name,
    PrivateKeyJwt.name,
    TlsClientAuth.name,
    SelfSignedTlsClientAuth.name,
    SpiffeJwt.name,
    SpiffeX509.name,
    AttestJwtClientAuth.name,
    AttestJwtClientAuthDpop.name,
    Unauthenticated.name,
)
"""As in `token_endpoint_auth_methods_supported` (RFC 8414 section 2)."""

__all__ = [
    "BY_CERTIFICATE",
    "METHODS",
    "METHOD_NAMES",
    "Method",
    "NotAttestedError",
    "NotProvenError",
    "Proven",
    "Tools",
]

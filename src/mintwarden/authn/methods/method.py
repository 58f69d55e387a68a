"""What a client authentication method is."""

from __future__ import annotations

from typing import Final, Protocol

from msgspec import Struct

from mintwarden.authn.certificates import Authorities
from mintwarden.authn.proofs.nonce import Nonces
from mintwarden.authn.registry import KnownClient, Registry
from mintwarden.authn.replay import ReplayGuard
from mintwarden.authn.secrets import SecretVerifier
from mintwarden.authn.spiffe import SpiffeDomains
from mintwarden.model.caller import OnceKey
from mintwarden.model.request import TokenRequest

BY_CERTIFICATE: Final = ("tls_client_auth", "self_signed_tls_client_auth", "spiffe_x509")
"""The methods by which a certificate proves who the client is: what is issued is bound to it."""


class Tools(Struct, frozen=True, kw_only=True):
    """What every method is built from.

    Attributes:
        issuer: our own issuer identifier.
        authorities: for certificates.
        domains: for SVIDs.
        challenges: for proofs of attested keys.
        nonces: DPoP proofs carry a nonce of ours.
    """

    issuer: str
    registry: Registry
    secrets: SecretVerifier
    replay: ReplayGuard
    authorities: Authorities
    domains: SpiffeDomains | None = None
    challenges: Nonces | None = None
    nonces: bool = False


class Proven(Struct, frozen=True):
    """A client that has proven itself, and the proofs to be claimed with the decision.

    Attributes:
        instance: the thumbprint of the key of that one instance of the client, where somebody has attested it.
        by_dpop: it is proven only if the request's DPoP proof is made with that key.
    """

    client: KnownClient
    once: tuple[OnceKey, ...] = ()
    instance: str = ""
    by_dpop: bool = False


class NotProvenError(Exception):
    """The client is not authenticated. The text is for operators and tells nothing secret."""


class NotAttestedError(NotProvenError):
    """An attestation, or the proof that it comes with, does not hold; whatever is wrong with it, alike."""


def shows(request: TokenRequest) -> bool:
    """True if the request brings a secret or an assertion, well or badly made: then no other method is meant.

    Without one, an attestation or a certificate is to prove who the client is, or nothing is: what it means, the
    client says that the request names, by the methods that it lists.
    """
    form = request.unverified_form
    return (
        request.unverified_authorization is not None
        or "client_secret" in form
        or "client_assertion" in form
        or "client_assertion_type" in form
    )


def is_bare(request: TokenRequest) -> bool:
    """True if the request brings nothing that proves who the client is, save perhaps a certificate."""
    return not request.unverified_attestation and not shows(request)


def is_attested(request: TokenRequest) -> bool:
    """True if an attestation, and nothing else, is to prove who the client is."""
    return request.unverified_attestation != "" and not shows(request)


class Method(Protocol):
    """One way for a client to authenticate at the token endpoint.

    Attributes:
        name: its RFC 8414 name.
        shown: it is offered by a request that `shows` something, and by no other.
    """

    name: str
    shown: bool

    def offered(self, request: TokenRequest) -> bool:
        """True if the request tries to authenticate this way, well or badly."""
        ...

    async def prove(self, request: TokenRequest, now: int) -> Proven:
        """The client; raises `NotProvenError`, after like time whether the client is unknown or the proof wrong.

        Whether the client lists the method, and may call from where it does, is the caller's to check.
        """
        ...

"""What proofs of possession are held against in this deployment."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mintwarden.app.config import Config
from mintwarden.app.foundation import Foundation
from mintwarden.authn.certificates import Authorities
from mintwarden.authn.proofs.dpop import DpopProofs
from mintwarden.authn.proofs.nonce import Nonces
from mintwarden.authn.replay import ReplayGuard
from mintwarden.web.certificate import CertificateReader
from mintwarden.web.discovery import base_of
from mintwarden.web.peer import PeerReader

ENDPOINTS: Final = (
    "token",
    "par",
    "introspect",
    "revoke",
    "device_authorization",
    "bc-authorize",
    "approval-requests",
)
"""Where clients prove who they are, by the last part of the path: a DPoP proof is for one of them (`htu`)."""


def dpop_nonces(base: Foundation) -> Nonces | None:
    """The nonces that DPoP proofs must carry, the same on every node; None where they need none."""
    return Nonces(base.master.derive(b"dpop-nonces")) if base.config.server.dpop_nonces else None


def attestation_challenges(base: Foundation) -> Nonces:
    """What instances of clients answer when they prove their attested keys: of this issuer, the same on every node."""
    return Nonces(base.master.derive(b"attestation-challenges/" + base.issuer.encode()))


def dpop_proofs(base: Foundation, replay: ReplayGuard, *, path: str = "/token") -> DpopProofs:
    """The verification of DPoP proofs at an endpoint of ours, by default the token endpoint."""
    bases = (base_of(base.issuer), *filter(None, (base.config.server.mtls_base,)))
    endpoints = [f"{own}{path}" for own in bases]
    return DpopProofs(endpoints=endpoints, replay=replay, nonces=dpop_nonces(base))


def client_authorities(base: Foundation) -> Authorities:
    """The CAs that issue client certificates here; raises `CONFIG` when their file cannot be read."""
    file = base.config.server.client_ca
    return Authorities.of(Path(file).read_bytes() if file else b"")


def sees_certificates(config: Config) -> bool:
    """Whether a certificate of a client can get here: over TLS that ends here, or told by a proxy."""
    server = config.server
    return bool(server.client_ca or server.client_certificates or server.client_certificate_header)


def certificate_reader(config: Config, peer: PeerReader) -> CertificateReader | None:
    """What reads the clients' certificates; None where none can come."""
    server = config.server
    if not sees_certificates(config):
        return None
    return CertificateReader(
        peer=peer,
        header=server.client_certificate_header,
        spelling=server.client_certificate_format,
        chain=server.client_certificate_chain_header,
    )

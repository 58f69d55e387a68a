"""What proofs of possession are held against in this deployment."""

from __future__ import annotations

from mintwarden.app.foundation import Foundation
from mintwarden.authn.proofs.dpop import DpopProofs
from mintwarden.authn.proofs.nonce import Nonces
from mintwarden.authn.replay import ReplayGuard
from mintwarden.web.discovery import base_of


def dpop_nonces(base: Foundation) -> Nonces | None:
    """The nonces that DPoP proofs must carry, the same on every node; None where they need none."""
    return Nonces(base.master.derive(b"dpop-nonces")) if base.config.server.dpop_nonces else None


def dpop_proofs(base: Foundation, replay: ReplayGuard) -> DpopProofs:
    """The verification of DPoP proofs at the token endpoint."""
    return DpopProofs(endpoint=f"{base_of(base.issuer)}/token", replay=replay, nonces=dpop_nonces(base))

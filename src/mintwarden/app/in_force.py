"""What governs authorization at the moment, as new as the store is now."""

from __future__ import annotations

from mintwarden.app.following import Following
from mintwarden.app.governing import Governing
from mintwarden.app.ways import ways_under
from mintwarden.issue.authorization.authorizing import InForce


async def in_force_now(following: Following, governing: Governing) -> InForce:
    """Catalogue, regime, clients, sessions and ways to sign in of the version that governs; costs one shared read."""
    await following.now()
    current = governing.current
    return InForce(
        catalogue=current.bundle.catalogue,
        regime=current.regime,
        clients=current.authenticator,
        sessions=current.sign_ins.sessions,
        ways_of=ways_under(current.bundle.catalogue, current.sign_ins.passkeys),
    )

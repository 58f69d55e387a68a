"""What governs authorization at the moment, as new as the store is now."""

from __future__ import annotations

from mintwarden.app.following import Following
from mintwarden.app.governing import Governing
from mintwarden.issue.authorization.authorizing import InForce


async def in_force_now(following: Following, governing: Governing) -> InForce:
    """The catalogue, regime, clients and sessions of the version that governs; costs one shared read."""
    await following.now()
    current = governing.current
    return InForce(
        catalogue=current.bundle.catalogue,
        regime=current.regime,
        clients=current.authenticator,
        sessions=current.sign_ins.sessions,
    )

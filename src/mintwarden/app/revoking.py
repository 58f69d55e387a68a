"""Revocation as this deployment does it."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from mintwarden.app.foundation import Foundation
from mintwarden.app.memory import memory_of
from mintwarden.app.signals_out import signals_of
from mintwarden.authn.ports import Revocation
from mintwarden.govern.revocations import Revoker
from mintwarden.mint.rotate import KeyChange
from mintwarden.model.terms import Refresh
from mintwarden.model.values import EntityUid


def revoker_of(base: Foundation) -> Revoker:
    """Whoever revokes under what governs `base`."""
    catalogue = base.bundle.catalogue
    return Revoker(
        scribe=base.scribe(),
        writer=base.store.revocations,
        clock=base.clock,
        longest_token=max((audience.max_ttl for audience in catalogue.audiences.values()), default=0),
        longest_grant=max(Refresh().absolute, 0, *(one.refresh.absolute for one in catalogue.clients.values())),
        end_key=functools.partial(end_key, base),
        told=functools.partial(_told, base),
    )


async def _told(base: Foundation, made: Revocation, by: EntityUid) -> None:
    """Receivers of security events hear of it; of a grant, whose it was."""
    signals = signals_of(base)
    if signals.on and made.about == "grant":
        held = await memory_of(base).grants.get(made.value, base.clock.now())
        if held is not None:
            await signals.grant_ended(held.value, by)
    await signals.revoked(made.about, made.value, by, before=made.before)


async def end_key(base: Foundation, kid: str, by: EntityUid) -> Sequence[KeyChange]:
    """Make a signing key gone, in somebody's name; see `KeyKeeper.revoke`."""
    changes = await base.keeper.revoke(kid, base.clock.now())
    await base.record_key_changes(changes, by=by)
    return changes

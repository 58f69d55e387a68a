"""SCIM in, loaded where a source is fed by it and nowhere else: its libraries take half a second."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING

from mintwarden.app.foundation import Foundation
from mintwarden.authn.own import OwnTokens
from mintwarden.authn.replay import ReplayGuard
from mintwarden.web.scim import Feeding

if TYPE_CHECKING:
    from mintwarden.app.scim import ScimRoom


class ScimWhenFed:
    """Makes what speaks SCIM for each version that comes to govern; the thread that it works on outlives them."""

    def __init__(self, *, own: OwnTokens, replay: ReplayGuard) -> None:
        self._own = own
        self._replay = replay
        self._room: ScimRoom | None = None

    async def under(self, base: Foundation) -> Feeding | None:
        """SCIM under the bundle of `base`; None where that has no source which SCIM feeds."""
        if all(source.scim is None for source in base.bundle.catalogue.sources.values()):
            return None
        scim = await asyncio.to_thread(importlib.import_module, "mintwarden.app.scim")
        if self._room is None:
            self._room = await asyncio.to_thread(scim.ScimRoom, base)
        feeding: Feeding | None = scim.feeding(base, self._room, own=self._own, replay=self._replay)
        return feeding

    async def close(self) -> None:
        """End the thread, if there is one."""
        if self._room is not None:
            await asyncio.to_thread(self._room.close)

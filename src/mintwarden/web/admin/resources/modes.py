"""Modes: which audiences enforce, for whom, and until when. They change with the bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from mintwarden.model.catalogue import Audience
from mintwarden.web.admin.operation import Answer, Call, Operation, Paged
from mintwarden.web.admin.paged import page_of
from mintwarden.web.admin.times import Time, told

READ = "mintwarden:modes.read"


class CanaryTold(Struct, frozen=True, kw_only=True):
    """For whom an audience in canary enforces already."""

    share: float
    clients: tuple[str, ...]
    groups: tuple[str, ...]


class ModeTold(Struct, frozen=True, kw_only=True):
    """The mode of an audience: what the bundle says, and what holds now.

    `holds` differs from `mode` once the time for which it observes is over (`until`): then it is as it was before.
    """

    audience: str
    mode: Literal["observe", "canary", "enforce"]
    holds: Literal["observe", "canary", "enforce"]
    canary: CanaryTold | None
    until: Time | None
    reason: str


class ModePage(Struct, frozen=True, kw_only=True):
    """Some of the audiences, by id; `cursor` is where to go on, empty at the end."""

    modes: tuple[ModeTold, ...]
    cursor: str


class Modes:
    """The modes of the bundle that governs."""

    def __init__(self, *, audiences: Mapping[str, Audience]) -> None:
        self._audiences = audiences

    async def list_modes(self, call: Call) -> Answer:
        """Audiences' modes, by id."""
        listed, cursor = page_of(call, self._audiences.values(), lambda audience: audience.id)
        return Answer(content=ModePage(modes=tuple(_told(audience, call.now) for audience in listed), cursor=cursor))


def _told(audience: Audience, now: int) -> ModeTold:
    canary, downgrade = audience.canary, audience.downgrade
    is_over = downgrade is not None and audience.mode != "enforce" and now >= downgrade.until
    return ModeTold(
        audience=audience.id,
        mode=audience.mode,
        holds=downgrade.returns if downgrade is not None and is_over else audience.mode,
        canary=None if canary is None else CanaryTold(share=canary.share, clients=canary.clients, groups=canary.groups),
        until=None if downgrade is None else told(downgrade.until),
        reason="" if downgrade is None else downgrade.reason,
    )


LIST = Operation(
    id="modes.list",
    method="GET",
    path="/modes",
    summary="List which audiences enforce, for whom, and until when",
    scopes=(READ,),
    of=Modes,
    handler=Modes.list_modes,
    query=Paged,
    answer=ModePage,
)

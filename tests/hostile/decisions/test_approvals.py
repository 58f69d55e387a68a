"""What passes for an approval that somebody gave here, and is none."""

from __future__ import annotations

import pytest

from mintwarden.context.approvals import HeldApprovals
from mintwarden.context.assemble import Assembler
from mintwarden.context.ports import FactRow
from mintwarden.model.caller import Caller
from tests.unit.context.test_assemble import BOT, NOW, STRINGS, Store, asked, catalogue, fact, source


class Nobody:
    """Nobody approved anything."""

    async def in_force(self, _digest: str, _now: int, _grant_id: str = "") -> tuple[()]:
        return ()


@pytest.mark.parametrize("watched", [frozenset({"pay"}), frozenset[str]()])
async def test_what_was_pushed_while_the_source_took_facts_approves_nothing(watched: frozenset[str]) -> None:
    """The bundle turned a source of kind `store` into one of kind `approvals`; its rows are still there."""
    approved = source("approved", ("Agent",), fact("approvals", STRINGS, optional=True), kind="approvals")
    stored = FactRow("approved", b'{"facts":{"approvals":["lead:payments:write"]}}', NOW - 10**12)
    held = HeldApprovals(Nobody(), source=approved, audiences=watched)
    assembler = Assembler(
        catalogue=catalogue(approved), facts=Store({"Agent:bot": [stored]}), external={}, approvals=held
    )
    found = await assembler.assemble(asked(actors=(BOT,)), Caller(client_id="bot", method="private_key_jwt"), NOW)
    assert "approvals" not in found.facts.actors[0].attrs

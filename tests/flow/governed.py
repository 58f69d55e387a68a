"""A company with people who sign, and nodes outside development: what governs is the active version of the store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from mintwarden.app.acting import versions_of
from mintwarden.app.config import load_config
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.app.word import read_candidate
from mintwarden.govern.ports import Activation
from mintwarden.policy.approve.signed import Signed
from mintwarden.policy.approve.statement import Act, Statement
from mintwarden.policy.bundle.model import Bundle
from tests.unit.policy.approve.signing import Soft
from tests.unit.policy.approve.small import APPROVALS, people, team

KEYS = team()


def with_people(bundle: Path) -> None:
    """Put the people into the bundle's head."""
    head = bundle / "bundle.toml"
    head.write_text(head.read_text().replace("[tiers.low]", f"{APPROVALS}{people(KEYS)}[tiers.low]", 1))


def change(bundle: Path, file: str, old: str, new: str) -> None:
    """Edit a file of the bundle."""
    path = bundle / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def word(
    bundle: Bundle, name: str, act: Act, base: str, after: int, now: int, keys: Mapping[str, Soft] = KEYS
) -> Signed:
    return keys[name].sign(
        Statement(
            act=act, issuer=bundle.catalogue.issuer, bundle=bundle.catalogue.name, digest=bundle.digest, base=base,
            after=after, name=name, at=now // 1000,
        )
    )  # fmt: skip


async def submitted(base: Foundation, bundle: Path, *names: str, act: Act = "approve") -> str:
    """The version in the folder, signed by Dan as its author and by `names`, put into the store; its digest."""
    candidate, versions, now = read_candidate(bundle), versions_of(base), base.clock.now()
    state = await versions.state(now)
    signed = [word(candidate.bundle, name, act, state.base, state.after, now) for name in names]
    if act != "rollback":
        signed.append(word(candidate.bundle, "Dan", "author", state.base, state.after, now))
    await versions.submit(candidate.texts, signed, now=now)
    return candidate.bundle.digest


async def activated(config: Path, bundle: Path, *names: str) -> Activation:
    """The version in the folder, signed, approved by `names` and activated."""
    async with foundation(load_config(config, environ={})) as base:
        digest = await submitted(base, bundle, *(names or ("Ann", "Bob")))
        return await versions_of(base).activate(digest, by="op", now=base.clock.now())


async def decisions(base: Foundation) -> list[dict[str, Any]]:
    """Every recorded decision, in the order of the log."""
    found = [msgspec.json.decode(one.entry) for one in await base.store.entries.by_index(0, 1_000_000)]
    return [entry for entry in found if entry["kind"] == "decision"]

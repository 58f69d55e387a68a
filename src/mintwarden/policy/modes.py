"""Observing beside enforcing: which of the two holds for a caller, and what an older system's mapping gives.

Pure. `decide` asks here only about audiences that do not simply enforce.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from mintwarden.model.asked import Asked
from mintwarden.model.catalogue import Audience
from mintwarden.model.decision import Decision, ScopeDecision, Stage
from mintwarden.model.facts import Facts
from mintwarden.model.ids import entity_key
from mintwarden.model.modes import Canary
from mintwarden.model.values import EntityUid

LEGACY = "legacy:"
"""Before the group in a route that an older system's mapping made; no rule's id holds a colon."""
LEGACY_ROLE = "legacy-role:"
LEGACY_CLIENT = "legacy-client:"
ROUTES = (LEGACY, LEGACY_ROLE, LEGACY_CLIENT)
"""How a route begins that no rule made."""

PLACES = 1 << 64
"""In how many places a caller of a canary may stand."""

ANNOTATIONS = ("mode", "observe_until")
"""Annotations by which a rule is only observed."""


def holds(audience: Audience, asked: Asked, facts: Facts, now: int, *, groups_known: bool) -> tuple[bool, Stage]:
    """Whether the audience enforces for this caller at `now` (`Millis`), and why where its mode alone does not say.

    `groups_known` is false where a source of the subject's groups is stale or does not answer: a canary that names
    groups then enforces, because who is in them cannot be told.
    """
    mode: str = audience.mode
    stage: Stage = ""
    downgrade = audience.downgrade
    if mode != "enforce" and downgrade is not None:
        stage = "downgrade"
        if now >= downgrade.until:
            mode, stage = downgrade.returns, "returned"
    if mode == "canary" and audience.canary is not None:
        inside = in_canary(audience.canary, audience.id, asked, facts, groups_known=groups_known)
        return inside, stage or "canary"
    return mode == "enforce", stage


def in_canary(canary: Canary, audience: str, asked: Asked, facts: Facts, *, groups_known: bool = True) -> bool:
    """Whether the canary enforces for this caller: named, in a named group, or within the share."""
    if asked.client_id in canary.clients:
        return True
    if canary.groups:
        held = facts.subject.ancestors
        if not groups_known or any(EntityUid("Group", group) in held for group in canary.groups):
            return True
    return position(canary.salt, audience, asked.client_id, asked.subject) < int(canary.share * PLACES)


def position(salt: str, audience: str, client: str, subject: EntityUid) -> int:
    """Where a caller stands in a canary, from 0 to below `PLACES`: the same on any machine and at any later date.

    The first eight bytes, as a number, of SHA-256 over `mintwarden-canary`, salt, audience id, client id and subject
    (`User:alice`), a zero byte between each two. A caller is inside while that is less than the share of 2^64, so a
    larger share keeps everyone who was inside.
    """
    parts = ("mintwarden-canary", salt, audience, client, entity_key(subject))
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()[:8], "big")


def lender(audience: Audience, scope: str, asked: Asked, facts: Facts) -> str:
    """The route by which the older system's mapping gives the scope; empty where it does not.

    The first that fits: by group, by role, by client; each in the order of their names.
    """
    held = facts.subject.ancestors
    for group, scopes in sorted(audience.legacy.items()):
        if scope in scopes and EntityUid("Group", group) in held:
            return f"{LEGACY}{group}"
    for fact, by_role in sorted(audience.legacy_roles.items()):
        roles = facts.subject.attrs.get(fact.partition(".")[2])
        if isinstance(roles, frozenset):
            for role, scopes in sorted(by_role.items()):
                if scope in scopes and role in roles:
                    return f"{LEGACY_ROLE}{fact}/{role}"
    if scope in audience.legacy_clients.get(asked.client_id, ()):
        return f"{LEGACY_CLIENT}{asked.client_id}"
    return ""


def lent_by(route: str) -> Iterator[tuple[str, str]]:
    """The fact of the subject's, and the element of it, that a mapping's route leans on; none for a client's."""
    if route.startswith(LEGACY):
        yield "groups", route.removeprefix(LEGACY)
    elif route.startswith(LEGACY_ROLE):
        fact, _, role = route.removeprefix(LEGACY_ROLE).partition("/")
        yield fact.partition(".")[2], role


def reads_of(audience: Audience) -> frozenset[str]:
    """The paths that the mode of the audience may look at, `subject.<fact>`."""
    if audience.mode == "enforce":
        return frozenset()
    groups = bool(audience.legacy) or (audience.canary is not None and bool(audience.canary.groups))
    return frozenset(audience.legacy_roles) | ({"subject.<groups>"} if groups else frozenset())


def lenders_of(audience: Audience, scope: str) -> Iterator[str]:
    """The paths of the subject's that decide whether the mapping gives a scope; none where only clients do."""
    if any(scope in scopes for scopes in audience.legacy.values()):
        yield "principal.<groups>"
    for fact, by_role in sorted(audience.legacy_roles.items()):
        if any(scope in scopes for scopes in by_role.values()):
            yield f"principal.{fact.partition('.')[2]}"


def routes_to(audience: Audience, scope: str) -> Iterator[str]:
    """Every route by which the mapping gives the scope to somebody, in the order of `lender`."""
    yield from (f"{LEGACY}{group}" for group, scopes in sorted(audience.legacy.items()) if scope in scopes)
    for fact, by_role in sorted(audience.legacy_roles.items()):
        yield from (f"{LEGACY_ROLE}{fact}/{role}" for role, scopes in sorted(by_role.items()) if scope in scopes)
    yield from (
        f"{LEGACY_CLIENT}{client}" for client, scopes in sorted(audience.legacy_clients.items()) if scope in scopes
    )


def lent_scopes(audience: Audience) -> frozenset[str]:
    """The scopes that the mapping gives anybody at all."""
    mappings = (audience.legacy, audience.legacy_clients, *audience.legacy_roles.values())
    return frozenset(name for mapping in mappings for names in mapping.values() for name in names)


def beside(issued: Decision, said: Decision, **more: Any) -> Decision:
    """What is issued, and by its side, scope by scope, what was `said` where that is something else.

    `more` are further members of the decision.
    """
    both = zip(issued.scopes, said.scopes, strict=True)
    scopes = tuple([ours if ours == theirs else replace(ours, would=theirs) for ours, theirs in both])
    if issued.details:
        both = zip(issued.details, said.details, strict=True)
        more["details"] = tuple([ours if ours == theirs else replace(ours, would=theirs) for ours, theirs in both])
    return replace(issued, scopes=scopes, **more)


def said_of(scope: ScopeDecision) -> ScopeDecision:
    """What the rules said about a scope, observed or not."""
    return scope.would or scope

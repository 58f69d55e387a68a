"""Whether a token of ours was revoked before its end: asked each time that one is believed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from mintwarden.authn.jose import JoseError
from mintwarden.authn.ports import RevocationReader
from mintwarden.model.caller import Evidence
from mintwarden.model.ids import entity_key
from mintwarden.model.values import EntityUid

ANY_BUNDLE = ("bundle", "*")
"""Stands beside the name of each version whose tokens were revoked. Tokens do not say what they were decided under:
only where this is found is it looked up."""

_ONCE = frozenset({"token", "grant"})
"""What never begins again. Whatever bears its name is over with it, however late that is dated: by a node whose clock
runs ahead, or because it was under way when its origin was revoked."""

DecidedUnder = Callable[[str], Awaitable[str | None]]
"""The digest of the bundle version that a token's decision was made under, by its `jti`; None when nobody knows."""


class RevocationCheck:
    """Refuses tokens that were revoked, by themselves or by what they have in common with others.

    Without `decided_under`, every token of before counts as revoked once any version's were.
    """

    def __init__(self, revocations: RevocationReader, *, decided_under: DecidedUnder | None = None) -> None:
        self._revocations = revocations
        self._decided_under = decided_under

    async def require(self, evidence: Evidence) -> None:
        """Raises `JoseError` for a revoked token; costs one read."""
        if await self.is_revoked(evidence):
            raise JoseError("the token was revoked")

    async def is_revoked(self, evidence: Evidence) -> bool:
        """INVARIANT: a token that was issued in the second of a revocation counts as issued before it."""
        found = await self._revocations.revoked(names_of(evidence))
        if not found:
            return False
        versions = found.get(ANY_BUNDLE)
        if any(is_ended(name, before, evidence.issued_at) for name, before in found.items() if name != ANY_BUNDLE):
            return True
        return versions is not None and evidence.issued_at <= versions and await self._by_version(evidence)

    async def _by_version(self, evidence: Evidence) -> bool:
        """INVARIANT: a token of which nobody knows what it was decided under is not good."""
        digest = await self._decided_under(evidence.token_id) if self._decided_under is not None else None
        if digest is None:
            return True
        found: Mapping[tuple[str, str], int] = await self._revocations.revoked([("bundle", digest)])
        return any(evidence.issued_at <= before for before in found.values())


def is_ended(name: tuple[str, str], before: int, since: int) -> bool:
    """Does what was revoked under `name` as of `before` end what bears that name and began at `since` (`Millis`)."""
    return name[0] in _ONCE or since <= before


def names_of(evidence: Evidence) -> tuple[tuple[str, str], ...]:
    """What a token may have been revoked by, and `ANY_BUNDLE`: itself, what it came of, and what it has in common."""
    subject = evidence.principal
    names = [
        ANY_BUNDLE,
        ("token", evidence.token_id),
        ("client", evidence.client_id),
        ("subject", entity_key(subject)),
    ]
    for actor in evidence.actors:
        names += [("actor", entity_key(actor)), ("link", link_of(subject, actor))]
    names += [("token", name) for name in evidence.lineage]
    for about, value in (("session", evidence.session), ("grant", evidence.grant_id), ("key", evidence.key)):
        if value:
            names.append((about, value))
    return tuple(names)


def link_of(subject: EntityUid, actor: EntityUid) -> str:
    """The name of what an actor does for a subject: with it ends what hangs below it in the chain."""
    return msgspec.json.encode([entity_key(subject), entity_key(actor)]).decode()


def linked(name: str) -> tuple[str, str]:
    """The entity keys of subject and actor in the name of a link."""
    subject, actor = msgspec.json.decode(name, type=tuple[str, str])
    return subject, actor

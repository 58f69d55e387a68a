"""Whether a token of ours was revoked before its end: asked each time that one is believed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
from msgspec import Struct

from mintwarden.authn.jose import JoseError
from mintwarden.authn.ports import RevocationReader
from mintwarden.model.caller import Evidence
from mintwarden.model.ids import entity_key
from mintwarden.model.values import EntityUid

ANY_BUNDLE = ("bundle", "*")
"""Stands beside the name of each version whose tokens were revoked. Tokens do not say what they were decided under:
only where this is found is it looked up."""

ANY_CHAIN = ("chain", "*")
"""Stands beside what ends tokens by what those that come of them do not say: their client, version or signing key. Only
where this is found is it looked up what a token came of, and only of one that came of another."""

_ANY = (ANY_BUNDLE, ANY_CHAIN)

_ONCE = frozenset({"token", "grant"})
"""What never begins again. Whatever bears its name is over with it, however late that is dated: by a node whose clock
runs ahead, or because it was under way when its origin was revoked."""

DecidedUnder = Callable[[str], Awaitable[str | None]]
"""The digest of the bundle version that a token's decision was made under, by its `jti`; None when nobody knows."""


class Origin(Struct, frozen=True, kw_only=True):
    """A token of ours as its decision was recorded: one that another came of, or that one itself.

    Attributes:
        issued_at: `Millis`, as the token says it.
        keys: names of the keys that signed the tokens of ours that it was made of.
    """

    client_id: str
    bundle: str
    issued_at: int
    keys: tuple[str, ...] = ()


OriginsOf = Callable[[str, tuple[str, ...]], Awaitable[Sequence[Origin] | None]]
"""A token, by its `jti`, and those of its lineage; None when something of them is not known."""


class RevocationCheck:
    """Refuses tokens that were revoked, by themselves or by what they have in common with others.

    Without `decided_under`, every token of before counts as revoked once any version's were; without `origins`, every
    token that came of another once any client's, version's or key's were.
    """

    def __init__(
        self,
        revocations: RevocationReader,
        *,
        decided_under: DecidedUnder | None = None,
        origins: OriginsOf | None = None,
    ) -> None:
        self._revocations = revocations
        self._decided_under = decided_under
        self._origins = origins

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
        if any(is_ended(name, before, evidence.issued_at) for name, before in found.items() if name not in _ANY):
            return True
        if versions is not None and evidence.issued_at <= versions and await self._by_version(evidence):
            return True
        return ANY_CHAIN in found and await self._by_origin(evidence)

    async def _by_version(self, evidence: Evidence) -> bool:
        """INVARIANT: a token of which nobody knows what it was decided under is not good."""
        digest = await self._decided_under(evidence.token_id) if self._decided_under is not None else None
        if digest is None:
            return True
        found: Mapping[tuple[str, str], int] = await self._revocations.revoked([("bundle", digest)])
        return any(evidence.issued_at <= before for before in found.values())

    async def _by_origin(self, evidence: Evidence) -> bool:
        """INVARIANT: a token of which nobody knows what it came of is not good."""
        origins = await self._origins(evidence.token_id, evidence.lineage) if self._origins is not None else None
        if origins is None:
            return True
        names = origin_names(origins)
        found = await self._revocations.revoked([name for name, _ in names])
        return any(name in found and is_ended(name, found[name], since) for name, since in names)


def origin_names(origins: Sequence[Origin]) -> list[tuple[tuple[str, str], int]]:
    """What tokens may have been revoked by that others came of, each with when such a token began, `Millis`.

    INVARIANT: whatever a revoked key signed is over, whichever date that bore: whoever else holds it chose the date.
    """
    names = [
        (name, origin.issued_at)
        for origin in origins
        for name in (("client", origin.client_id), ("bundle", origin.bundle))
    ]
    return [*names, *((("key", key), 0) for origin in origins for key in origin.keys)]


def is_ended(name: tuple[str, str], before: int, since: int) -> bool:
    """Does what was revoked under `name` as of `before` end what bears that name and began at `since` (`Millis`)."""
    return name[0] in _ONCE or since <= before


def names_of(evidence: Evidence) -> tuple[tuple[str, str], ...]:
    """What a token may have been revoked by: itself, what it came of, and what it has in common; and `ANY_BUNDLE`.

    `ANY_CHAIN` only where it came of another.
    """
    subject = evidence.principal
    names = [
        ANY_BUNDLE,
        ("token", evidence.token_id),
        ("client", evidence.client_id),
        ("subject", entity_key(subject)),
    ]
    for actor in evidence.actors:
        names += [("actor", entity_key(actor)), ("link", link_of(subject, actor))]
    if evidence.lineage:
        names += [ANY_CHAIN, *(("token", name) for name in evidence.lineage)]
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

"""Whether a token of ours was revoked before its end: asked each time that one is believed."""

from __future__ import annotations

from mintwarden.authn.jose import JoseError
from mintwarden.authn.ports import RevocationReader
from mintwarden.model.caller import Evidence
from mintwarden.model.ids import entity_key


class RevocationCheck:
    """Refuses tokens that were revoked, by themselves or by what they have in common with others."""

    def __init__(self, revocations: RevocationReader) -> None:
        self._revocations = revocations

    async def require(self, evidence: Evidence) -> None:
        """Raises `JoseError` for a revoked token; costs one read."""
        if await self.is_revoked(evidence):
            raise JoseError("the token was revoked")

    async def is_revoked(self, evidence: Evidence) -> bool:
        """INVARIANT: a token that was issued in the second of a revocation counts as issued before it."""
        found = await self._revocations.revoked(names_of(evidence))
        return any(evidence.issued_at <= before for before in found.values())


def names_of(evidence: Evidence) -> tuple[tuple[str, str], ...]:
    """What a token may have been revoked by: its `jti`, client, subject, grant, session, each actor of its chain."""
    names = [
        ("token", evidence.token_id),
        ("client", evidence.client_id),
        ("subject", entity_key(evidence.principal)),
        *(("actor", entity_key(actor)) for actor in evidence.actors),
    ]
    if evidence.grant_id:
        names.append(("grant", evidence.grant_id))
    if evidence.session:
        names.append(("session", evidence.session))
    return tuple(names)

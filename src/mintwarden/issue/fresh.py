"""A fresh decision about a token that exists: what of it would be issued now. Nothing is issued, nothing recorded.

The question is the one that was recorded when the token was issued: the same client, subject, actors, confines,
sign-in, session, device and binding, under the limits of the same earlier token. The facts are those of now, and so are
the rules.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.authn.presented import Presented
from mintwarden.context.assemble import Assembled
from mintwarden.context.remember import remember
from mintwarden.issue.epoch import EpochMoved
from mintwarden.issue.judge import Judge
from mintwarden.issue.pipeline import Decided
from mintwarden.ledger.document import SealedDecision
from mintwarden.model.asked import Asked, RegisteredClient
from mintwarden.model.caller import Caller
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.decision import ClaimDecision
from mintwarden.model.detail import granted_details
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import decision_id, entity_key
from mintwarden.policy.registered import registered_form


class Still(Struct, frozen=True):
    """What would still be issued. `expires_at` in `Millis`: never later than the token's own end."""

    scopes: tuple[str, ...]
    claims: tuple[ClaimDecision, ...]
    expires_at: int
    details: tuple[Mapping[str, Any], ...] = ()


class Clients(Protocol):
    """The clients as they are now."""

    @property
    def epoch(self) -> int:
        """The store's epoch that they are of."""
        ...

    async def find(self, client_id: str, now: int) -> Client | None:
        """None for one that is unknown or retired; raises `INVALID_CLIENT` for one that is not to be had."""
        ...


class Fresh(Struct, frozen=True, kw_only=True):
    """The parts of the straight line that a fresh decision takes, under one bundle version.

    Attributes:
        judge, assemble: those of the line.
        recorded: the question and the facts of a token's decision; None where there are none (any more).
        entropy: n random bytes.
    """

    catalogue: Catalogue
    clients: Clients
    judge: Judge
    assemble: Callable[[Asked, Caller | None, int], Awaitable[Assembled]]
    recorded: Callable[[Presented], Awaitable[SealedDecision | None]]
    entropy: Callable[[int], bytes]

    async def decide(self, shown: Presented, now: int) -> Still | None:
        """What of a token would be issued now, None for nothing of it. One read of the record, one of the facts.

        INVARIANT: never more than the token says: its scopes and details are all that is asked for. Raises `EpochMoved`
        when what this is decided under is older than the facts.
        """
        decided = await self.again(shown, now)
        if decided is None:
            return None
        decision, token = decided.decision, shown.evidence
        if not decision.granted or decision.lifetime is None or decision.actors != token.actors:
            return None
        ends = min(token.expires_at, now + decision.lifetime.seconds * 1000)
        details = granted_details(token.details, [detail.granted for detail in decision.details])
        return Still(decision.granted_scopes, decision.claims, ends, tuple(details))

    async def again(self, shown: Presented, now: int) -> Decided | None:
        """The decision itself, a refusal included; None where nobody knows (any more) what was asked, or may ask it."""
        before, token = await self.recorded(shown), shown.evidence
        if before is None or token.scopes is None:
            return None
        asked: Asked = before.asked
        client = await self._client(asked, now)
        if client is None:
            return None
        # What went with it for the client alone (an ID token) is no part of it.
        asked = replace(
            asked,
            scopes=token.scopes,
            details=token.details,
            registered=self._registered(client),
            identity=(),
            id_token_claims=(),
        )
        assembled = await self.assemble(asked, None, now)
        if assembled.facts.epoch != self.clients.epoch:
            raise EpochMoved(assembled.facts.epoch)
        facts = remember(assembled.facts, before.facts, self.catalogue, now)
        raw_id = decision_id(now, self.entropy(10))
        decision = self.judge.decide(asked, facts, now, raw_id)
        return Decided(raw_id, asked, facts, decision, assembled.subject_keys.get(entity_key(asked.subject)))

    async def _client(self, asked: Asked, now: int) -> Client | None:
        """The client of a question; None where the line would not get as far as a decision now."""
        try:
            client = await self.clients.find(asked.client_id, now)
        except MintwardenError as error:
            if error.kind is not ErrorKind.INVALID_CLIENT:
                raise
            return None
        if client is None or asked.grant not in client.grants or asked.environment not in client.environments:
            return None
        return client if not asked.purpose or asked.purpose in self.catalogue.purposes else None

    def _registered(self, client: Client) -> RegisteredClient | None:
        return None if client.id in self.catalogue.clients else registered_form(client)

"""The parts of the straight line in this process, as the server puts them together, for one step at a time."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bench.company import AUDIENCE
from mintwarden.app.config import load_config
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.app.wiring import ensure_keys
from mintwarden.authn.authenticate import Authenticator
from mintwarden.authn.evidence import Evidences
from mintwarden.authn.fetch import GuardedFetcher
from mintwarden.authn.issuers.keys import KeyFinder
from mintwarden.authn.issuers.verify import TrustedIssuers
from mintwarden.authn.own import OwnKey, OwnTokens
from mintwarden.authn.revoked import RevocationCheck
from mintwarden.authn.secrets import SecretVerifier
from mintwarden.context.assemble import Assembled, Assembler
from mintwarden.issue.granted import NOTHING
from mintwarden.issue.grants import GRANTS
from mintwarden.issue.judge import Judge
from mintwarden.issue.line import Regime
from mintwarden.ledger.ports import Appended, PendingEntry
from mintwarden.ledger.record import Recorder
from mintwarden.mint.ports import Signer
from mintwarden.mint.prepare import prepare
from mintwarden.mint.sign import sign
from mintwarden.model.asked import Asked
from mintwarden.model.caller import Caller
from mintwarden.model.catalogue import Audience
from mintwarden.model.decision import Decision
from mintwarden.model.ids import decision_id, decision_text, entity_key
from mintwarden.model.request import TokenRequest
from mintwarden.model.token import PreparedToken, Receipt, SignedToken
from mintwarden.web.form import parse_form

_GRANTS = {grant.grant_type: grant for grant in GRANTS}

Wire = tuple[bytes | None, bytes]
"""A request as the server gets it: `Authorization` or None, and the body."""


class _Silent:
    def disagreement(self, bundle: str, decision_id: bytes, compiled: Decision, cedar: Decision) -> None:
        """Not listened to: nothing is verified here."""


class _Nowhere:
    """Takes entries and keeps none: what is left of step 7 is building them."""

    async def append(self, batch: Sequence[PendingEntry]) -> Sequence[Appended]:
        return [Appended(0) for _ in batch]


class _NoKeys:
    def public_key(self, _kid: str) -> OwnKey | None:
        return None


class Decided(NamedTuple):
    """What is known of a request after step 5."""

    caller: Caller
    asked: Asked
    assembled: Assembled
    decision: Decision
    raw_id: bytes


@dataclass(frozen=True, kw_only=True)
class Inline:
    """One method for each step, over the opened deployment `base`."""

    base: Foundation
    authenticator: Authenticator
    assembler: Assembler
    judge: Judge
    regime: Regime
    audience: Audience
    signer: Signer
    nowhere: Recorder
    now: int

    def parse(self, sent: Wire) -> TokenRequest:
        """Step 1, without HTTP."""
        authorization, body = sent
        return TokenRequest(
            unverified_form=parse_form(body),
            unverified_authorization=authorization,
            address="127.0.0.1",
            received_at=self.now,
            reference="bench",
        )

    async def authenticate(self, request: TokenRequest) -> Caller:
        """Step 2."""
        return await self.regime.authenticate(request, self.now)

    def resolve(self, request: TokenRequest, caller: Caller) -> Asked:
        """Step 3."""
        catalogue = self.regime.catalogue
        grant = _GRANTS[request.one("grant_type") or ""]
        return grant.resolve(request, caller, catalogue.clients[caller.client_id], catalogue, NOTHING)

    async def assemble(self, asked: Asked, caller: Caller) -> Assembled:
        """Step 4."""
        return await self.regime.assemble(asked, caller, self.now)

    def new_id(self) -> bytes:
        """A fresh decision id."""
        return decision_id(self.now, secrets.token_bytes(10))

    def decide(self, caller: Caller, asked: Asked, assembled: Assembled, raw_id: bytes) -> Decided:
        """Step 5."""
        decision = self.judge.decide(asked, assembled.facts, self.now, raw_id)
        return Decided(caller, asked, assembled, decision, raw_id)

    def prepare(self, decided: Decided) -> PreparedToken:
        """Step 6."""
        return prepare(
            decided.decision,
            decided.asked,
            self.regime.catalogue.clients[decided.asked.client_id],
            self.audience,
            issuer=self.base.issuer,
            key=self.signer,
            now=self.now,
            decision_id=decision_text(decided.raw_id),
        )

    async def record(self, decided: Decided, made: PreparedToken, *, durable: bool = True) -> Receipt:
        """Step 7; without its commit unless `durable`."""
        asked, assembled = decided.asked, decided.assembled
        return await (self.base.recorder if durable else self.nowhere).record(
            decision_id=decided.raw_id,
            decision=decided.decision,
            asked=asked,
            facts=self.regime.kept(asked, assembled.facts),
            prepared=made,
            once=decided.caller.once,
            key=assembled.subject_keys.get(entity_key(asked.subject)),
        )

    async def sign(self, made: PreparedToken, receipt: Receipt) -> SignedToken:
        """Step 8."""
        return await sign(made, receipt, self.signer)


@asynccontextmanager
async def opened(config: Path) -> AsyncIterator[Inline]:
    """The line of a deployment whose server does not run."""
    async with foundation(load_config(config), create=True) as base:
        await ensure_keys(base)
        catalogue = base.bundle.catalogue
        trusted = TrustedIssuers(
            own_issuer=base.issuer,
            issuers=catalogue.issuers,
            keys=KeyFinder(fetcher=GuardedFetcher(development=True)),
        )
        authenticator = Authenticator(
            issuer=base.issuer,
            clients=catalogue.clients,
            credentials=base.store.credentials,
            secrets=SecretVerifier(pepper=base.pepper),
            evidence=Evidences(
                own=OwnTokens(issuer=base.issuer, keys=_NoKeys()),
                trusted=trusted,
                revoked=RevocationCheck(base.store.revocations),
            ),
        )
        await authenticator.refresh()
        assembler = Assembler(catalogue=catalogue, facts=base.store.facts, external={})
        judge = Judge(base.bundle, alarm=_Silent(), later=lambda _: False)
        regime = Regime(base.bundle, judge=judge, authenticate=authenticator.authenticate, assemble=assembler.assemble)
        audience = next(a for a in catalogue.audiences.values() if a.identifier == AUDIENCE)
        yield Inline(
            base=base,
            authenticator=authenticator,
            assembler=assembler,
            judge=judge,
            regime=regime,
            audience=audience,
            signer=base.ring.signer_for(audience.algorithm),
            nowhere=Recorder(appender=_Nowhere(), sealer=base.sealer, issuer=base.issuer),
            now=base.clock.now(),
        )


def read_wire(path: Path) -> Iterator[Wire]:
    """The requests of a request file."""
    with path.open("rb") as file:
        for line in file:
            authorization, _, body = line.rstrip(b"\n").partition(b"\t")
            yield None if authorization == b"-" else authorization, body


async def together(count: int, group: int, function: Callable[[int], Awaitable[Any]]) -> list[Any]:
    """`function` of 0 to `count` - 1, `group` of them under way at once."""
    results: list[Any] = []
    for start in range(0, count, group):
        results += await asyncio.gather(*(function(i) for i in range(start, min(start + group, count))))
    return results

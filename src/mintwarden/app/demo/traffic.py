"""A month of Meridian's traffic in a few seconds: through the straight line itself, with the time handed in.

Every request is authenticated, decided, recorded and signed by the service's own parts, hundreds of them under way at
once, so that they share reads and commits. What is asked follows from the seed; ids, keys and salts are fresh.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from urllib.parse import urlsplit

from msgspec import Struct

from mintwarden.app.dangers import is_loopback
from mintwarden.app.demo.cast import DAY
from mintwarden.app.demo.days import Days
from mintwarden.app.demo.errands import HOUR, Company, Errand, errand
from mintwarden.app.demo.proofs import GivenCredentials, Proofs
from mintwarden.app.following import Following
from mintwarden.app.foundation import Foundation
from mintwarden.app.memory import memory_of
from mintwarden.app.own_keys import RingKeys
from mintwarden.app.recorded import revocation_check
from mintwarden.app.wiring import ensure_keys
from mintwarden.authn.authenticate import Authenticator
from mintwarden.authn.evidence import Evidences
from mintwarden.authn.issuers.keys import KeyFinder
from mintwarden.authn.issuers.verify import TrustedIssuers
from mintwarden.authn.own import OwnTokens
from mintwarden.authn.secrets import SecretVerifier
from mintwarden.context.assemble import Assembler
from mintwarden.issue.judge import Judge
from mintwarden.issue.line import Line, Regime
from mintwarden.issue.pipeline import Outcome, issue
from mintwarden.mint.sign import sign
from mintwarden.model.clock import Millis
from mintwarden.model.decision import Decision
from mintwarden.model.errors import ErrorKind, MintwardenError

SPELL = 60_000
"""Length of a busy spell in milliseconds: shorter than the life of any token that is exchanged at its end."""
UNDER_WAY = 512
"""About as many requests as one spell has at most; all of them are under way at once."""
LEAST = 24
"""Requests that a spell is worth the while for."""
SPELLS_A_DAY = 8
FOLLOW_UPS = 0.95
"""The share of requests that are not made with the token of another one, roughly."""
MARGIN = 10 * 60_000
"""How long before now the last request is, in milliseconds."""

_HOURS = (1, 2, 2, 2, 2, 1, 3, 8, 14, 16, 16, 14, 12, 14, 16, 15, 13, 10, 6, 4, 3, 2, 2, 1)
_WEEKEND = 0.2
_REFUSED_AT_ONCE = frozenset(
    {
        ErrorKind.INVALID_REQUEST,
        ErrorKind.INVALID_CLIENT,
        ErrorKind.INVALID_CLIENT_ATTESTATION,
        ErrorKind.INVALID_TARGET,
        ErrorKind.INVALID_SCOPE,
        ErrorKind.UNAUTHORIZED_CLIENT,
    }
)
_AT: ContextVar[int] = ContextVar("at")


class Wishes(Struct, frozen=True, kw_only=True):
    """How much traffic: `count` recorded decisions over the last `days`, following from `seed`."""

    count: int
    seed: int = 7
    days: int = 30


class Tally(Struct, kw_only=True):
    """What came of the traffic.

    Attributes:
        granted, refused: recorded decisions by outcome.
        narrowed: granted, but not all of what was asked for.
        turned_away: requests that never came to a decision, by error kind; nothing is recorded of them.
        audiences: decisions by audience.
        first, last: times of the first and the last request, `Millis`.
    """

    granted: int = 0
    refused: int = 0
    narrowed: int = 0
    turned_away: Counter[str] = Counter()
    audiences: Counter[str] = Counter()
    first: int = 0
    last: int = 0

    @property
    def decisions(self) -> int:
        """Recorded decisions."""
        return self.granted + self.refused


class _SpellClock:
    """The time of the request under way."""

    def now(self) -> Millis:
        return Millis(_AT.get())


class _Silent:
    def disagreement(self, bundle: str, decision_id: bytes, compiled: Decision, cedar: Decision) -> None:
        """The decision refuses already, and is counted as that."""


async def make_traffic(
    base: Foundation, wishes: Wishes, *, now: int, progress: Callable[[int, int], None] = lambda _at, _of: None
) -> Tally:
    """Traffic for the example company up to shortly before `now` (`Millis`), recorded in `base`'s store.

    Raises `CONFLICT` for another company's deployment, and for a store that holds facts of a later time than the
    traffic begins at.
    """
    begin = now - wishes.days * DAY
    company = Company(now)
    await _must_fit(base, company, begin)
    await ensure_keys(base)
    traffic = _Traffic(base, wishes, company, begin=begin)
    await traffic.authenticator.refresh()
    starts = _starts(random.Random(wishes.seed), wishes, begin, now - MARGIN)  # noqa: S311 - made-up traffic
    tally = traffic.tally
    for number, start in enumerate(starts, 1):
        share = (wishes.count - tally.decisions) / (len(starts) - number + 1)
        await traffic.spell(start, round(share * FOLLOW_UPS))
        progress(tally.decisions, wishes.count)
    while tally.decisions < wishes.count:
        await traffic.spell(starts[-1] + SPELL, wishes.count - tally.decisions)
    await traffic.quiet_until(now)
    progress(tally.decisions, wishes.count)
    return tally


class _Traffic:
    """The straight line, and whoever walks along it."""

    def __init__(self, base: Foundation, wishes: Wishes, company: Company, *, begin: int) -> None:
        self._base = base
        self._wanted = wishes.count
        self._company = company
        self._chance = random.Random(wishes.seed + 1)  # noqa: S311 - made-up traffic
        days = random.Random(wishes.seed + 2)  # noqa: S311
        self._days = Days(company, days, begin=begin, length=wishes.days * DAY)
        self._proofs = Proofs(base.bundle.catalogue, issuer=base.issuer, pepper=base.pepper)
        self.tally = Tally(turned_away=Counter(), audiences=Counter())
        self.authenticator = self._authenticator()
        self._line = self._composed()

    async def spell(self, start: int, count: int) -> None:
        """`count` requests from `start` on and what follows from them, up to the wanted number of decisions."""
        chance = self._chance
        times = sorted(start + chance.randrange(SPELL) for _ in range(count))
        planned = [(errand(chance, self._company, at), at) for at in times]
        await self._base.store.facts.put(list(self._days.until(start, [each for each, _ in planned])))
        came = await asyncio.gather(*(self._walk(each, at) for each, at in planned))
        room = self._wanted - self.tally.decisions
        follow_ups = [(each.then, token) for (each, _), token in zip(planned, came, strict=True) if each.then and token]
        later = start + SPELL
        await asyncio.gather(
            *(self._walk(each, later + number, token) for number, (each, token) in enumerate(follow_ups[:room]))
        )

    async def quiet_until(self, at: int) -> None:
        """Nobody asks any more up to `at`; the sources go on saying what they say, so that nothing of it is too old."""
        await self._base.store.facts.put(list(self._days.until(at, ())))

    async def _walk(self, each: Errand, at: int, token: str = "") -> str:
        """Walk along the line at `at`; gives the token, or nothing."""
        _AT.set(at)  # seen by this task alone
        tally = self.tally
        try:
            outcome = await issue(await self._proofs.request(each, at, token), self._line)
        except MintwardenError as error:
            if error.kind not in _REFUSED_AT_ONCE:
                raise
            tally.turned_away[error.kind.value] += 1
            return ""
        _count(tally, outcome, at)
        return outcome.token.compact if outcome.token is not None else ""

    def _authenticator(self) -> Authenticator:
        base, proofs = self._base, self._proofs
        trusted = TrustedIssuers(
            own_issuer=base.issuer, issuers=base.bundle.catalogue.issuers, keys=KeyFinder(fetcher=proofs)
        )
        return Authenticator(
            issuer=base.issuer,
            clients=proofs.clients,
            credentials=GivenCredentials(base.store.credentials, proofs.secrets),
            secrets=SecretVerifier(pepper=base.pepper),
            evidence=Evidences(
                own=OwnTokens(issuer=base.issuer, keys=RingKeys(base.ring)),
                trusted=trusted,
                revoked=revocation_check(base),
            ),
        )

    def _composed(self) -> Line:
        base, authenticator = self._base, self.authenticator
        following = Following(base, authenticator)
        assembler = Assembler(catalogue=base.bundle.catalogue, facts=base.store.facts, external={})
        regime = Regime(
            base.bundle,
            # Rechecks behind the answer are left out; `verify = "always"` stays in front of the signature.
            judge=Judge(base.bundle, alarm=_Silent(), later=lambda _recheck: False),
            authenticate=authenticator.authenticate,
            assemble=assembler.assemble,
        )
        return Line(
            issuer=base.issuer,
            clock=_SpellClock(),
            entropy=secrets.token_bytes,
            memory=memory_of(base),
            regime=lambda: regime,
            refresh=following.refresh,
            signer=following.signer,
            record=base.recorder.record,
            sign=sign,
        )


def _count(tally: Tally, outcome: Outcome, at: int) -> None:
    if outcome.decision.granted:
        tally.granted += 1
        tally.narrowed += len(outcome.decision.granted_scopes) < len(outcome.asked.scopes)
    else:
        tally.refused += 1
    tally.audiences[outcome.asked.audience] += 1
    tally.first = min(tally.first or at, at)
    tally.last = max(tally.last, at)


def _starts(chance: random.Random, wishes: Wishes, begin: int, end: int) -> list[int]:
    """When there are busy spells, in order: mostly on working days, by day, and never two at once."""
    usual = min(wishes.days * SPELLS_A_DAY, wishes.count // LEAST)
    number = max(1, usual, -(-wishes.count // UNDER_WAY))
    days = [begin + day * DAY - begin % DAY for day in range(wishes.days + 1)]
    # 1970-01-01 was a Thursday.
    weights = [_WEEKEND if (day // DAY + 3) % 7 >= 5 else 1.0 for day in days]
    found: list[int] = []
    while len(found) < number:
        hour = chance.choices(range(24), _HOURS)[0]
        at = chance.choices(days, weights)[0] + hour * HOUR + chance.randrange(HOUR)
        if begin <= at < end - 2 * SPELL:
            found.append(at)
    found.sort()
    for index in range(1, number):
        found[index] = max(found[index], min(found[index - 1] + 2 * SPELL, end - 2 * SPELL))
    return found


async def _must_fit(base: Foundation, company: Company, begin: int) -> None:
    host = urlsplit(base.issuer).hostname or ""
    if base.bundle.catalogue.name != "meridian" or not (is_loopback(host) or host.endswith(".example")):
        raise MintwardenError(
            ErrorKind.CONFLICT,
            "this is not the example company",
            hint="traffic is made up for Meridian alone: a ledger of yours must hold nothing made up",
        )
    stored = await base.store.facts.read(list(company.said))
    if any(row.observed_at > begin for rows in stored.rows.values() for row in rows):
        raise MintwardenError(
            ErrorKind.CONFLICT,
            "the store holds facts of a later time than the traffic would begin at",
            hint="make the traffic first, in a new store; import and push facts afterwards",
        )

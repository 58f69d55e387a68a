"""What would be decided now: assembled and decided like a token, and nothing comes of it, so nothing is recorded."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from mintwarden.issue.line import Line, Regime
from mintwarden.issue.pipeline import Decided, decide_now
from mintwarden.issue.question import (
    Evaluation,
    LiveClient,
    Sense,
    Unanswerable,
    Who,
    ask,
    clients_for,
    read_sense,
    read_who,
)
from mintwarden.model.asked import Asked
from mintwarden.model.catalogue import Client
from mintwarden.model.decision import Obligation
from mintwarden.policy.explain import BECAUSE


class Present(Struct, frozen=True, kw_only=True):
    """What governs at one moment. INVARIANT: every question of one request is answered under one regime.

    Attributes:
        epoch: the store's epoch that `regime` and `live` are of.
        live: looks a client up.
        candidates: scope to the clients that are tried where none is named; see `candidates_of`.
    """

    line: Line
    regime: Regime
    epoch: int
    live: LiveClient
    candidates: Mapping[str, tuple[str, ...]]


class Verdict(Struct, frozen=True, kw_only=True):
    """The answer to one question.

    Attributes:
        reason, because: why not, as a word and as a sentence.
        client: through which client.
        unmet: what would have to be brought besides.
        lifetime: seconds that a token would have; 0 where there is none.
        bundle: digest of the version that decided; empty where nothing had to be decided.
    """

    granted: bool
    reason: str = ""
    because: str = ""
    client: str = ""
    unmet: tuple[Obligation, ...] = ()
    lifetime: int = 0
    bundle: str = ""


async def evaluate(evaluation: Evaluation, present: Present) -> Verdict:
    """May it be issued now, through the client that is named, or through any."""
    catalogue, live = present.regime.catalogue, present.live
    try:
        sense = read_sense(evaluation.action, evaluation.resource, catalogue)
        who = read_who(evaluation, sense, catalogue, live)
        clients = clients_for(who, sense, evaluation.context, present.candidates, live)
    except Unanswerable as error:
        return refused(error)
    best: Verdict | None = None
    for client in clients:
        verdict = await _through(evaluation, client, who, sense, present)
        if verdict.granted:
            return verdict
        best = verdict if best is None or _nearness(verdict) < _nearness(best) else best
    return best if best is not None else Verdict(granted=False)


def refused(error: Unanswerable) -> Verdict:
    """The answer to what cannot be: nobody may."""
    return Verdict(granted=False, reason=error.reason, because=error.because)


async def decided(asked: Asked, present: Present) -> Decided:
    """Steps 4 and 5; raises `EpochMoved`."""
    line = present.line
    return await decide_now(asked, None, present.regime, line, epoch=present.epoch, now=line.clock.now())


async def _through(evaluation: Evaluation, client: Client, who: Who, sense: Sense, present: Present) -> Verdict:
    try:
        asked = ask(
            evaluation,
            client,
            who,
            sense.audience,
            present.regime.catalogue,
            scopes=(sense.scope,),
            live=present.live,
            place=sense.place,
        )
    except Unanswerable as error:
        return refused(error)
    decision = (await decided(asked, present)).decision
    (scope,) = decision.scopes
    reason = scope.reason or ""
    return Verdict(
        granted=scope.granted,
        reason=reason,
        because=BECAUSE[scope.reason] if scope.reason else "",
        client=client.id,
        unmet=scope.unmet,
        lifetime=decision.lifetime.seconds if decision.lifetime is not None else 0,
        bundle=decision.bundle,
    )


def _nearness(verdict: Verdict) -> int:
    """What lacks a step-up is told before what no rule permits, and that before what cannot be asked."""
    return 0 if verdict.unmet else 1 if verdict.bundle else 2

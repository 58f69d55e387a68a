"""A refusal by name (`Unresolved`) is written down before it is answered: steps 4, 5 and 7 of the line.

INVARIANT: what nobody has authenticated leaves no entry, so that no stranger fills the ledger.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from mintwarden.context.project import Projection
from mintwarden.issue.epoch import ATTEMPTS, EpochMoved
from mintwarden.issue.line import Line
from mintwarden.issue.unresolved import Unresolved
from mintwarden.model.asked import Asked
from mintwarden.model.caller import Caller, OnceKey
from mintwarden.model.catalogue import Client
from mintwarden.model.decision import Decision
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import decision_id, decision_text, entity_key
from mintwarden.model.request import TokenRequest

T = TypeVar("T")

_NOTHING = Projection(frozenset())


async def on_record(work: Callable[[], Awaitable[T]], line: Line) -> T:
    """What `work` gives under one state of the store (`in_one_epoch`); what it refuses by name is recorded first.

    Raises as `work`, and `UNAVAILABLE` where what governs changes faster than it can be asked.
    """
    for _ in range(ATTEMPTS):
        try:
            return await work()
        except EpochMoved as moved:
            await line.refresh(moved.epoch)
        except Unresolved as refused:
            if await _recorded(refused, line, spend=True):
                raise
    raise _too_fast()


async def record_begun(
    refused: Unresolved, grant: str, request: TokenRequest, caller: Caller, client: Client, line: Line
) -> None:
    """The same for a request that only begins something, whose proofs were claimed already; then raise it.

    Nobody is asked yet, so the client is whom it is about. A public client has only said its name: no entry.
    """
    if caller.method == "none":
        return
    about = refused.of(grant, request, caller, client, line.regime().catalogue)
    if not await _recorded(about, line, spend=False):
        raise _too_fast()


async def _recorded(refused: Unresolved, line: Line, *, spend: bool) -> bool:
    """Whether it was recorded, and with it, to `spend` them, that the caller's proofs were used."""
    asked, caller = refused.asked, refused.caller
    if asked is None or caller is None:
        raise MintwardenError(ErrorKind.INTERNAL, "a refusal without a question")
    made = await record_unresolved(asked, line, caller=caller, once=caller.once if spend else ())
    if made is None:
        return False
    refused.decision, decision = made
    refused.reasons = tuple([one.reason for one in (*decision.scopes, *decision.details) if one.reason is not None])
    return True


async def record_unresolved(
    asked: Asked, line: Line, *, caller: Caller | None = None, once: tuple[OnceKey, ...] = ()
) -> tuple[str, Decision] | None:
    """Steps 4, 5 and 7 for a question of names that do not resolve: the id of the decision, and it.

    None, and nothing is recorded, where by now another version governs that would grant it. Raises as `Line.record`.
    """
    regime, now = line.regime(), line.clock.now()
    assembled = await regime.assemble(asked, caller, now)
    raw_id = decision_id(now, line.entropy(10))
    decision = regime.judge.decide(asked, assembled.facts, now, raw_id)
    if decision.granted:
        return None
    known = asked.audience in regime.catalogue.audiences
    await line.record(
        decision_id=raw_id,
        decision=decision,
        asked=asked,
        facts=regime.kept(asked, assembled.facts) if known else _NOTHING.apply(assembled.facts),
        prepared=None,
        id_token=None,
        once=once,
        key=assembled.subject_keys.get(entity_key(asked.subject)),
    )
    return decision_text(raw_id), decision


def _too_fast() -> MintwardenError:
    return MintwardenError(ErrorKind.UNAVAILABLE, "what governs keeps changing", hint="try again")

"""The straight line: every way to a token walks these steps, in this order. `docs/life-of-a-token.md` tells it.

Step 1 (parse) and step 9 (respond) are the web room's. Functions that do nothing but hand on are plain ones, and give
what is to be awaited: each coroutine more is made, entered and left at every pause of every request. Between two steps
the requests of one moment wait for each other (`in_step`; `docs/adr/0007-hot-path.md` on both).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.context.approvals import used_by
from mintwarden.issue.epoch import EpochMoved
from mintwarden.issue.grants import GRANTS, Grant
from mintwarden.issue.holder import held
from mintwarden.issue.in_step import IN_STEP
from mintwarden.issue.line import Line, Regime, SubjectSalt
from mintwarden.issue.on_record import on_record
from mintwarden.mint.ports import Signer
from mintwarden.mint.prepare import prepare, prepare_id_token
from mintwarden.model.asked import Asked
from mintwarden.model.caller import Caller, OnceKey
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.decision import Decision
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.facts import Facts
from mintwarden.model.ids import decision_id, decision_text, entity_key
from mintwarden.model.request import TokenRequest
from mintwarden.model.token import PreparedToken, Receipt, SignedToken
from mintwarden.policy.registered import registered_form

_BY_TYPE = {grant.grant_type: grant for grant in GRANTS}

Entrance = Callable[[TokenRequest, Regime, int], Awaitable[Caller]]
"""Step 2."""


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of a request: a token, or the recorded decision that refused it (`token` is then None)."""

    asked: Asked
    decision: Decision
    decision_id: str
    receipt: Receipt
    token: SignedToken | None
    id_token: SignedToken | None = None
    refresh_token: str = ""


class Decided(Struct, frozen=True):
    """What was decided and on which facts, not yet written down; `key` is the subject's stored sealing key.

    `used`: approvals that count once and carried it; a token of it uses them up.
    """

    id: bytes
    asked: Asked
    facts: Facts
    decision: Decision
    key: SubjectSalt | None
    used: tuple[OnceKey, ...] = ()


def issue(request: TokenRequest, line: Line) -> Coroutine[Any, Any, Outcome]:
    """Steps 2 to 8. Raises `MintwardenError` for what is wrong with the request or with us; a refusal is returned."""
    return on_record(lambda: _walk(request, line, _grant(request), _asking), line)


def issue_unasked(request: TokenRequest, line: Line, grant: Grant, entrance: Entrance) -> Coroutine[Any, Any, Outcome]:
    """The same for what is sent to its client instead of asked for; `entrance` knows who began it.

    It raises `EpochMoved` where that is of another epoch than the regime.
    """
    return on_record(lambda: _walk(request, line, grant, entrance), line)


def _asking(request: TokenRequest, regime: Regime, now: int) -> Awaitable[Caller]:
    return regime.authenticate(request, now)


async def _walk(request: TokenRequest, line: Line, grant: Grant, entrance: Entrance) -> Outcome:
    await IN_STEP
    now, regime = line.clock.now(), line.regime()
    # 2 authn.authenticate
    caller = await entrance(request, regime, now)
    client = _client(caller, grant, regime.catalogue)
    # 3 grant.resolve
    caller, recalled = await grant.recall(request, caller, client, line.memory, now)
    resolved = grant.resolve(request, caller, client, regime.catalogue, recalled)
    asked = with_registered(resolved, caller.registered)
    asked = held(asked, caller, client, regime.wanting_certificates)
    # 4 context.assemble
    # 5 policy.decide
    decided = await decide_now(asked, caller, regime, line, epoch=caller.epoch, now=now)
    decision = decided.decision
    await IN_STEP
    # 6 mint.prepare
    name, prepared, signer, beside = decision_text(decided.id), None, None, None
    if decision.granted:
        audience = regime.catalogue.audiences[asked.audience]
        signer = line.signer(audience)
        asked = await line.placed(asked, audience, signer)
        prepared = prepare(decision, asked, client, audience, issuer=line.issuer, key=signer, now=now, decision_id=name)
        beside = _beside(decision, asked, client, line, regime.catalogue, now, name, recalled.auth_req_id)
    await IN_STEP
    # 7 ledger.record
    receipt = await record_now(
        decided,
        regime,
        line,
        asked=asked,
        prepared=prepared,
        id_token=beside.prepared if beside is not None else None,
        # What was handed out is used up by what comes of it, and not by a refusal.
        once=(*caller.once, *recalled.once, *decided.used) if prepared is not None else caller.once,
    )
    await IN_STEP
    # 8 mint.sign
    token = await line.sign(prepared, receipt, signer) if prepared is not None and signer is not None else None
    renewal = line.memory.renew(recalled.renewal, receipt) if prepared is not None else ""
    return Outcome(
        asked=asked,
        decision=decision,
        decision_id=name,
        receipt=receipt,
        token=token,
        id_token=await line.sign(beside.prepared, receipt, beside.signer, token, renewal)
        if beside is not None
        else None,
        refresh_token=renewal,
    )


class _Beside(Struct, frozen=True):
    """An ID token, prepared, and what will sign it."""

    prepared: PreparedToken
    signer: Signer


def _beside(
    decision: Decision,
    asked: Asked,
    client: Client,
    line: Line,
    catalogue: Catalogue,
    now: int,
    name: str,
    auth_req_id: str,
) -> _Beside | None:
    """The ID token that goes with the access token, if any."""
    if decision.identity is None:
        return None
    signer = line.signer(catalogue.audiences[catalogue.identity])
    prepared = prepare_id_token(
        decision,
        asked,
        client,
        issuer=line.issuer,
        key=signer,
        now=now,
        decision_id=name,
        auth_req_id=auth_req_id,
    )
    return None if prepared is None else _Beside(prepared, signer)


async def decide_now(
    asked: Asked, caller: Caller | None, regime: Regime, line: Line, *, epoch: int, now: int
) -> Decided:
    """Steps 4 and 5, for whoever wants to know what would be decided now; without a caller, no token says anything.

    Raises `EpochMoved` when the facts are of another epoch than `epoch`, that of the regime and of the caller.
    """
    assembled = await regime.assemble(asked, caller, now)
    facts = assembled.facts
    if facts.epoch != epoch:
        raise EpochMoved(facts.epoch)
    await IN_STEP
    raw_id = decision_id(now, line.entropy(10))
    decision = regime.judge.decide(asked, facts, now, raw_id)
    used: tuple[OnceKey, ...] = ()
    if assembled.single_use and decision.lifetime is not None:
        granted = [one.scope for one in (*decision.scopes, *decision.details) if one.granted]
        used = used_by(decision.lifetime.bounds, granted, assembled.single_use)
    return Decided(
        raw_id,
        asked,
        facts,
        decision,
        assembled.subject_keys.get(entity_key(asked.subject)),
        used,
    )


def consider(request: TokenRequest, line: Line) -> Coroutine[Any, Any, tuple[Caller, Client, Decided]]:
    """Steps 2 to 5: what would be decided of what a client asks as at `/token`. Nothing comes of it."""
    return on_record(lambda: _considered(request, line), line)


async def _considered(request: TokenRequest, line: Line) -> tuple[Caller, Client, Decided]:
    now, regime, grant = line.clock.now(), line.regime(), _grant(request)
    caller = await regime.authenticate(request, now)
    client = _client(caller, grant, regime.catalogue)
    caller, recalled = await grant.recall(request, caller, client, line.memory, now)
    # No key is held against it: that is proven where the token is handed out.
    asked = with_registered(grant.resolve(request, caller, client, regime.catalogue, recalled), caller.registered)
    return caller, client, await decide_now(asked, caller, regime, line, epoch=caller.epoch, now=now)


def record_now(
    decided: Decided,
    regime: Regime,
    line: Line,
    *,
    asked: Asked | None = None,
    prepared: PreparedToken | None = None,
    id_token: PreparedToken | None = None,
    once: tuple[OnceKey, ...] = (),
) -> Awaitable[Receipt]:
    """Step 7; without a prepared token for a refusal, and where somebody else signs.

    `asked` is the question with what only a token has, its place in a status list.
    """
    return line.record(
        decision_id=decided.id,
        decision=decided.decision,
        asked=asked or decided.asked,
        facts=regime.kept(decided.asked, decided.facts),
        prepared=prepared,
        id_token=id_token,
        once=once,
        key=decided.key,
    )


def _grant(request: TokenRequest) -> Grant:
    name = request.one("grant_type")
    if name is None:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "`grant_type` is missing")
    grant = _BY_TYPE.get(name)
    if grant is None:
        raise MintwardenError(ErrorKind.UNSUPPORTED_GRANT_TYPE, "this grant type is not supported")
    return grant


def _client(caller: Caller, grant: Grant, catalogue: Catalogue) -> Client:
    client = caller.registered or catalogue.clients[caller.client_id]
    if grant.name not in client.grants:
        raise MintwardenError(
            ErrorKind.UNAUTHORIZED_CLIENT,
            "the client may not use this grant type",
            hint="see `grants` in the client's file",
        )
    return client


def with_registered(asked: Asked, client: Client | None) -> Asked:
    """The question with its client in it, when that is none of the bundle's: what is decided can be decided again."""
    return asked if client is None else replace(asked, registered=registered_form(client))

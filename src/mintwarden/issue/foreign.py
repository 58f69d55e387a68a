"""A token that another issuer signs, decided here: one question of gate and scopes, one decision, one entry.

After the draft "AuthZEN Profile for OAuth 2.0 Token Issuance" (draft-gazitt-oauth-authzen-issuance). The issuer has
authenticated the client and validated the grant; it signs nothing before it has the answer, and the answer leaves only
when the decision is durable. Rules see that it is not ours: `context.request.method` is `authzen`.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from mintwarden.issue.evaluate import Present, decided
from mintwarden.issue.on_record import record_unresolved
from mintwarden.issue.pipeline import Decided, record_now, with_registered
from mintwarden.issue.question import (
    Evaluation,
    Unanswerable,
    Who,
    ask,
    audience_of,
    principal,
)
from mintwarden.issue.target import MAX_SCOPES, read_target
from mintwarden.issue.unresolved import legible, nowhere
from mintwarden.mint.prepare import CONFINES, cnf
from mintwarden.model.asked import Asked
from mintwarden.model.catalogue import Audience, Client
from mintwarden.model.decision import ScopeDecision
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import decision_text
from mintwarden.model.request import TokenRequest
from mintwarden.model.token import Receipt
from mintwarden.policy.explain import BECAUSE

GATE = "issue:"
"""What the names of gates begin with; no scope that begins so can be asked for in this way."""

CAPABILITY = "urn:ietf:params:authzen:token-issuance"
METHOD = "authzen"
ACCESS = "access_token"


class Item(Struct, frozen=True, kw_only=True):
    """The answer to one evaluation of a request.

    Attributes:
        reason, because: why not.
        context: what else the answer says, beside the reasons.
    """

    granted: bool
    reason: str = ""
    because: str = ""
    context: Mapping[str, Any] = {}


class Issued(Struct, frozen=True, kw_only=True):
    """The answers in order, and the decision behind them; no `decision_id` where none had to be made."""

    items: tuple[Item, ...]
    decision_id: str = ""
    audience: str = ""
    client: str = ""
    granted: bool = False


def is_gate(action: str) -> bool:
    """Does an action ask for the token itself."""
    return action.startswith(GATE)


async def issue_elsewhere(evaluations: Sequence[Evaluation | None], present: Present, *, signer: str) -> Issued:
    """The decision for a token that the client `signer` is about to sign, recorded.

    `evaluations` begin with the gate; None stands for one that could not be read. Raises `INVALID_REQUEST` for a
    request of another shape, `EpochMoved`, and what keeps the decision from being durable.
    """
    gate = evaluations[0] if evaluations else None
    if gate is None or not is_gate(gate.action):
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "the evaluation of the gate comes first")
    scopes = [one for one in evaluations if one is not None and not is_gate(one.action) and _belongs(one, gate)]
    try:
        asked = _asked(gate, scopes, present, signer)
    except Unanswerable as error:
        if error.reason == "unknown_resource":
            await _record_unknown(gate, scopes, present, signer)
        none = Item(granted=False, reason=error.reason, because=error.because)
        return Issued(items=tuple(none for _ in evaluations))
    made = await decided(asked, present)
    receipt = await record_now(made, present.regime, present.line, once=made.used)
    aud = _identifier(gate.resource.id, present.regime.catalogue.audiences[asked.audience])
    return Issued(
        items=tuple(_item(one, gate, made, receipt, audience=aud, named=bool(scopes)) for one in evaluations),
        decision_id=decision_text(made.id),
        audience=asked.audience,
        client=asked.client_id,
        granted=made.decision.granted,
    )


def _asked(gate: Evaluation, scopes: Sequence[Evaluation], present: Present, signer: str) -> Asked:
    catalogue, live = present.regime.catalogue, present.live
    kind, _, grant = gate.action.removeprefix(GATE).partition(":")
    if kind != ACCESS:
        raise Unanswerable("not_decided_here", "access tokens are decided here, and no other kind")
    if gate.resource.type != "audience":
        raise Unanswerable("unknown_resource", "a token is for an `audience`")
    audience = audience_of(gate.resource.id, catalogue)
    context = gate.context
    known = live(context.client_id or (gate.subject.id if gate.subject.type == "client" else ""))
    if known is None:
        raise Unanswerable("unknown_client", "there is no such client")
    subject = principal(gate.subject, live)
    actors = None if context.actors is None else tuple(principal(actor, live) for actor in context.actors)
    if len(actors or ()) > catalogue.max_actors:
        raise Unanswerable("too_many_actors", f"a chain has at most {catalogue.max_actors} actors")
    names = tuple(dict.fromkeys(one.action for one in scopes))
    if len(names) > MAX_SCOPES:
        raise Unanswerable("too_many_scopes", f"at most {MAX_SCOPES} scopes")
    return ask(
        gate,
        known[0],
        Who(subject=subject, actors=actors, asked=subject),
        audience,
        catalogue,
        scopes=names or _defaults(known[0], audience, present),
        live=live,
        grant=grant or "unnamed",
        defaulted=not names,
        method=METHOD,
        signer=signer,
    )


async def _record_unknown(gate: Evaluation, scopes: Sequence[Evaluation], present: Present, signer: str) -> None:
    """An audience that there is not, for a client that there is: recorded as at our own token endpoint."""
    context, live = gate.context, present.live
    known = live(context.client_id or (gate.subject.id if gate.subject.type == "client" else ""))
    try:
        subject = principal(gate.subject, live)
    except Unanswerable:
        return
    if known is None:
        return
    client = known[0]
    asked = Asked(
        grant=legible(gate.action.rpartition(":")[2]),
        client_id=client.id,
        subject=subject,
        audience=nowhere(gate.resource.id, present.regime.catalogue),
        scopes=tuple(dict.fromkeys(legible(one.action) for one in scopes))[:MAX_SCOPES],
        environment=client.environments[0],
        method=METHOD,
        signer=signer,
        unresolved=True,
    )
    await record_unresolved(with_registered(asked, client if known[1] else None), present.line)


def _defaults(client: Client, audience: Audience, present: Present) -> tuple[str, ...]:
    request = TokenRequest(unverified_form={"resource": (audience.identifier,)}, received_at=0)
    try:
        return read_target(request, client, present.regime.catalogue).scopes
    except MintwardenError as error:
        raise Unanswerable("no_scope", error.public) from None


def _belongs(one: Evaluation, gate: Evaluation) -> bool:
    """A token is for one subject and one audience, in one set of circumstances."""
    return one.subject == gate.subject and one.resource == gate.resource and one.context == gate.context


def _identifier(named: str, audience: Audience) -> str:
    """The `aud` to sign: who asks may name the audience by its id in the bundle, which no API knows itself by."""
    return named if named in audience.identifiers else audience.identifier


def _item(
    one: Evaluation | None, gate: Evaluation, made: Decided, receipt: Receipt, *, audience: str, named: bool
) -> Item:
    if one is None:
        return Item(granted=False, reason="invalid_request", because="the evaluation is malformed")
    if not _belongs(one, gate):
        return Item(granted=False, reason="another_token", because="a token is for one subject and one audience")
    if one is gate:
        return _gate_item(made, receipt, audience, named=named)
    if is_gate(one.action):
        because = "access tokens are decided here, once in a request, and no other kind"
        return Item(granted=False, reason="not_decided_here", because=because)
    return _scope_item(next(scope for scope in made.decision.scopes if scope.scope == one.action))


def _gate_item(made: Decided, receipt: Receipt, audience: str, *, named: bool) -> Item:
    decision = made.decision
    context: dict[str, Any] = {
        "decision_id": receipt.decision_id,
        "ledger_leaf": urlsafe_b64encode(receipt.leaf_hash).rstrip(b"=").decode(),
    }
    if not decision.granted or decision.lifetime is None:
        first = _scope_item(decision.scopes[0]) if len(decision.scopes) == 1 else None
        return Item(
            granted=False,
            reason=first.reason if first is not None else "no_scope_granted",
            because=first.because if first is not None else "none of the scopes may be issued",
            context={**(first.context if first is not None else {}), **context},
        )
    issuance: dict[str, Any] = {"token_lifetime": decision.lifetime.seconds, "audience": [audience]}
    # What our own token would carry: the confines too, so that nobody can leave behind what was decided under them.
    claims = {name: value for name in CONFINES if (value := getattr(made.asked, name))}
    claims |= {claim.name: claim.value for claim in decision.claims}
    if decision.binding is not None:
        claims["cnf"] = cnf(decision.binding)
    if claims:
        issuance["claims"] = claims
    if not named:
        issuance["granted_scope"] = " ".join(decision.granted_scopes)
    return Item(granted=True, context={**context, "issuance": issuance})


def _scope_item(scope: ScopeDecision) -> Item:
    if scope.granted:
        return Item(granted=True)
    unmet = [{"name": duty.name, "value": duty.value} for duty in scope.unmet]
    return Item(
        granted=False,
        reason=scope.reason or "",
        because=BECAUSE[scope.reason] if scope.reason else "",
        context={"required": unmet} if unmet else {},
    )

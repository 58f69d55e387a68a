"""Exceptions as members for JSON, and as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mintwarden.app.foundation import Foundation
from mintwarden.app.logs import when
from mintwarden.govern.exceptions import Known
from mintwarden.model.ids import entity_key
from mintwarden.policy.approve.refusal import SignatureRefused
from mintwarden.policy.exception_request import read_approval
from mintwarden.policy.explain_text import spell_seconds
from mintwarden.review.debt import Debt, Owed, day

Told = dict[str, Any]


def told(known: Known) -> Told:
    """One exception with everything about it. Times are RFC 3339; what is empty is left out."""
    request, stored = known.request, known.stored
    members: Told = {
        "id": request.id,
        "state": stored.state,
        "counts": known.counts,
        "principal": entity_key(request.principal),
        "action": request.action,
        "scope": request.scope,
        "audience": request.audience,
        "tier": request.tier,
        "client": request.client,
        "environment": request.environment,
        "waives": list(request.waives),
        "from": when(request.starts_at),
        "until": when(request.expires_at),
        "ends": when(known.ends_at),
        "reason": request.reason,
        "ticket": request.ticket,
        "control": request.control,
        "requester": entity_key(request.requester),
        "requested": when(request.requested_at),
        "against": list(request.against),
        "renews": request.renews,
        "used_before": request.used if request.renews else None,
        "approved_by": approvers_of(known),
        "needed": known.needed,
        "request": request.digest,
        "changed": when(stored.changed_at),
    }
    return {name: value for name, value in members.items() if value not in ("", [], None)}


def approvers_of(known: Known) -> list[str]:
    """The names under the approvals that were taken, whether or not they count now."""
    names = []
    for approval in known.stored.approvals:
        try:
            names.append(read_approval(approval.signature.decode(errors="replace")).name)
        except SignatureRefused:
            names.append("(not readable)")
    return names


def lines_of(members: Mapping[str, Any]) -> Iterator[str]:
    """`told` as lines of text."""
    for name, value in members.items():
        if isinstance(value, bool):
            value = "yes" if value else "no"
        yield f"{name:<12} {', '.join(value) if isinstance(value, list) else value}"


def owed(base: Foundation, known: Known) -> Owed:
    """One exception as the report on debt takes it; the owner is the audience's of now."""
    request = known.request
    audience = base.bundle.catalogue.audiences.get(request.audience)
    return Owed(
        id=request.id,
        owner=audience.owner if audience is not None else f"(no audience {request.audience} any more)",
        tier=request.tier,
        audience=request.audience,
        scope=request.scope,
        principal=entity_key(request.principal),
        state=known.stored.state,
        starts_at=request.starts_at,
        ends_at=known.ends_at,
        renews=request.renews,
        ticket=request.ticket,
    )


def debt_lines(debt: Debt) -> Iterator[str]:
    """The report for people."""
    yield f"exceptions as debt on {when(debt.at)}"
    yield ""
    yield f"open         {len(debt.open)}, of which never used: {len(debt.never_used)}"
    for title, counts in (("by owner", debt.by_owner), ("by tier", debt.by_tier), ("by age", debt.by_age)):
        yield f"{title:<12} {', '.join(f'{name}: {count}' for name, count in counts.items()) or 'none'}"
    yield f"over         {debt.ended_unused} ended without having been used once"
    for one in debt.open:
        yield ""
        yield f"{one.id}  {one.scope} for {one.principal}  ({one.tier}, {one.owner}, {one.ticket})"
        renewed = f", renewed {one.renewals} time{'s' * (one.renewals != 1)}" if one.renewals else ""
        yield f"  {spell_seconds(one.age)} old{renewed}; ends in {spell_seconds(one.left)}"
        last = f", the last at {when(one.last_used_at)}" if one.tokens else ""
        yield f"  tokens: {one.tokens or 'never used'}{last}"
    if debt.burn_down:
        yield ""
        yield "burn-down    open  began  ended"
        for point in _changing(debt):
            yield f"  {day(point.at - 1):<10} {point.open:>5}  {point.began:>5}  {point.ended:>5}"


def _changing(debt: Debt) -> Iterator[Any]:
    """The points at which something happened, and the last."""
    for point in debt.burn_down:
        if point.began or point.ended or point is debt.burn_down[-1]:
            yield point

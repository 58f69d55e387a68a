"""Decisions as the Authorization API spells them (section 5.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mintwarden.issue.evaluate import Verdict
from mintwarden.issue.foreign import Item

MALFORMED = "invalid_request"


def told(verdict: Verdict) -> dict[str, Any]:
    """The answer to a question."""
    context: dict[str, Any] = {}
    if verdict.client:
        context["client_id"] = verdict.client
    if verdict.granted:
        context["token_lifetime"] = verdict.lifetime
    if verdict.unmet:
        context["required"] = [{"name": duty.name, "value": duty.value} for duty in verdict.unmet]
        context |= _step_up(verdict)
    if verdict.bundle:
        context["bundle"] = verdict.bundle
    return _decision(verdict.granted, verdict.reason, verdict.because, context)


def told_item(item: Item) -> dict[str, Any]:
    """The answer to one evaluation of an issuance request."""
    return _decision(item.granted, item.reason, item.because, item.context)


def told_malformed(why: str) -> dict[str, Any]:
    """The answer to an evaluation that could not be read (section 7.2.1)."""
    return {"decision": False, "context": {"error": {"status": 400, "message": why}}}


def _decision(granted: bool, reason: str, because: str, context: Mapping[str, Any]) -> dict[str, Any]:
    reasons = {"reason": reason, "reason_admin": {"en": because}} if reason else {}
    whole = {**reasons, **context}
    return {"decision": granted, "context": whole} if whole else {"decision": granted}


def _step_up(verdict: Verdict) -> dict[str, str]:
    """What the subject's sign-in would have to say, as the specification's own example spells it."""
    spelled = {"require_acr": "acr_values", "require_amr": "amr_values"}
    found: dict[str, str] = {}
    for duty in verdict.unmet:
        name = spelled.get(duty.name)
        if name is not None:
            found[name] = f"{found[name]} {duty.value}" if name in found else duty.value
    return found

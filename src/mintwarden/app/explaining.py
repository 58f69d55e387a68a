"""The explanation of a decision as the story carries it."""

from __future__ import annotations

from typing import Any

from mintwarden.model.asked import Asked
from mintwarden.model.decision import Decision
from mintwarden.model.facts import Facts
from mintwarden.policy.bundle.model import Bundle


def explained(bundle: Bundle, asked: Asked, facts: Facts, at: int, decision: Decision) -> Any:
    """Per scope, what carried or refused it."""
    return [{"scope": s.scope, "granted": s.granted, "route": s.route, "reason": s.reason} for s in decision.scopes]

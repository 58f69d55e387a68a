"""Forbids without a condition: all that they cover is refused, whatever the permits say."""

from __future__ import annotations

from collections.abc import Iterator

from mintwarden.policy.cedar.rules import Rule
from mintwarden.policy.lint.constant import always, demands_of
from mintwarden.policy.lint.finding import Hit, Kind
from mintwarden.policy.lint.subject import Subject


def look(subject: Subject) -> Iterator[Hit]:
    """Forbids whose every condition is constantly true, and that name no principal."""
    for rule in subject.rules:
        if rule.effect == "forbid" and all(always(demand) for demand in demands_of(rule.template)):
            message = f"rule `{rule.id}` refuses {_what(rule)}, always and to everyone"
            yield Hit(rule, message, "give it a condition, or remove what it blocks")


def _what(rule: Rule) -> str:
    if rule.head.scope:
        return f"scope `{rule.head.scope}`"
    if rule.head.detail:
        return f"authorization detail `{rule.head.detail}`"
    if rule.head.audience:
        return f"every scope of audience `{rule.head.audience}`"
    return "every scope"


KIND = Kind(
    id="forbid-blocks-everything", severity="warning", summary="A forbid whose conditions are always true", look=look
)

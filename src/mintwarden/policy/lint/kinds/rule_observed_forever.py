"""Rules that are only observed, and nobody has said until when."""

from __future__ import annotations

from collections.abc import Iterator

from mintwarden.policy.lint.finding import Hit, Kind
from mintwarden.policy.lint.subject import Subject


def look(subject: Subject) -> Iterator[Hit]:
    """Observed rules without an end."""
    for rule in subject.rules:
        if rule.is_observed and rule.observed_until is None:
            message = f"rule `{rule.id}` is only observed, and nothing says until when"
            yield Hit(rule, message, 'add `@observe_until("2026-12-31")`, or let the rule count')


KIND = Kind(
    id="rule-observed-forever", severity="warning", summary="A rule that is only observed, without an end", look=look
)

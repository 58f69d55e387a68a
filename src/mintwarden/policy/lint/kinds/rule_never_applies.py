"""Rules whose conditions contradict each other, the rule's own head or the catalogue."""

from __future__ import annotations

from collections.abc import Iterator

from mintwarden.policy.lint.finding import Hit, Kind
from mintwarden.policy.lint.reach import possible_scopes
from mintwarden.policy.lint.subject import Subject


def look(subject: Subject) -> Iterator[Hit]:
    """Rules that hold for no scope that their heads cover."""
    for rule in subject.rules:
        if next(possible_scopes(subject, rule), None) is None:
            yield Hit(rule, f"rule `{rule.id}` can never apply", "correct the condition that excludes the others")


KIND = Kind(
    id="rule-never-applies", severity="error", summary="A rule whose conditions can never all be true", look=look
)

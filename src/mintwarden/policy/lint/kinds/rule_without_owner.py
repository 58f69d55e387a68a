"""Rules whose owner or reason is only there to satisfy the loader, which refuses rules without any."""

from __future__ import annotations

from collections.abc import Iterator

from mintwarden.policy.lint.finding import Hit, Kind
from mintwarden.policy.lint.placeholder import is_placeholder
from mintwarden.policy.lint.subject import Subject


def look(subject: Subject) -> Iterator[Hit]:
    """Rules whose `@owner` or `@reason` is a placeholder, or whose reason only repeats the id."""
    for rule in subject.rules:
        for name, remedy in (("owner", "name the team that answers for it"), ("reason", "say why it is right")):
            value = rule.annotations.get(name, "")
            if is_placeholder(value) or value.casefold() == rule.id.casefold():
                yield Hit(rule, f"rule `{rule.id}` has no {name}: `{value}`", remedy)


KIND = Kind(id="rule-without-owner", severity="warning", summary="A rule without an owner or a reason", look=look)

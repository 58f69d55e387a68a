"""Exceptions that end soon: somebody will be refused, or will ask for a renewal in a hurry."""

from __future__ import annotations

from collections.abc import Iterator

from mintwarden.policy.bundle.problem import Place
from mintwarden.policy.cedar.render import spell_datetime
from mintwarden.policy.lint.finding import Hit, Kind
from mintwarden.policy.lint.subject import Subject

DAY = 86_400_000
LAST_PART = 5
"""The last fifth of a life is near its end; of a life of more than two days, the last day at least."""


def look(subject: Subject) -> Iterator[Hit]:
    """Exceptions in force that are near their end."""
    for one in subject.exceptions or ():
        left, life = one.ends_at - subject.now, one.ends_at - one.starts_at
        if 0 < left <= max(life // LAST_PART, DAY if life > 2 * DAY else 0):
            message = f"exception {one.id} for `{one.scope}` ends at {spell_datetime(one.ends_at)} ({one.ticket})"
            at = subject.scope(one.scope) if one.scope in subject.catalogue.scopes else Place("bundle.toml")
            yield Hit(at, message, "let it end, write the rule that is missing, or renew it in time")


KIND = Kind(id="exception-near-end", severity="warning", summary="An exception that ends soon", look=look)

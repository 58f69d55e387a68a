"""Sources whose facts never grow too old."""

from __future__ import annotations

from collections.abc import Iterator

from mintwarden.policy.bundle.problem import Place
from mintwarden.policy.lint.finding import Hit, Kind
from mintwarden.policy.lint.subject import Subject


def look(subject: Subject) -> Iterator[Hit]:
    """Sources without `max_age`; the facts of a token are as old as the token, and its issuer bounds that.

    An approval that is given here has an end of its own.
    """
    for source in subject.catalogue.sources.values():
        if not source.max_age and source.kind not in ("token", "approvals"):
            place = Place("sources.toml", ("sources", source.id), is_key=True)
            message = f"facts of source `{source.id}` are taken however old they are"
            yield Hit(place, message, 'add `max_age = "..."`: how late may a change be noticed')


KIND = Kind(id="source-without-age-limit", severity="warning", summary="A source without an age limit", look=look)

"""Claims that no audience takes."""

from __future__ import annotations

from collections.abc import Iterator

from mintwarden.policy.bundle.problem import Place
from mintwarden.policy.lint.finding import Hit, Kind
from mintwarden.policy.lint.subject import Subject


def look(subject: Subject) -> Iterator[Hit]:
    """Claims that are declared and stand in no audience's `[claims]`."""
    taken = {name for audience in subject.catalogue.audiences.values() for name in audience.claims}
    for name in subject.catalogue.claims:
        if name not in taken:
            place = Place("claims.toml", ("claims", name), is_key=True)
            yield Hit(
                place, f"no audience takes the claim `{name}`", "add it to an audience's `[claims]`, or remove it"
            )


KIND = Kind(id="claim-unused", severity="warning", summary="A claim that no audience takes", look=look)

"""Types of authorization details that no client may ask for."""

from __future__ import annotations

from collections.abc import Iterator

from mintwarden.policy.lint.finding import Hit, Kind
from mintwarden.policy.lint.subject import Subject


def look(subject: Subject) -> Iterator[Hit]:
    """Types that are declared and stand in no client's `details`."""
    asked = {name for client in subject.catalogue.clients.values() for name in client.details}
    for name in subject.catalogue.details:
        if name not in asked:
            message = f"no client may ask for authorization detail `{name}`"
            yield Hit(subject.detail(name), message, "add it to a client's `details`, or remove it")


KIND = Kind(
    id="detail-unasked", severity="warning", summary="An authorization detail that no client may ask for", look=look
)

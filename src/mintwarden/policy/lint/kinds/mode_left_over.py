"""Mappings and canaries of audiences that have left them behind."""

from __future__ import annotations

from collections.abc import Iterator

from mintwarden.policy.lint.finding import Hit, Kind
from mintwarden.policy.lint.subject import Subject


def look(subject: Subject) -> Iterator[Hit]:
    """Tables of an enforcing audience, or of one without a canary, that have no effect."""
    for audience in subject.catalogue.audiences.values():
        left = {
            "legacy": audience.legacy,
            "legacy_roles": audience.legacy_roles,
            "legacy_clients": audience.legacy_clients,
        }
        if audience.mode == "enforce":
            for table, mapping in left.items():
                if mapping:
                    message = f"`[{table}]` has no effect: audience `{audience.id}` enforces"
                    yield Hit(subject.audience(audience.id, table).key(), message, "remove it when you are sure")
        returns = audience.downgrade is not None and audience.downgrade.returns == "canary"
        if audience.canary is not None and audience.mode != "canary" and not returns:
            message = f"`[canary]` has no effect: audience `{audience.id}` is not in canary"
            yield Hit(subject.audience(audience.id, "canary").key(), message, "remove it when you are sure")


KIND = Kind(
    id="mode-left-over", severity="warning", summary="A mapping or a canary that an audience has left behind", look=look
)

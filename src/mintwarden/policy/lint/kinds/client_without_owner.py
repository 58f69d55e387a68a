"""Clients for which nobody answers."""

from __future__ import annotations

from collections.abc import Iterator

from mintwarden.policy.lint.finding import Hit, Kind
from mintwarden.policy.lint.placeholder import is_placeholder
from mintwarden.policy.lint.subject import Subject


def look(subject: Subject) -> Iterator[Hit]:
    """Clients whose `owner` is a placeholder."""
    for client in subject.catalogue.clients.values():
        if is_placeholder(client.owner):
            message = f"client `{client.id}` has no owner: `{client.owner}`"
            yield Hit(subject.client(client.id, "owner"), message, "name the team that answers for it")


KIND = Kind(id="client-without-owner", severity="warning", summary="A client without an owner", look=look)

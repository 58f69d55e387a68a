"""People who are not asked about a client that anything on their device could pass for."""

from __future__ import annotations

from collections.abc import Iterator

from mintwarden.model.catalogue import Client
from mintwarden.policy.lint.finding import Hit, Kind
from mintwarden.policy.lint.subject import Subject
from mintwarden.policy.metadata import redirect_kind


def look(subject: Subject) -> Iterator[Hit]:
    """Clients with implicit consent that prove nothing and whose answer any program on the device can take."""
    for client in subject.catalogue.clients.values():
        if client.authorization.consent == "implicit" and _can_be_passed_for(client):
            message = f"nobody is asked about client `{client.id}`, for which any program on the device could pass"
            remedy = "let people be asked, or let it authenticate, or come back to an https address of its own"
            yield Hit(subject.client(client.id, "authorization", "consent"), message, remedy)


def _can_be_passed_for(client: Client) -> bool:
    """RFC 8252 section 8.6: it proves nothing, and the answer goes to loopback or to a scheme that others can claim."""
    return "none" in client.methods and any(redirect_kind(uri) != "https" for uri in client.redirect_uris)


KIND = Kind(
    id="consent-skipped",
    severity="warning",
    summary="People are not asked about a client that others could pass for",
    look=look,
)

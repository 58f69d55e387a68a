"""Codes of attested clients that every instance could redeem, because nothing was proven when they were asked for."""

from __future__ import annotations

from collections.abc import Iterator

from mintwarden.policy.bundle.clients import ATTESTED_METHODS
from mintwarden.policy.lint.finding import Hit, Kind
from mintwarden.policy.lint.subject import Subject


def look(subject: Subject) -> Iterator[Hit]:
    """Clients whose instances are attested, and whose requests need not be pushed.

    Source: draft-ietf-oauth-attestation-based-client-auth, "Binding of OAuth protocol artifacts".
    """
    for client in subject.catalogue.clients.values():
        attested = not set(ATTESTED_METHODS).isdisjoint(client.methods)
        if attested and "authorization_code" in client.grants and not client.authorization.pushed:
            message = f"codes of client `{client.id}` are bound to no instance of it where requests are not pushed"
            remedy = "take `pushed = false` out: then instances prove themselves at `/par`, and codes are theirs"
            yield Hit(subject.client(client.id, "authorization", "pushed"), message, remedy)


KIND = Kind(
    id="instance-unbound",
    severity="warning",
    summary="Codes of an attested client that are bound to no instance",
    look=look,
)

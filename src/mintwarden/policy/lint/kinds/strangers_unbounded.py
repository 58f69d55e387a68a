"""Doors that stand open to clients of anybody: chosen on purpose, and by somebody who answers for it."""

from __future__ import annotations

from collections.abc import Iterator

from mintwarden.policy.bundle.problem import Place
from mintwarden.policy.lint.finding import Hit, Kind
from mintwarden.policy.lint.subject import Subject

_FILE = "bundle.toml"


def look(subject: Subject) -> Iterator[Hit]:
    """Documents of any host, and registration by anybody who brings neither a token nor a statement."""
    documents, registration = subject.catalogue.documents, subject.catalogue.open_registration
    if documents is not None and "*" in documents.hosts:
        place = Place(_FILE, ("client_id_metadata", "hosts", documents.hosts.index("*")))
        message = "whoever has a web server may describe a client: `hosts` is any host"
        yield Hit(place, message, "name the hosts, or `*.` and a domain, whose clients are wanted")
    if registration is not None and registration.to == "anyone" and not registration.statement_required:
        place = Place(_FILE, ("open_registration", "to"))
        remedy = 'write `to = "initial_access_token"`, or `statement_required = true` with publishers'
        yield Hit(place, "anybody may register a client, with nothing that speaks for it", remedy)


KIND = Kind(
    id="strangers-unbounded",
    severity="warning",
    summary="Clients that anybody may introduce",
    look=look,
)

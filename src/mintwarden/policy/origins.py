"""Pages whose scripts are clients that stand beside the bundle: which of them may read what we answer. Pure.

A page keeps no secret, so that only public clients have any. Those that register themselves have the origins of their
redirect URIs: people are sent there anyhow. Of those that describe themselves nothing is kept, and a browser asks
before any of them has come: theirs are the hosts whose documents the bundle has read, where it names them.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from mintwarden.model.catalogue import Catalogue, Client, ClientDocuments, OpenRegistration
from mintwarden.policy.hosts import ANY, host_of, may_describe

HTTPS = 443


def page_origins(bounds: ClientDocuments | OpenRegistration, client: Client) -> tuple[str, ...]:
    """The origins of a client, as a browser writes them (RFC 6454 section 6.2), where the bundle lets it have any."""
    if not bounds.origins or not _is_page(client.methods, client.grants):
        return ()
    found = []
    for uri in client.redirect_uris:
        parts = urlsplit(uri)
        if parts.scheme == "https" and parts.hostname:
            host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            port = "" if parts.port in (None, HTTPS) else f":{parts.port}"
            found.append(f"https://{host}{port}")
    return tuple(dict.fromkeys(found))


def is_described(catalogue: Catalogue, origin: str) -> bool:
    """Whether a page of that origin may be a client that describes itself.

    INVARIANT: a host that the bundle does not name is none, also where documents of any host are read.
    """
    bounds = catalogue.documents
    if bounds is None or not bounds.origins or ANY in bounds.hosts or not origin.startswith("https://"):
        return False
    return _is_page(bounds.methods, bounds.grants) and may_describe(bounds, host_of(f"{origin}/"))


def _is_page(methods: tuple[str, ...], grants: tuple[str, ...]) -> bool:
    return "none" in methods and "authorization_code" in grants

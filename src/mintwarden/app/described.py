"""Clients that describe themselves, in this deployment."""

from __future__ import annotations

import functools
from urllib.parse import urlsplit

from msgspec.structs import replace

from mintwarden.app.dangers import is_loopback
from mintwarden.app.foundation import Foundation
from mintwarden.app.proofs import sees_certificates
from mintwarden.authn.documents import DescribedClients, Documents
from mintwarden.authn.fetch import GuardedFetcher
from mintwarden.authn.throttle import A_MINUTE, Throttle
from mintwarden.model.catalogue import Catalogue
from mintwarden.policy.documents import described, read_document, why_not_url


def client_documents(base: Foundation) -> Documents:
    """What is known of their documents; nothing of it belongs to a bundle version."""
    local = _is_local(base)
    # On loopback everybody is at one address, and so is every client.
    limits = replace(A_MINUTE, site=(A_MINUTE.host,) * 2, organisation=(A_MINUTE.host,) * 2) if local else A_MINUTE
    return Documents(fetcher=GuardedFetcher(development=local), read=read_document, throttle=Throttle(limits))


def described_clients(base: Foundation, catalogue: Catalogue, documents: Documents) -> DescribedClients | None:
    """Those that a bundle version admits; None where it lets none describe itself."""
    if catalogue.documents is None:
        return None
    return DescribedClients(
        documents,
        unfit=functools.partial(why_not_url, catalogue, local=_is_local(base)),
        admit=functools.partial(described, catalogue, certificates=sees_certificates(base.config)),
    )


def _is_local(base: Foundation) -> bool:
    """Is this a development server that itself is on loopback: then clients may be there, too."""
    return base.config.server.dev and is_loopback(urlsplit(base.issuer).hostname or "")

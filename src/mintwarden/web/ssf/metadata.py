"""What the transmitter says about itself (SSF 1.0 section 7.1)."""

from __future__ import annotations

from typing import Final

from mintwarden.feeds.streams import METHODS
from mintwarden.web.discovery import base_of, path_of

WELL_KNOWN: Final = "/.well-known/ssf-configuration"
VERSION: Final = "1_0"
OAUTH: Final = "urn:ietf:rfc:6749"
POLL: Final = "/ssf/poll/"
"""Below it, each stream has its own address by its id."""
PATHS: Final = {
    "configuration_endpoint": "/ssf/stream",
    "status_endpoint": "/ssf/status",
    "add_subject_endpoint": "/ssf/subjects/add",
    "remove_subject_endpoint": "/ssf/subjects/remove",
    "verification_endpoint": "/ssf/verify",
}
"""Each endpoint's metadata parameter and its path below the issuer."""


def metadata_path(issuer: str) -> str:
    """Where the document is: the well-known part stands between the host and the issuer's own path."""
    return WELL_KNOWN + path_of(issuer)


def describe_transmitter(issuer: str) -> dict[str, object]:
    """The document. Every subject is in a new stream: whoever may have a stream may hear of everybody."""
    base = base_of(issuer)
    return {
        "spec_version": VERSION,
        "issuer": issuer,
        "jwks_uri": f"{base}/jwks.json",
        "delivery_methods_supported": list(METHODS),
        **{parameter: base + path for parameter, path in PATHS.items()},
        "authorization_schemes": [{"spec_urn": OAUTH}],
        "default_subjects": "ALL",
    }

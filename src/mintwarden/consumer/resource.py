"""What a protected resource says of itself: OAuth 2.0 Protected Resource Metadata (RFC 9728)."""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
DPOP_ALGORITHMS: Final = ("ES256", "ES384", "EdDSA", "PS256")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_LOCAL = ("localhost", "127.0.0.1", "::1")


class ProtectedResource(Struct, frozen=True, kw_only=True):
    """An API or MCP server.

    Attributes:
        resource: its identifier, exactly as it stands in the catalogue and in `aud`: an https URL without fragment.
        authorization_servers: issuer identifiers.
        scopes: those that it knows; not `offline_access`, which is no scope of a resource.
        name, documentation: for people.
        dpop: it takes DPoP-bound tokens; `dpop_required`: no others.
        certificates: it takes tokens that are bound to a client's certificate.
    """

    resource: str
    authorization_servers: tuple[str, ...]
    scopes: tuple[str, ...] = ()
    name: str = ""
    documentation: str = ""
    dpop: bool = True
    dpop_required: bool = False
    certificates: bool = False

    def __post_init__(self) -> None:
        """Raise `ValueError` for what RFC 9728 or RFC 6749 does not allow."""
        for url in (self.resource, *self.authorization_servers):
            _check_url(url)
        if not self.authorization_servers:
            raise ValueError("a protected resource needs an authorization server")
        if "offline_access" in self.scopes:
            raise ValueError("`offline_access` is not a scope of a resource")
        if not all(_SCOPE.fullmatch(scope) for scope in self.scopes):
            raise ValueError("a scope has characters that none may have (RFC 6749 section 3.3)")
        if self.dpop_required and not self.dpop:
            raise ValueError("what is not taken cannot be required")

    @property
    def metadata_path(self) -> str:
        """Where the document is served: between host and path of the resource (RFC 9728 section 3.1)."""
        path = urlsplit(self.resource).path
        return WELL_KNOWN + ("" if path == "/" else path)

    @property
    def metadata_url(self) -> str:
        """The document's address, as `resource_metadata` of a challenge."""
        parts = urlsplit(self.resource)
        query = f"?{parts.query}" if parts.query else ""
        return f"{parts.scheme}://{parts.netloc}{self.metadata_path}{query}"

    def document(self) -> dict[str, object]:
        """The metadata (section 2); what is empty is left out (section 3.2)."""
        content: dict[str, object] = {
            "resource": self.resource,
            "authorization_servers": list(self.authorization_servers),
            "scopes_supported": list(self.scopes),
            "bearer_methods_supported": ["header"],
            "resource_name": self.name,
            "resource_documentation": self.documentation,
            "dpop_signing_alg_values_supported": list(DPOP_ALGORITHMS) if self.dpop else [],
        }
        if self.dpop_required:
            content["dpop_bound_access_tokens_required"] = True
        if self.certificates:
            content["tls_client_certificate_bound_access_tokens"] = True
        return {name: value for name, value in content.items() if value not in ("", [])}

    def encoded(self) -> bytes:
        """The document as it is sent, `application/json`."""
        return json.dumps(self.document()).encode()


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    plain = parts.scheme == "http" and parts.hostname in _LOCAL
    good = url.isascii() and url.isprintable() and not any(character in url for character in ' "\\<>')
    if not good or not (parts.scheme == "https" or plain) or not parts.hostname or "#" in url or "@" in parts.netloc:
        raise ValueError(f"`{url}` is not an https URL without fragment (http on loopback alone)")

"""Clients that describe themselves in a document at the URL that is their id (OAuth Client ID Metadata Document).

What such a document may say at all, and what of it the bundle's `[client_id_metadata]` lets the client be. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from mintwarden.model.catalogue import Catalogue, Client, ClientDocuments
from mintwarden.model.metadata import ClientMetadata
from mintwarden.policy.hosts import host_of, may_describe, path_of
from mintwarden.policy.metadata import MetadataRefused, read_metadata, redirect_kind
from mintwarden.policy.open_registration import client_from

LONGEST_ID = 256
"""Characters; as for the id of any other client."""

_DOTS = re.compile(r"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)
_SECRETS = ("client_secret", "client_secret_expires_at")


def why_not_url(catalogue: Catalogue, url: str, *, local: bool = False) -> str:
    """Why nothing is fetched for a client of that id, in words, or nothing. `local`: this is a server on loopback.

    The URL is compared as a string, so that only one spelling of it is taken: small letters in scheme and host.
    """
    if catalogue.documents is None:
        return "the bundle lets no client describe itself"
    path = path_of(url)
    if not path or len(url) > LONGEST_ID or _DOTS.search(path):
        return "the client id is not an https URL with a path, without dot segments, query or fragment"
    host = host_of(url)
    if url.startswith("http:") and not (local and host in ("localhost", "127.0.0.1", "[::1]")):
        return "the client id is not an https URL"
    return "" if may_describe(catalogue.documents, host) else f"documents at `{host}` are not read"


def read_document(url: str, document: Mapping[str, Any]) -> ClientMetadata:
    """The metadata in the document at `url`. Raises `MetadataRefused` for one that no bundle could take."""
    if document.get("client_id") != url:
        raise MetadataRefused("invalid_client_metadata", "`client_id` is not the document's own address")
    for name in _SECRETS:
        if name in document:
            raise MetadataRefused("invalid_client_metadata", f"`{name}` has no place in a public document")
    # What a document that says nothing would mean (`client_secret_basic`) is out of the question here.
    metadata = read_metadata(document, method="none")
    if metadata.method not in ("none", "private_key_jwt"):
        raise MetadataRefused(
            "invalid_client_metadata", f"`{metadata.method}` is no way for this client to authenticate"
        )
    if metadata.method == "private_key_jwt" and not (metadata.jwks or metadata.jwks_uri):
        raise MetadataRefused("invalid_client_metadata", "`private_key_jwt` needs `jwks` or `jwks_uri`")
    if metadata.method == "none" and "client_credentials" in metadata.grant_types:
        raise MetadataRefused("invalid_client_metadata", "`client_credentials` needs a client that authenticates")
    return metadata


def described(catalogue: Catalogue, url: str, metadata: ClientMetadata, *, certificates: bool = True) -> Client:
    """The client that `metadata` describes, as this bundle admits it. Raises `MetadataRefused` where it does not.

    `certificates`: the server sees those of its clients.

    Grants, scopes, types of authorization details and, as wholes, what comes after signing out are cut where the bundle
    does not allow them; a way to authenticate, a redirect URI or a place for keys
    that it does not allow ends the client.
    """
    bounds = catalogue.documents
    if bounds is None or not may_describe(bounds, host_of(url)):
        raise MetadataRefused("invalid_client_metadata", "the bundle lets no such client describe itself")
    after = metadata.post_logout_redirect_uris if bounds.post_logout_redirects else ()
    for uri in (*metadata.redirect_uris, *after):
        _check_redirect(bounds, url, uri)
    if metadata.jwks_uri and not may_describe(bounds, (urlsplit(metadata.jwks_uri).hostname or "").lower()):
        raise MetadataRefused("invalid_client_metadata", "`jwks_uri` is at a host of which nothing is read")
    if metadata.notified_at and not may_describe(bounds, (urlsplit(metadata.notified_at).hostname or "").lower()):
        raise MetadataRefused(
            "invalid_client_metadata",
            "`backchannel_client_notification_endpoint` is at a host of which nothing is read",
        )
    named = replace(metadata, name=metadata.name or host_of(url))
    return client_from(catalogue, bounds, url, named, certificates=certificates)


def _check_redirect(bounds: ClientDocuments, url: str, uri: str) -> None:
    kind = redirect_kind(uri)
    same = kind == "https" and urlsplit(uri).netloc.lower() == urlsplit(url).netloc
    if kind not in bounds.redirects and not (same and "same_host" in bounds.redirects):
        raise MetadataRefused("invalid_redirect_uri", f"`{uri[:200]}` is no address that the bundle lets it have")

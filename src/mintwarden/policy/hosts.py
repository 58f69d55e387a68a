"""Whose documents about clients are read: the hosts in their ids. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mintwarden.model.catalogue import ClientDocuments

_URL = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?(/[!$-;=@-Z_a-z~]*)", re.ASCII)

ANY = "*"
"""Names every host."""


def host_of(url: str) -> str:
    """The host of a client id that is a URL, without its port; empty for any other."""
    found = _URL.fullmatch(url)
    return found[1] if found is not None else ""


def path_of(url: str) -> str:
    """The path of a client id that is a URL; empty for one that is none, or has a query, a fragment or credentials."""
    found = _URL.fullmatch(url)
    return found[2] if found is not None else ""


def may_describe(bounds: ClientDocuments, host: str) -> bool:
    """Whether the bundle has documents of that host read."""
    return bool(host) and _among(host, bounds.hosts) and not _among(host, bounds.excluded)


def _among(host: str, patterns: Iterable[str]) -> bool:
    return any(
        pattern in (ANY, host) or (pattern.startswith("*.") and host.endswith(pattern[1:]) and host != pattern[1:])
        for pattern in patterns
    )

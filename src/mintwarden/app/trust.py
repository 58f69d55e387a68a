"""How this deployment reaches the issuers that the bundle trusts, and what it remembers of them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from mintwarden.app.config import Config
from mintwarden.app.foundation import Foundation
from mintwarden.authn.fetch import GuardedFetcher
from mintwarden.authn.issuers.federation import KIND, ShelvedBundles
from mintwarden.authn.issuers.keys import KeyFinder
from mintwarden.authn.ports import KeptBundle
from mintwarden.authn.shelf import Shelf
from mintwarden.model.catalogue import TrustedIssuer

_REMEDY: Final = "one of your own is named in `networks` of its `[trusted_issuers]`"


def key_finder(base: Foundation) -> KeyFinder:
    """What finds the keys of trusted issuers. The latest SPIFFE bundles are remembered for all nodes."""
    config = base.config
    fetcher = guarded(config, remedy=_REMEDY)
    own = {
        iss: guarded(config, reach.networks, remedy=_REMEDY)
        for iss, reach in config.trusted_issuers.items()
        if reach.networks
    }
    bundles = ShelvedBundles(Shelf(KIND, KeptBundle, states=base.store.states, seal=base.master))
    return KeyFinder(fetcher=fetcher, proven=fetcher, bundles=bundles, own=own)


def guarded(config: Config, networks: Iterable[str] = (), *, remedy: str = "") -> GuardedFetcher:
    """A way out to public addresses, and to these networks of the operator's own; `remedy` where more are named."""
    permitted = [ipaddress.ip_network(network) for network in networks]
    return GuardedFetcher(development=config.server.dev, permitted=permitted, remedy=remedy)


def reached(issuer: TrustedIssuer, config: Config) -> TrustedIssuer:
    """The issuer, its keys found where this deployment reaches them."""
    reach = config.trusted_issuers.get(issuer.issuer)
    if reach is None or not reach.jwks_uri:
        return issuer
    return replace(issuer, keys="bundle" if issuer.keys == "bundle" else "jwks_uri", jwks_uri=reach.jwks_uri)

"""How this deployment reaches the issuers that the bundle trusts, and what it remembers of them."""

from __future__ import annotations

from msgspec.structs import replace

from mintwarden.app.config import Config
from mintwarden.app.foundation import Foundation
from mintwarden.authn.fetch import GuardedFetcher
from mintwarden.authn.issuers.federation import KIND, ShelvedBundles
from mintwarden.authn.issuers.keys import KeyFinder
from mintwarden.authn.ports import KeptBundle
from mintwarden.authn.shelf import Shelf
from mintwarden.model.catalogue import TrustedIssuer


def key_finder(base: Foundation) -> KeyFinder:
    """What finds the keys of trusted issuers. The latest SPIFFE bundles are remembered for all nodes."""
    fetcher = GuardedFetcher(development=base.config.server.dev)
    bundles = ShelvedBundles(Shelf(KIND, KeptBundle, states=base.store.states, seal=base.master))
    return KeyFinder(fetcher=fetcher, proven=fetcher, bundles=bundles)


def reached(issuer: TrustedIssuer, config: Config) -> TrustedIssuer:
    """The issuer, its keys found where this deployment reaches them."""
    reach = config.trusted_issuers.get(issuer.issuer)
    if reach is None:
        return issuer
    return replace(issuer, keys="bundle" if issuer.keys == "bundle" else "jwks_uri", jwks_uri=reach.jwks_uri)

"""Who is reached in networks of the operator's own: issuers that are named for it, and clients of the bundle."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from mintwarden.app.config import Config, NoticesConfig, TrustedIssuerConfig
from mintwarden.app.posting import way_to
from mintwarden.app.trust import guarded, reached
from mintwarden.authn.fetch import GuardedFetcher
from mintwarden.model.catalogue import TrustedIssuer
from mintwarden.model.errors import MintwardenError

K8S = TrustedIssuer(id="k8s", issuer="https://10.96.0.1", keys="discovery", audiences=("a",), principal="Workload")
INSIDE = ("10.96.0.0/12",)


async def why(fetcher: GuardedFetcher, url: str) -> str:
    """The hint of the refusal; a connection is never begun where the address is refused."""
    with pytest.raises(MintwardenError) as caught:
        await fetcher.get(url)
    return caught.value.hint


def test_networks_alone_leave_an_issuers_keys_where_they_are_found():
    config = Config(trusted_issuers={K8S.issuer: TrustedIssuerConfig(networks=INSIDE)})
    assert reached(K8S, config) == K8S
    both = Config(trusted_issuers={K8S.issuer: TrustedIssuerConfig(networks=INSIDE, jwks_uri="https://10.96.0.1/keys")})
    assert (reached(K8S, both).keys, reached(K8S, both).jwks_uri) == ("jwks_uri", "https://10.96.0.1/keys")


async def test_a_refused_address_says_where_networks_are_named():
    remedy = "one of your own is named in `networks` of its `[trusted_issuers]`"
    assert remedy in await why(guarded(Config(), remedy=remedy), "https://10.96.0.1/keys")
    assert "is not public" in await why(guarded(Config(), INSIDE), "https://192.168.0.1/keys")


async def test_only_clients_of_the_bundle_are_told_in_networks_of_our_own():
    catalogue = SimpleNamespace(clients={"web": object()})
    governing = SimpleNamespace(current=SimpleNamespace(bundle=SimpleNamespace(catalogue=catalogue)))
    way = way_to(Config(notices=NoticesConfig(networks=("10.0.0.0/8",))), cast("Any", governing))
    stranger = "https://app.example/client"
    assert "is not public" in await why(way(stranger), "https://10.1.2.3/told")
    assert "notices.networks" in await why(way("web"), "https://192.168.0.1/told")
    assert "notices.networks" not in await why(way(stranger), "https://192.168.0.1/told")
    governing.current.bundle.catalogue.clients = {}
    assert way("web") is way(stranger), "whoever left the bundle is a stranger"


async def test_a_client_of_the_bundle_is_called_in_the_networks_that_are_named():
    catalogue = SimpleNamespace(clients={"web": object()})
    governing = SimpleNamespace(current=SimpleNamespace(bundle=SimpleNamespace(catalogue=catalogue)))
    way = way_to(Config(notices=NoticesConfig(networks=("10.0.0.0/8",))), cast("Any", governing))
    inside = way("web")
    assert [str(network) for network in inside._permitted] == ["10.0.0.0/8"]
    assert way("https://app.example/client")._permitted == ()

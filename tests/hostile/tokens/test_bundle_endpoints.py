"""Endpoints of SPIFFE bundles that are not who they must prove to be (SPIFFE Federation, `https_spiffe`)."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from msgspec.structs import replace

from mintwarden.authn.issuers.federation import ShelvedBundles, serves_itself
from mintwarden.authn.issuers.keys import FLOOR, FRESH, LAST_GOOD, KeyFinder
from mintwarden.authn.ports import KeptBundle, Prove
from mintwarden.authn.shelf import Shelf
from mintwarden.authn.svid import Svid, read_svid
from mintwarden.mint.master import LocalMasterKey
from mintwarden.model.catalogue import TrustedIssuer
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.store import open_store
from tests.flow.pki import FOR_CLIENTS, FOR_SERVERS, Pair, certificate
from tests.hostile.tokens.forge import NOW_S, jwk

NOW = NOW_S * 1000
AT = datetime.datetime.fromtimestamp(NOW_S, datetime.UTC)
DOMAIN, PARENT = "spiffe://mesh.example", "spiffe://root.example"
SERVER, ABOVE = f"{DOMAIN}/spire/server", f"{PARENT}/bundles"
URL, UP = "https://bundles.example/mesh", "https://bundles.example/root"
BOTH = (FOR_CLIENTS, FOR_SERVERS)


def authority(**more: Any) -> Pair:
    return certificate("O=SPIFFE", authority=True, now=AT, **{"days": (-1, 900), **more})


ROOT, NEXT, STRANGER, PARENTS = authority(), authority(), authority(), authority()


def svid(by: Pair, name: str = SERVER, **more: Any) -> Pair:
    uris = [x509.UniformResourceIdentifier(name)] if name else []
    settings = {"names": uris, "signs": True, "uses": BOTH, "days": (-1, 800), **more}
    return certificate("O=SPIRE", by, now=AT, **settings)


def b64(pair: Pair) -> str:
    return base64.b64encode(pair.der).decode()


def bundle(*authorities: Pair, sequence: Any = 1, **more: Any) -> dict[str, Any]:
    keys = [
        jwk("one", use="jwt-svid"),
        *({"use": "x509-svid", "kty": "EC", "x5c": [b64(each)]} for each in authorities),
    ]
    return {"keys": keys, "spiffe_sequence": sequence, **more}


def issuer(**more: Any) -> TrustedIssuer:
    settings: dict[str, Any] = {"endpoint_spiffe_id": SERVER, "endpoint_authorities": (b64(ROOT),), **more}
    return TrustedIssuer(
        id="mesh",
        issuer=DOMAIN,
        profile="spiffe",
        keys="bundle",
        jwks_uri=URL,
        audiences=("a",),
        principal="Workload",
        **settings,
    )


class Endpoints:
    """Servers by URL: what each shows in TLS, and what it then serves. Counts who was asked for something."""

    def __init__(self, shows: Pair, serves: Any, *chain: Pair) -> None:
        self.servers: dict[str, tuple[Pair, Sequence[Pair], Any]] = {URL: (shows, chain, serves)}
        self.asked = 0

    def turn(self, shows: Pair, serves: Any, *chain: Pair, url: str = URL) -> None:
        self.servers[url] = (shows, chain, serves)

    async def fetch(self, url: str) -> bytes:
        raise AssertionError(f"{url} was fetched by the name of its host")

    async def fetch_proven(self, url: str, prove: Prove) -> bytes:
        shows, chain, serves = self.servers[url]
        prove(shows.der, [pair.der for pair in chain])
        self.asked += 1
        return json.dumps(serves).encode()


def finder(endpoints: Endpoints, *issuers: TrustedIssuer, bundles: ShelvedBundles | None = None) -> KeyFinder:
    return KeyFinder(fetcher=endpoints, proven=endpoints, bundles=bundles).under(issuers)


def shown(by: Pair, *chain: Pair) -> Svid:
    return read_svid(svid(by, f"{DOMAIN}/pay").der, [pair.der for pair in chain])


async def stands(found: KeyFinder, by: Pair, now: int = NOW, of: TrustedIssuer | None = None) -> bool:
    """Whether the trust domain's bundle, as it can be had now, stands for a workload of that authority."""
    workload = shown(by)
    return (await found.find_authorities(of or issuer(), workload, now)).stand_for(workload, now)


async def unavailable(found: KeyFinder, now: int = NOW, of: TrustedIssuer | None = None) -> bool:
    try:
        await found.find_authorities(of or issuer(), shown(ROOT), now)
    except MintwardenError as error:
        return error.kind is ErrorKind.UNAVAILABLE
    return False


async def test_an_endpoint_is_known_by_the_authorities_of_its_file_at_first() -> None:
    endpoints = Endpoints(svid(ROOT), bundle(ROOT))
    assert serves_itself(issuer())
    assert await stands(finder(endpoints), ROOT)
    inner = certificate("O=SPIFFE,CN=inner", ROOT, authority=True, signs=False, now=AT)
    assert await stands(finder(Endpoints(svid(inner), bundle(ROOT), inner)), ROOT), "with an intermediate authority"


WRONG: dict[str, Callable[[], tuple[Pair, ...]]] = {
    "another workload of the trust domain": lambda: (svid(ROOT, f"{DOMAIN}/pay"),),
    "a workload whose name begins alike": lambda: (svid(ROOT, f"{SERVER}/2"),),
    "the same workload of another trust domain": lambda: (svid(ROOT, f"{PARENT}/spire/server"),),
    "the endpoint, by another authority": lambda: (svid(STRANGER),),
    "the endpoint, by an authority that it brings itself": lambda: (svid(STRANGER), STRANGER),
    "a server of the web": lambda: (certificate("CN=bundles.example", ROOT, now=AT, uses=[FOR_SERVERS],
                                                names=[x509.DNSName("bundles.example")], signs=True),),
    "itself": lambda: (certificate("O=SPIRE", now=AT, names=[x509.UniformResourceIdentifier(SERVER)], signs=True),),
    "an endpoint that has ended": lambda: (svid(ROOT, days=(-9, -1)),),
    "an endpoint of tomorrow": lambda: (svid(ROOT, days=(1, 9)),),
    "a client": lambda: (svid(ROOT, uses=[FOR_CLIENTS]),),
    "an authority": lambda: (ROOT,),
    "an authority that is called like the endpoint": lambda: (svid(ROOT, authority=True, signs=False),),
    "below a workload": lambda: (svid(OTHER := svid(ROOT, f"{DOMAIN}/pay")), OTHER),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
async def test_nothing_is_asked_of_a_server_that_is(name: str) -> None:
    shows, *chain = WRONG[name]()
    endpoints = Endpoints(shows, bundle(STRANGER), *chain)
    assert await unavailable(finder(endpoints))
    assert endpoints.asked == 0


async def test_later_it_is_known_by_its_latest_bundle_and_never_again_by_its_file() -> None:
    endpoints = Endpoints(svid(ROOT), bundle(ROOT, NEXT))
    found = finder(endpoints)
    assert await stands(found, ROOT)
    endpoints.turn(svid(NEXT), bundle(NEXT, sequence=2))
    assert not await stands(found, ROOT, NOW + FRESH), "withdrawn"
    endpoints.turn(svid(ROOT), bundle(ROOT, sequence=3))  # whoever holds the key that was withdrawn
    assert not await stands(found, ROOT, NOW + 2 * FRESH)
    assert endpoints.asked == 2
    assert await unavailable(found, NOW + 2 * FRESH + LAST_GOOD), "what is known grows old"
    endpoints.turn(svid(NEXT), bundle(NEXT, sequence=4))
    assert await stands(found, NEXT, NOW + 3 * FRESH + LAST_GOOD), "and is still what the endpoint is known by"


async def test_who_serves_only_others_is_known_by_the_present_bundle_of_its_own_trust_domain() -> None:
    above = replace(
        issuer(endpoint_spiffe_id=f"{PARENT}/server", endpoint_authorities=(b64(PARENTS),)),
        id="root", issuer=PARENT, jwks_uri=UP,
    )  # fmt: skip
    mesh = issuer(endpoint_spiffe_id=ABOVE, endpoint_authorities=())
    endpoints = Endpoints(svid(PARENTS, ABOVE), bundle(ROOT))
    endpoints.turn(svid(PARENTS, f"{PARENT}/server"), bundle(PARENTS), url=UP)
    found = finder(endpoints, above, mesh)
    assert await stands(found, ROOT, of=mesh)
    assert not await stands(found, PARENTS, of=mesh), "whoever serves a bundle vouches for nobody in it"
    moved = authority()
    endpoints.turn(svid(PARENTS, f"{PARENT}/server"), bundle(moved, sequence=2), url=UP)
    endpoints.turn(svid(ROOT, ABOVE), bundle(STRANGER, sequence=2))  # the trust domain whose bundle it is
    assert not await stands(found, STRANGER, NOW + FRESH, of=mesh)
    endpoints.turn(svid(PARENTS, ABOVE), bundle(STRANGER, sequence=2))  # an authority that was withdrawn
    assert not await stands(found, STRANGER, NOW + 2 * FRESH, of=mesh)
    endpoints.turn(svid(moved, ABOVE), bundle(NEXT, sequence=2))
    assert await stands(found, NEXT, NOW + 3 * FRESH, of=mesh)


async def test_who_vouches_for_nobody_but_each_other_is_asked_for_nothing() -> None:
    one = issuer(endpoint_spiffe_id=ABOVE, endpoint_authorities=())
    other = replace(one, id="root", issuer=PARENT, jwks_uri=UP, endpoint_spiffe_id=SERVER)
    endpoints = Endpoints(svid(PARENTS, ABOVE), bundle(ROOT))
    endpoints.turn(svid(ROOT), bundle(PARENTS), url=UP)
    assert await unavailable(finder(endpoints, one, other), of=one)
    assert await unavailable(finder(endpoints, one), of=one), "nor where the other is not known"
    assert endpoints.asked == 0


async def test_a_bundle_that_comes_before_the_known_one_is_not_taken() -> None:
    for sequence, taken in ((6, True), (5, True), (4, False), (0, False), ("4", True), (True, True), (None, True)):
        endpoints = Endpoints(svid(ROOT), bundle(ROOT, sequence=5))
        found = finder(endpoints)
        assert await stands(found, ROOT)
        endpoints.turn(svid(ROOT), bundle(NEXT, sequence=sequence))
        assert await stands(found, NEXT, NOW + FRESH) is taken, sequence
    endpoints.turn(svid(NEXT), bundle(ROOT, sequence=9))
    assert await stands(found, ROOT, NOW + 2 * FRESH)
    endpoints.turn(svid(ROOT), bundle(NEXT, sequence=1))
    assert not await stands(found, NEXT, NOW + 2 * FRESH + FLOOR)
    # A trust domain that was set up anew begins to count anew.
    assert await stands(found, NEXT, NOW + 3 * FRESH + LAST_GOOD + 1)


@pytest.fixture
async def bundles(tmp_path: Path) -> AsyncIterator[ShelvedBundles]:
    store = await open_store(f"sqlite:///{tmp_path}/store.db", create=True)
    yield ShelvedBundles(Shelf("spiffe_bundle", KeptBundle, states=store.states, seal=SEAL))
    await store.close()


SEAL = LocalMasterKey(bytes(32), random_bytes=bytes)


async def test_the_latest_bundle_is_remembered_for_every_node_and_restart(bundles: ShelvedBundles) -> None:
    endpoints = Endpoints(svid(ROOT), bundle(ROOT, NEXT))
    here, there = finder(endpoints, bundles=bundles), finder(endpoints, bundles=bundles)
    assert await stands(here, ROOT)
    assert await stands(there, ROOT)
    endpoints.turn(svid(NEXT), bundle(NEXT, sequence=2))
    assert await stands(here, NEXT, NOW + FRESH)
    third = authority()
    endpoints.turn(svid(NEXT), bundle(third, sequence=3))
    assert await stands(here, third, NOW + 2 * FRESH)
    endpoints.turn(svid(third), bundle(third, sequence=4))
    assert await stands(there, third, NOW + 3 * FRESH), "a node that has slept over two of them"
    restarted = finder(endpoints, bundles=bundles)
    assert await stands(restarted, third, NOW + 3 * FRESH)
    endpoints.turn(svid(ROOT), bundle(ROOT, sequence=5))
    assert await unavailable(finder(endpoints, bundles=bundles), NOW + 4 * FRESH), "what the file says is over"
    endpoints.turn(svid(third), bundle(ROOT, sequence=1))
    assert await unavailable(finder(endpoints, bundles=bundles), NOW + 4 * FRESH), "and so is an earlier bundle"
    told = issuer(endpoint_authorities=(b64(STRANGER),))
    endpoints.turn(svid(STRANGER), bundle(STRANGER))
    assert await stands(finder(endpoints, bundles=bundles), STRANGER, NOW + 4 * FRESH, of=told), "told otherwise"


async def test_what_cannot_be_read_vouches_for_nobody() -> None:
    for junk in ("", "!!", base64.b64encode(b"junk").decode()):
        endpoints = Endpoints(svid(ROOT), bundle(ROOT))
        assert await unavailable(finder(endpoints), of=issuer(endpoint_authorities=(junk,)))
        assert endpoints.asked == 0
    junk_bundles: tuple[Any, ...] = ([], {"keys": 1}, {"spiffe_sequence": 1})
    for serves in junk_bundles:
        assert await unavailable(finder(Endpoints(svid(ROOT), serves)))

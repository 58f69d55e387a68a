"""Clients that describe themselves, as an attacker would: each trick by name (client ID metadata documents, section 8)."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from mintwarden.authn.documents import SIZE_LIMIT, DescribedClients, Documents
from mintwarden.authn.fetch import GuardedFetcher, SystemNames
from mintwarden.authn.jose import parse
from mintwarden.authn.ports import CacheFiller, Fetched
from mintwarden.authn.throttle import A_MINUTE, AT_ONCE, OURSELVES, Throttle
from mintwarden.model.catalogue import Catalogue, Client, ClientDocuments
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.documents import described, read_document, why_not_url
from mintwarden.policy.metadata import MetadataRefused
from tests.unit.authn.loopback import Loopback, answer
from tests.unit.authn.test_authenticate import assertion, jwk

NOW = 1_795_000_000_000
BOUNDS = ClientDocuments(
    hosts=("app.example", "*.trusted.example", "127.0.0.1"),
    excluded=("evil.trusted.example",),
    kind="mcp",
    principal="Workload",
    owner="Nobody in particular",
    environments=("production",),
    ceilings={},
    methods=("none", "private_key_jwt"),
    grants=("token_exchange",),
    redirects=("same_host", "loopback"),
)
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


def catalogue(bounds: ClientDocuments | None = BOUNDS) -> Catalogue:
    return Catalogue(
        name="c", issuer="https://tokens.example", owner="o", owner_contact="o", environments=("production",), tiers={},
        purposes={}, audiences={}, scopes={}, claims={}, sources={}, clients={}, issuers={}, documents=bounds,
    )  # fmt: skip


def document(url: str, **changes: Any) -> bytes:
    said = {"client_id": url, "client_name": "App", "redirect_uris": [], "grant_types": [EXCHANGE], **changes}
    return json.dumps({name: value for name, value in said.items() if value is not ...}).encode()


def clients(fetcher: CacheFiller, *, local: bool = True, **more: Any) -> DescribedClients:
    return DescribedClients(
        Documents(fetcher=fetcher, read=read_document, **more),
        unfit=lambda url: why_not_url(catalogue(), url, local=local),
        admit=lambda url, said: described(catalogue(), url, said),
    )


def resolver(*answers: Sequence[str]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    left = list(answers)

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


async def refused(found: DescribedClients, url: str, kind: ErrorKind = ErrorKind.INVALID_CLIENT, **more: Any) -> str:
    with pytest.raises(MintwardenError) as caught:
        await found.find(url, NOW, **more)
    assert caught.value.kind is kind
    if kind is ErrorKind.INVALID_CLIENT:
        assert caught.value.public == "client authentication failed"  # says nothing of what is reachable from here
    return caught.value.hint


NOT_AN_ID = {
    "plain http": "http://app.example/c",
    "no path": "https://app.example",
    "single dot": "https://app.example/./c",
    "double dots": "https://app.example/a/../c",
    "dots at the end": "https://app.example/a/..",
    "dots in percent signs": "https://app.example/a/%2E%2e/c",
    "a fragment": "https://app.example/c#x",
    "an empty fragment": "https://app.example/c#",
    "a user": "https://user@app.example/c",
    "a user and a password": "https://app.example:443@evil.example/c",
    "a query": "https://app.example/c?x=1",
    "an empty query": "https://app.example/c?",
    "a backslash": "https://app.example\\@evil.example/c",
    "a space": "https://app.example/c d",
    "a line": "https://app.example/c\nHost: evil.example",
    "capital letters in the host": "https://App.example/c",
    "capital letters in the scheme": "HTTPS://app.example/c",
    "letters of another script": "https://аpp.example/c",
    "port nought": "https://app.example:0/c",
    "another scheme": "file:///app.example/c",
    "a data URL": "data:application/json,{}",
    "an id without end": "https://app.example/" + "c" * 300,
    "a host of which nothing is read": "https://other.example/c",
    "a host that ends alike": "https://evilapp.example/c",
    "a host that begins alike": "https://app.example.evil.example/c",
    "the domain itself, where only hosts below it are read": "https://trusted.example/c",
    "a host that ends like a domain below which hosts are read": "https://eviltrusted.example/c",
    "a host that is excluded": "https://evil.trusted.example/c",
    "loopback by plain http on another server": "http://127.0.0.1/c",
}


@pytest.mark.parametrize("name", NOT_AN_ID)
async def test_nothing_is_fetched_for_an_id_with(name: str):
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        raise AssertionError("looked up")

    await refused(clients(GuardedFetcher(resolve=resolve), local=False), NOT_AN_ID[name])


@pytest.mark.parametrize(
    "url",
    ["https://app.example/c", "https://app.example:8443/c", "https://a.b.trusted.example/", "https://app.example/%7Ec"],
)
def test_an_id_that_is_one(url: str):
    assert why_not_url(catalogue(), url) == ""


@pytest.mark.parametrize("url", ["https://app.example/c", "reg-1", ""])
def test_without_leave_of_the_bundle_no_client_describes_itself(url: str):
    assert why_not_url(catalogue(None), url)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1", "fd00::1"])
async def test_a_name_of_our_own_network_is_not_called(address: str):
    found = clients(GuardedFetcher(resolve=resolver([address])))
    assert "no address, or one that is not public" in await refused(found, "https://app.example/c")


async def test_a_name_with_one_bad_address_among_good_ones_is_not_called():
    found = clients(GuardedFetcher(resolve=resolver(["203.0.113.7", "127.0.0.1"])))
    assert "not public" in await refused(found, "https://app.example/c")


async def test_a_name_is_looked_up_once_so_that_changing_its_mind_gains_nothing():
    async with Loopback({"/c": answer(body=document("https://app.example/c"))}) as server:
        asked: list[str] = []

        async def resolve(host: str, _port: int) -> Sequence[str]:
            asked.append(host)
            return ["127.0.0.1"] if len(asked) > 1 else ["192.0.2.1"]  # documentation only: refused as special, too

        await refused(clients(GuardedFetcher(resolve=resolve)), f"https://app.example:{server.port}/c")
        assert asked == ["app.example"]
        assert server.seen == []


async def test_loopback_is_reached_only_from_a_server_there():
    async with Loopback({}) as server:
        url = f"{server.url}/c"
        server.routes["/c"] = answer(body=document(url))
        assert (await clients(GuardedFetcher(development=True)).find(url, NOW)).client.id == url
        await refused(clients(GuardedFetcher()), url)
        await refused(clients(GuardedFetcher(development=True), local=False), url)
        assert len(server.seen) == 1


@pytest.mark.parametrize(
    "status", ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
async def test_a_redirect_is_not_followed(status: str):
    async with Loopback({}) as server:
        url = f"{server.url}/c"
        server.routes["/c"] = answer(status, body=document(url), location="/d")
        server.routes["/d"] = answer(body=document(url))
        await refused(clients(GuardedFetcher(development=True)), url)
        assert [path for path, _, _ in server.seen] == ["/c"]


@pytest.mark.parametrize(
    "status", ["201 Created", "203 Non-Authoritative", "204 No Content", "206 Partial", "404 None", "500 X"]
)
async def test_only_200_counts(status: str):
    async with Loopback({}) as server:
        url = f"{server.url}/c"
        server.routes["/c"] = answer(status, body=document(url))
        await refused(clients(GuardedFetcher(development=True)), url)


async def test_more_than_five_kilobytes_are_not_read():
    async with Loopback({}) as server:
        url = f"{server.url}/c"
        room = SIZE_LIMIT - len(document(url, filler=""))
        server.routes["/c"] = answer(body=document(url, filler="x" * room))
        assert (await clients(GuardedFetcher(development=True)).find(url, NOW)).client.id == url
        server.routes["/c"] = answer(body=document(url, filler="x" * (room + 1)))
        await refused(clients(GuardedFetcher(development=True)), url)


async def test_a_page_is_no_document():
    async with Loopback({}) as server:
        url = f"{server.url}/c"
        server.routes["/c"] = answer(body=document(url), kind="text/html")
        await refused(clients(GuardedFetcher(development=True)), url)
        server.routes["/c"] = answer(body=document(url), kind="application/cimd+json; charset=utf-8")
        assert (await clients(GuardedFetcher(development=True)).find(url, NOW)).client.id == url


BAD: dict[str, dict[str, Any]] = {
    "no client_id": {"client_id": ...},
    "another's client_id": {"client_id": "https://app.example/other"},
    "the same address in another spelling": {"client_id": "https://app.example:443/c"},
    "a client_id that is no text": {"client_id": ["https://app.example/c"]},
    "a secret": {"client_secret": "s3cr3t"},
    "the end of a secret": {"client_secret_expires_at": 0},
    "client_secret_basic": {"token_endpoint_auth_method": "client_secret_basic"},
    "client_secret_post": {"token_endpoint_auth_method": "client_secret_post"},
    "client_secret_jwt": {"token_endpoint_auth_method": "client_secret_jwt"},
    "tls_client_auth": {"token_endpoint_auth_method": "tls_client_auth"},
    "private_key_jwt without keys": {"token_endpoint_auth_method": "private_key_jwt"},
    "a private key": {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [{**jwk("ES256"), "d": "AA"}]}},
    "a symmetric key": {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [{"kty": "oct", "k": "AA"}]}},
    "keys and a place for keys": {"jwks": {"keys": [jwk("ES256")]}, "jwks_uri": "https://app.example/k"},
    "client_credentials without authentication": {"grant_types": ["client_credentials"]},
    "the implicit grant": {"grant_types": [EXCHANGE, "implicit"], "response_types": ["token"]},
    "a script for a redirect": {"redirect_uris": ["javascript:alert(1)"]},
    "data for a redirect": {"redirect_uris": ["data:text/html,x"]},
    "another's host for a redirect": {"redirect_uris": ["https://victim.example/callback"]},
    "another port for a redirect": {"redirect_uris": ["https://app.example:8443/callback"]},
    "a host that ends alike for a redirect": {"redirect_uris": ["https://app.example.evil.example/callback"]},
    "plain http for a redirect": {"redirect_uris": ["http://app.example/callback"]},
    "a fragment in a redirect": {"redirect_uris": ["https://app.example/callback#x"]},
    "a star in a redirect": {"redirect_uris": ["https://app.example/*"]},
    "a user in a redirect": {"redirect_uris": ["https://app.example@evil.example/callback"]},
    "a scheme of its own that the bundle does not allow": {"redirect_uris": ["com.example.app:/callback"]},
    "loopback for a client on the web": {"application_type": "web", "redirect_uris": ["http://127.0.0.1/cb"]},
    "keys at a host of which nothing is read": {
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks_uri": "https://169.254.169.254/latest",
    },
    "signed requests and no key": {"require_signed_request_object": True},
    "signed requests and a word": {"require_signed_request_object": "yes", "jwks": {"keys": [jwk("ES256")]}},
    "requests that nobody signs": {"request_object_signing_alg": "none"},
    "ID tokens that only it could read": {"id_token_encrypted_response_alg": "ECDH-ES"},
    "a `sub` of its own": {"subject_type": "pairwise"},
    "no grant that is allowed": {"grant_types": ["urn:ietf:params:oauth:grant-type:device_code"]},
    "code without redirects": {"grant_types": ["authorization_code"]},
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_document_with(name: str):
    url = "https://app.example/c"
    with pytest.raises(MetadataRefused, match=r"^[^A-Z]"):
        described(catalogue(), url, read_document(url, json.loads(document(url, **BAD[name]))))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"redirect_uris": ["https://app.example/callback", "http://127.0.0.1:33418/", "http://localhost/cb", "http://[::1]/"]},
        {"application_type": "native", "redirect_uris": ["http://127.0.0.1/cb"]},
        {"colour": "green", "id_token_colour": 1},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://keys.trusted.example/jwks"},
    ],
)  # fmt: skip
def test_a_document_that_is_good(changes: dict[str, Any]):
    url = "https://app.example/c"
    made: Client = described(catalogue(), url, read_document(url, json.loads(document(url, **changes))))
    assert (made.id, made.kind, made.owner) == (url, "mcp", "Nobody in particular")
    assert made.redirect_uris == tuple(changes.get("redirect_uris", ()))


@pytest.mark.parametrize(
    "keys", [{"jwks": {"keys": [jwk("ES256")]}}, {"jwks_uri": "https://keys.trusted.example/jwks"}]
)
def test_a_document_that_demands_signed_requests_is_taken_at_its_word(keys: dict[str, Any]):
    url = "https://app.example/c"
    said = json.loads(document(url, require_signed_request_object=True, request_object_signing_alg="ES256", **keys))
    made = described(catalogue(), url, read_document(url, said))
    assert (made.authorization.signed, made.protections.object_algorithm) == (True, "ES256")


async def test_nothing_that_a_document_points_at_is_fetched_for_its_sake():
    """A picture in our own network would be a request in our name, and whoever is shown it by us another."""
    async with Loopback({}) as server:
        url = f"{server.url}/c"
        names = ("logo_uri", "client_uri", "tos_uri", "policy_uri", "sector_identifier_uri", "request_uris", "jwks_uri")
        links = {name: f"{server.url}/{name}" for name in names if name != "request_uris"}
        said = document(url, **links, request_uris=[f"{server.url}/request_uris"])
        server.routes["/c"] = answer(body=said)
        assert (await clients(GuardedFetcher(development=True)).find(url, NOW)).client.id == url
        assert [path for path, _, _ in server.seen] == ["/c"]


async def test_keys_that_a_document_names_in_our_own_network_are_not_fetched():
    async with Loopback({}) as server:
        url, keys = f"{server.url}/c", "https://keys.trusted.example/k"
        confidential = {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": keys}
        server.routes["/c"] = answer(body=document(url, **confidential))

        async def resolve(host: str, _port: int) -> Sequence[str]:
            return ["127.0.0.1"] if host == "127.0.0.1" else ["169.254.169.254"]

        found = clients(GuardedFetcher(development=True, resolve=resolve))
        token = parse(assertion(), 8192)
        assert "not public" in await refused(found, url, token=token)


async def test_a_key_set_that_gives_away_a_private_key_is_no_good():
    async with Loopback({}) as server:
        url = f"{server.url}/c"
        confidential = {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": f"{server.url}/k"}
        server.routes["/c"] = answer(body=document(url, **confidential))
        server.routes["/k"] = answer(body=json.dumps({"keys": [{**jwk("ES256"), "d": "AA"}]}).encode())
        await refused(clients(GuardedFetcher(development=True)), url, token=parse(assertion(), 8192))


async def test_a_host_is_not_called_for_ever_by_whoever_makes_up_clients():
    async with Loopback({}) as server:
        found = clients(GuardedFetcher(development=True), throttle=Throttle(replace(A_MINUTE, host=3)))
        for number in range(3):
            await refused(found, f"{server.url}/{number}")
        await refused(found, f"{server.url}/4", ErrorKind.OVERLOADED)
        assert len(server.seen) == 3


async def test_names_that_nobody_answers_for_hold_up_nothing_else() -> None:
    """Whoever names a client may see to it that looking its name up takes as long as the system waits for it."""
    enough = threading.Event()

    def lookup(host: str, _port: int, **_more: Any) -> Sequence[Any]:
        if host.endswith(".evil.example"):
            enough.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 443))]

    slow = GuardedFetcher(seconds=0.05, resolve=SystemNames(lookup))
    urls = [f"https://n{number}.evil.example/client" for number in range(64)]
    try:
        for failed in await asyncio.gather(*map(slow.fetch, urls), return_exceptions=True):
            assert isinstance(failed, MintwardenError)
            assert "took too long" in failed.public
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "other work"), 10) == "other work"
        with pytest.raises(MintwardenError, match="may not be reached"):
            await GuardedFetcher(resolve=SystemNames(lookup)).fetch("https://idp.example/")
    finally:
        enough.set()


class Slow:
    """Hosts that say nothing until it is enough; `seen` is what was asked for. Those in `quick` answer."""

    def __init__(self, *quick: str) -> None:
        self.enough = asyncio.Event()
        self.quick = quick
        self.seen: list[str] = []

    async def get(self, url: str, limit: int = 0) -> Fetched:
        self.seen.append(url)
        if url not in self.quick:
            await self.enough.wait()
        return Fetched(document(url), ())


class Nothing:
    """Hosts that have no document, but for those of `there`."""

    def __init__(self, *there: str) -> None:
        self.there = there
        self.seen: list[str] = []

    async def get(self, url: str, limit: int = 0) -> Fetched:
        self.seen.append(url)
        if url not in self.there:
            raise MintwardenError(ErrorKind.SOURCE, "the document answered 404")
        return Fetched(document(url), ())


HONEST = "https://app.example/client.json"
EVERYWHERE = ["203.0.113.7"] * 400, [f"203.0.113.{n % 256}" for n in range(400)], ["2001:db8:1:2::7"] * 400
NETWORKS = [f"2001:db8:1:{n:x}::7" for n in range(400)], [f"2001:db8:1:2::{n:x}" for n in range(400)]


@pytest.mark.parametrize("addresses", [*EVERYWHERE, *NETWORKS])
@pytest.mark.parametrize("where", ["https://n{0}.trusted.example/c", "https://app.example/{0}"])
async def test_whoever_makes_up_clients_keeps_nobody_elsewhere_out(addresses: Sequence[str], where: str) -> None:
    """From one address, or from all of one network; at a host each, or at the very host of somebody's client."""
    web = Nothing(HONEST)
    described = clients(web)
    for number, address in enumerate(addresses):
        with pytest.raises(MintwardenError):
            await described.find(where.format(number), NOW, None, address)
    assert len(web.seen) <= A_MINUTE.organisation[0]
    assert (await described.find(HONEST, NOW, None, "198.51.100.1")).client.id == HONEST
    assert (await described.find(HONEST, NOW, None, addresses[0])).client.id == HONEST, "what is kept is for everybody"


async def test_one_bad_id_named_again_and_again_costs_its_host_one_call() -> None:
    web = Nothing()
    described = clients(web)
    for _ in range(400):
        with pytest.raises(MintwardenError):
            await described.find("https://app.example/none", NOW, None, "203.0.113.7")
    assert len(web.seen) == 1


async def test_strangers_and_what_is_begun_already_keep_something_for_each_other() -> None:
    """Pages, notices and what somebody signed in for have a share of their own."""
    web = Nothing(HONEST)
    described = clients(web)
    for number in range(400):
        with pytest.raises(MintwardenError):
            await described.find(f"https://n{number}.trusted.example/c", NOW, None, OURSELVES)
    assert len(web.seen) == A_MINUTE.ourselves
    assert (await described.find(HONEST, NOW, None, "198.51.100.1")).client.id == HONEST


async def test_however_many_they_are_no_more_is_asked_for_than_there_is_for_all() -> None:
    web = Nothing()
    described = clients(web)
    for number in range(1000):
        with pytest.raises(MintwardenError):
            await described.find(
                f"https://n{number}.trusted.example/c", NOW, None, f"10.{number // 250}.{number % 250}.1"
            )
    assert len(web.seen) == A_MINUTE.together
    await refused(described, HONEST, ErrorKind.OVERLOADED)


async def test_a_host_that_lets_us_wait_holds_a_few_requests() -> None:
    """Each that names the client waits for the same document, in its turn: all of them would be everybody's turns."""
    web = Slow()
    described = clients(web)
    asked = [
        asyncio.create_task(described.find(HONEST, NOW, None, f"10.{number}.0.1")) for number in range(AT_ONCE.host + 8)
    ]
    for _ in range(5):
        await asyncio.sleep(0)
    told = [task for task in asked if task.done()]
    assert len(told) == 8
    for task in told:
        failed = task.exception()
        assert isinstance(failed, MintwardenError)
        assert failed.kind is ErrorKind.OVERLOADED
    web.enough.set()
    assert {(await task).client.id for task in asked if task not in told} == {HONEST}
    assert (await described.find(HONEST, NOW)).client.id == HONEST, "what is kept needs no turn"


@pytest.mark.parametrize("addresses", [*EVERYWHERE, *NETWORKS])
@pytest.mark.parametrize("where", ["https://n{0}.trusted.example/c", "https://slow.trusted.example/c"])
async def test_whoever_waits_for_slow_hosts_holds_nobody_elsewhere_up(addresses: Sequence[str], where: str) -> None:
    """For many documents, or for one: those who join a fetch wait, too."""
    web = Slow(HONEST)
    described = clients(web)
    asked = [
        asyncio.create_task(described.find(where.format(number), NOW, None, address))
        for number, address in enumerate(addresses)
    ]
    for _ in range(5):
        await asyncio.sleep(0)
    assert sum(not task.done() for task in asked) <= AT_ONCE.organisation[0]
    assert (await described.find(HONEST, NOW, None, "198.51.100.1")).client.id == HONEST
    web.enough.set()
    await asyncio.gather(*asked, return_exceptions=True)

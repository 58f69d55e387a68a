"""Clients that describe themselves: fetched, kept while fresh, errors never; and what the registry makes of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from mintwarden.authn.documents import FLOOR, KEPT, KEYS_LIMIT, PAUSE, SIZE_LIMIT, DescribedClients, Documents
from mintwarden.authn.jose import parse
from mintwarden.authn.ports import Fetched
from mintwarden.authn.throttle import A_MINUTE, Throttle
from mintwarden.model.catalogue import Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.metadata import ClientMetadata
from mintwarden.policy.documents import read_document
from tests.unit.authn.test_authenticate import assertion, client, jwk

NOW = 1_795_000_000_000
URL = "https://app.example/client.json"
KEYS_URL = "https://app.example/jwks.json"
REDIRECTS = ["https://app.example/callback"]
PUBLIC = {"client_id": URL, "client_name": "App", "redirect_uris": REDIRECTS}
CONFIDENTIAL = {**PUBLIC, "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": KEYS_URL}


class Web:
    """A fetcher over a table. `fetched` holds what was asked for, with the limit."""

    def __init__(self, documents: Mapping[str, Any], **headers: str) -> None:
        self.documents = dict(documents)
        self.headers = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
        self.fetched: list[tuple[str, int]] = []
        self.gate: asyncio.Event | None = None

    async def get(self, url: str, limit: int) -> Fetched:
        self.fetched.append((url, limit))
        if self.gate is not None:
            await self.gate.wait()
        if url not in self.documents:
            raise MintwardenError(ErrorKind.SOURCE, "the document answered 404")
        content = self.documents[url]
        return Fetched(content if isinstance(content, bytes) else json.dumps(content).encode(), self.headers)


def admit(url: str, said: ClientMetadata) -> Client:
    return client(url, said.method, jwks=said.jwks, redirect_uris=said.redirect_uris)


def clients(web: Web, **more: Any) -> DescribedClients:
    documents = Documents(fetcher=web, read=read_document, **more)
    return DescribedClients(documents, unfit=lambda url: "" if url.startswith("https://app") else "no", admit=admit)


async def refused(found: DescribedClients, url: str = URL, now: int = NOW, **more: Any) -> MintwardenError:
    with pytest.raises(MintwardenError) as caught:
        await found.find(url, now, **more)
    return caught.value


async def test_a_client_is_what_its_document_says():
    web = Web({URL: PUBLIC})
    known = await clients(web).find(URL, NOW)
    assert known.registered
    assert (known.client.id, known.client.methods, known.client.redirect_uris) == (URL, ("none",), (REDIRECTS[0],))
    assert web.fetched == [(URL, SIZE_LIMIT)]


async def test_a_good_document_is_kept_as_long_as_it_says():
    web = Web({URL: PUBLIC}, cache_control="max-age=60")
    found = clients(web)
    first = await found.find(URL, NOW)
    assert await found.find(URL, NOW + 59_999) is first
    web.documents[URL] = {**PUBLIC, "client_name": "Other"}
    assert len(web.fetched) == 1
    assert await found.find(URL, NOW + 60_000) is not first
    assert len(web.fetched) == 2


async def test_a_document_that_must_not_be_stored_is_fetched_each_time():
    web = Web({URL: PUBLIC}, cache_control="no-store")
    found = clients(web)
    for _ in range(3):
        await found.find(URL, NOW)
    assert len(web.fetched) == 3


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{", {**PUBLIC, "client_id": URL + "/"}, {**PUBLIC, "jwks": 1}])
async def test_an_error_and_a_bad_document_are_never_kept(content: Any):
    web = Web({} if content is None else {URL: content}, cache_control="max-age=600")
    found = clients(web)
    for number in range(2):
        error = await refused(found, now=NOW + number * PAUSE)
        assert (error.kind, error.public) == (ErrorKind.INVALID_CLIENT, "client authentication failed")
    assert len(web.fetched) == 2
    web.documents[URL] = PUBLIC
    assert (await found.find(URL, NOW + 2 * PAUSE)).client.id == URL


async def test_what_was_no_good_is_asked_for_again_after_a_pause():
    """Nobody is answered by it meanwhile: whoever comes is told to come back, and it costs its host nothing."""
    web = Web({}, cache_control="max-age=600")
    found = clients(web)
    await refused(found)
    for later in (0, 1, PAUSE - 1):
        assert (await refused(found, now=NOW + later)).kind is ErrorKind.OVERLOADED
    assert len(web.fetched) == 1
    web.documents[URL] = PUBLIC
    assert (await found.find(URL, NOW + PAUSE)).client.id == URL
    assert (await found.find(URL, NOW + PAUSE + 1)).client.id == URL
    assert len(web.fetched) == 2


async def test_of_what_was_no_good_no_more_is_remembered_than_of_what_was():
    web, urls = Web({}), [f"https://app{number}.example/c" for number in range(KEPT + 1)]
    found = clients(web, throttle=Throttle(replace(A_MINUTE, together=KEPT * 2, ourselves=KEPT * 2)))
    for url in urls:
        await refused(found, url)
    assert (await refused(found, urls[0])).kind is ErrorKind.INVALID_CLIENT, "forgotten, and asked for again"
    assert (await refused(found, urls[-1])).kind is ErrorKind.OVERLOADED


async def test_a_good_document_that_turned_bad_is_not_used_on():
    web = Web({URL: PUBLIC}, cache_control="max-age=60")
    found = clients(web)
    await found.find(URL, NOW)
    del web.documents[URL]
    await refused(found, now=NOW + 60_000)
    await refused(found, now=NOW + 1)
    await refused(found, now=NOW + 60_000 + PAUSE)


async def test_those_who_come_at_once_share_a_fetch_and_who_leaves_spoils_nothing():
    web = Web({URL: PUBLIC})
    web.gate = asyncio.Event()
    found = clients(web)
    first, second = (asyncio.create_task(found.find(URL, NOW)) for _ in range(2))
    while not web.fetched:
        await asyncio.sleep(0)
    first.cancel()
    web.gate.set()
    assert (await second).client.id == URL
    assert len(web.fetched) == 1


async def test_keys_are_fetched_only_for_who_signs_with_them():
    web = Web({URL: CONFIDENTIAL, KEYS_URL: {"keys": [jwk("ES256", kid="a")]}})
    found = clients(web)
    assert (await found.find(URL, NOW)).keys == ()
    known = await found.find(URL, NOW, parse(assertion(header={"kid": "a"}), 8192))
    assert [key.kid for key in known.keys] == ["a"]
    assert web.fetched == [(URL, SIZE_LIMIT), (KEYS_URL, KEYS_LIMIT)]


async def test_an_unknown_key_has_the_keys_fetched_again_but_not_below_the_floor():
    web = Web({URL: CONFIDENTIAL, KEYS_URL: {"keys": [jwk("ES256", kid="a")]}})
    found = clients(web)
    new = parse(assertion(header={"kid": "b"}), 8192)
    await found.find(URL, NOW, parse(assertion(header={"kid": "a"}), 8192))
    web.documents[KEYS_URL] = {"keys": [jwk("ES256", kid="b")]}
    for later in (1, FLOOR - 1):
        assert [key.kid for key in (await found.find(URL, NOW + later, new)).keys] == ["a"]
    assert [key.kid for key in (await found.find(URL, NOW + FLOOR, new)).keys] == ["b"]
    assert [url for url, _ in web.fetched].count(KEYS_URL) == 2


async def test_keys_of_other_kinds_are_passed_over():
    keys = [jwk("ES256", kid="a", use="enc"), {"kty": "EC", "crv": "P-521"}, jwk("ES256", kid="b", exp=1)]
    web = Web({URL: {**PUBLIC, "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": keys}}})
    assert [key.kid for key in (await clients(web).find(URL, NOW)).keys] == ["b"]


async def test_what_the_bundle_does_not_admit_is_no_client_of_its():
    def never(_url: str, _said: ClientMetadata) -> Client:
        raise MintwardenError(ErrorKind.INVALID_CLIENT_METADATA, "not here")

    documents = Documents(fetcher=Web({URL: PUBLIC}), read=read_document)
    error = await refused(DescribedClients(documents, unfit=lambda _url: "", admit=never))
    assert (error.kind, error.hint) == (ErrorKind.INVALID_CLIENT, "not here")


async def test_a_throttle_counts_by_the_minute():
    throttle = Throttle(replace(A_MINUTE, host=2, together=3))
    for host in ("a", "a", "b"):
        throttle.spend(host, "", NOW)
    with pytest.raises(MintwardenError) as caught:
        throttle.spend("b", "", NOW)
    assert caught.value.kind is ErrorKind.OVERLOADED
    throttle.spend("a", "", NOW + 60_000)


async def test_what_is_kept_counts_for_nobody():
    web = Web({URL: CONFIDENTIAL, KEYS_URL: {"keys": [jwk("ES256", kid="a")]}}, cache_control="max-age=600")
    found = clients(web, throttle=Throttle(replace(A_MINUTE, together=2)))
    token = parse(assertion(header={"kid": "a"}), 8192)
    for _ in range(50):
        assert (await found.find(URL, NOW, token, "203.0.113.7")).client.id == URL
    assert len(web.fetched) == 2


async def test_fetches_end_with_the_service():
    web = Web({URL: PUBLIC})
    web.gate = asyncio.Event()
    documents = Documents(fetcher=web, read=read_document)
    waiting = asyncio.create_task(documents.document(URL, NOW))
    while not web.fetched:
        await asyncio.sleep(0)
    await documents.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting

"""Where a transmitter's keys are: as it says itself, for a while, and never as somebody else says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import pytest
from joserfc.jwk import ECKey

from mintwarden.authn.issuers.keys import FLOOR, FRESH, LAST_GOOD
from mintwarden.authn.jose import parse
from mintwarden.authn.security_events import WAITING, TransmitterReach, metadata_url, peeked_id
from mintwarden.model.errors import ErrorKind, MintwardenError

ISSUER, ONE, TWO = "https://t.example.com/a", "https://t.example.com/one", "https://t.example.com/two"
META = "https://t.example.com/.well-known/ssf-configuration/a"
KEY = ECKey.generate_key("P-256")
KEYS = {"keys": [{**KEY.as_dict(private=False), "kid": "k", "use": "sig"}]}
# Its signature is not looked at here: only whose keys it could be of.
TOKEN = parse("eyJhbGciOiJFUzI1NiIsImtpZCI6ImsiLCJ0eXAiOiJzZWNldmVudCtqd3QifQ.eyJqdGkiOiI3In0.AAAA")
NOW = 10 * LAST_GOOD


class Site:
    """What is there by address; what is not there fails."""

    def __init__(self, **documents: object) -> None:
        self.documents: dict[str, object] = {META: documents, ONE: KEYS, TWO: {"keys": []}}
        self.asked: list[str] = []
        self.held: asyncio.Event | None = None

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if self.held is not None:
            await self.held.wait()
        if url not in self.documents:
            raise MintwardenError(ErrorKind.SOURCE, "nothing there")
        return json.dumps(self.documents[url]).encode()


def reach(site: Site, jwks_uri: str = "") -> TransmitterReach:
    return TransmitterReach(issuer=ISSUER, jwks_uri=jwks_uri, fetcher=site)


async def test_its_description_says_where_and_is_looked_at_again() -> None:
    site = Site(issuer=ISSUER, jwks_uri=ONE)
    there = reach(site)
    assert len(await there.keys(TOKEN, NOW)) == 1
    await there.keys(TOKEN, NOW + FRESH - 1)
    assert site.asked == [META, ONE]
    site.documents[META] = {"issuer": ISSUER, "jwks_uri": TWO}
    assert await there.keys(TOKEN, NOW + FRESH) == ()
    # While the description cannot be had, what it last said stands, for a day.
    del site.documents[META]
    assert await there.keys(TOKEN, NOW + 3 * FRESH) == ()
    with pytest.raises(MintwardenError, match="description"):
        await there.keys(TOKEN, NOW + FRESH + LAST_GOOD + 1)


async def test_the_bundle_may_say_where() -> None:
    site = Site()
    assert len(await reach(site, ONE).keys(TOKEN, NOW)) == 1
    assert site.asked == [ONE]


@pytest.mark.parametrize(
    "said", [{}, {"jwks_uri": ONE}, {"issuer": ISSUER + "/", "jwks_uri": ONE}, {"issuer": ISSUER}, {"issuer": ISSUER, "jwks_uri": 1}]
)  # fmt: skip
async def test_a_description_of_somebody_else_says_nothing(said: Mapping[str, object]) -> None:
    site = Site(**said)
    there = reach(site)
    for _ in range(2):
        with pytest.raises(MintwardenError) as caught:
            await there.keys(TOKEN, NOW)
        assert caught.value.kind is ErrorKind.UNAVAILABLE
    assert site.asked == [META], "at most every half a minute"
    site.documents[META] = {"issuer": ISSUER, "jwks_uri": ONE}
    assert len(await there.keys(TOKEN, NOW + FLOOR)) == 1


async def test_a_few_tokens_wait_for_keys_and_never_everybody() -> None:
    site = Site(issuer=ISSUER, jwks_uri=ONE)
    site.held = asyncio.Event()
    there = reach(site)
    waiting = [asyncio.create_task(there.keys(TOKEN, NOW)) for _ in range(WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(MintwardenError) as caught:
        await there.keys(TOKEN, NOW)
    assert caught.value.kind is ErrorKind.OVERLOADED
    site.held.set()
    assert [len(keys) for keys in await asyncio.gather(*waiting)] == [1] * WAITING
    assert len(await there.keys(TOKEN, NOW)) == 1


async def test_who_knows_where_does_not_wait_for_a_look_at_the_description() -> None:
    site = Site(issuer=ISSUER, jwks_uri=ONE)
    there = reach(site)
    await there.keys(TOKEN, NOW)
    site.held, later = asyncio.Event(), NOW + FRESH
    looking = asyncio.create_task(there.keys(TOKEN, later))
    await asyncio.sleep(0)
    assert site.asked[-1] == META
    assert len(await there.keys(TOKEN, later - 1)) == 1
    site.held.set()
    await looking


def test_where_a_description_is() -> None:
    assert metadata_url("https://t.example.com") == "https://t.example.com/.well-known/ssf-configuration"
    assert metadata_url("https://t.example.com/a/") == META


def test_the_name_that_a_token_says_it_has() -> None:
    assert peeked_id("eyJhbGciOiJFUzI1NiIsImtpZCI6ImsiLCJ0eXAiOiJzZWNldmVudCtqd3QifQ.eyJqdGkiOiI3In0.AAAA") == "7"
    assert peeked_id("eyJhbGciOiJFUzI1NiJ9.e30.AAAA") == peeked_id("x") == ""

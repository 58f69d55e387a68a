"""Finding an issuer's keys: discovery, refresh on an unknown `kid`, the floor, one fetch at a time, last good keys."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from mintwarden.authn.issuers.keys import FLOOR, FRESH, LAST_GOOD, KeyFinder
from mintwarden.authn.jose import Unverified, parse
from mintwarden.model.catalogue import TrustedIssuer
from mintwarden.model.errors import ErrorKind, MintwardenError
from tests.hostile.tokens.forge import jwk, signed, text

NOW = 1_795_000_000_000
LOGIN = "https://login.example"
WELL_KNOWN = LOGIN + "/.well-known/openid-configuration"
JWKS = "https://keys.example/jwks"


class Fetcher:
    """Documents by URL; counts; can be made to wait."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}
        self.fetched: list[str] = []
        self.asked = asyncio.Event()
        self.gate: asyncio.Event | None = None

    async def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        self.asked.set()
        if self.gate is not None:
            await self.gate.wait()
        if url not in self.documents:
            raise MintwardenError(ErrorKind.SOURCE, "gone")
        document = self.documents[url]
        return document if isinstance(document, bytes) else json.dumps(document).encode()


def fetcher(*kids: str) -> Fetcher:
    made = Fetcher()
    made.documents[WELL_KNOWN] = {"issuer": LOGIN, "jwks_uri": JWKS}
    made.documents[JWKS] = {"keys": [jwk(kid) for kid in kids]}
    return made


def issuer(keys: str = "jwks_uri", **more: Any) -> TrustedIssuer:
    settings = {"jwks_uri": JWKS, **more}
    return TrustedIssuer(id="login", issuer=LOGIN, keys=keys, audiences=("a",), principal="User", **settings)  # type: ignore[arg-type]


def token(kid: str | None) -> Unverified:
    header = {"alg": "ES256"} if kid is None else {"alg": "ES256", "kid": kid}
    return parse(signed(kid or "a", text(header), b"{}"))


async def kids(finder: KeyFinder, kid: str | None, now: int = NOW, keys: str = "jwks_uri") -> list[str]:
    return [key.kid for key in await finder.find(issuer(keys), token(kid), now)]


async def test_jwks_uri_is_fetched_once():
    source = fetcher("a", "b")
    finder = KeyFinder(fetcher=source)
    for kid in ("a", "b", "a", None):
        assert await kids(finder, kid) == ["a", "b"]
    assert source.fetched == [JWKS]


async def test_discovery():
    source = fetcher("a")
    assert await kids(KeyFinder(fetcher=source), "a", keys="discovery") == ["a"]
    assert source.fetched == [WELL_KNOWN, JWKS]


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": LOGIN + "/", "jwks_uri": JWKS},
        {"issuer": "https://evil.example", "jwks_uri": JWKS},
        {"jwks_uri": JWKS},
        {"issuer": LOGIN},
        {"issuer": LOGIN, "jwks_uri": 1},
        b'{"issuer": "https://evil.example", "issuer": "https://login.example", "jwks_uri": "x"}',
        b"[]",
        b"",
    ],
)
async def test_a_discovery_document_that_is_not_the_issuer_s_is_not_followed(document: Any):
    source = fetcher("a")
    source.documents[WELL_KNOWN] = document
    with pytest.raises(MintwardenError) as caught:
        await kids(KeyFinder(fetcher=source), "a", keys="discovery")
    assert caught.value.kind is ErrorKind.UNAVAILABLE
    assert source.fetched == [WELL_KNOWN]


async def test_an_issuer_that_is_reached_otherwise_is_reached_in_that_way_alone():
    own, usual = fetcher("a"), fetcher("b")
    found = KeyFinder(fetcher=usual, own={LOGIN: own}).under(())  # type: ignore[dict-item]
    assert await kids(found, "a", keys="discovery") == ["a"]
    assert (own.fetched, usual.fetched) == ([WELL_KNOWN, JWKS], [])
    other = {"https://other.example": own}
    assert await kids(KeyFinder(fetcher=usual, own=other), "b") == ["b"]  # type: ignore[arg-type]
    assert len(own.fetched) == 2


async def test_why_keys_cannot_be_had_is_said_to_whoever_runs_this():
    source = fetcher("a")
    source.documents[WELL_KNOWN] = {"issuer": "https://other.example", "jwks_uri": JWKS}
    with pytest.raises(MintwardenError) as caught:
        await kids(KeyFinder(fetcher=source), "a", keys="discovery")
    assert caught.value.hint == "issuer `login`: the discovery document is another issuer's, or names no keys"
    del source.documents[WELL_KNOWN]
    with pytest.raises(MintwardenError) as caught:
        await kids(KeyFinder(fetcher=source), "a", keys="discovery")
    assert caught.value.hint == "issuer `login`: gone"


async def test_an_unknown_kid_fetches_again_but_not_below_the_floor():
    source = fetcher("a")
    finder = KeyFinder(fetcher=source)
    await kids(finder, "a")
    source.documents[JWKS] = {"keys": [jwk("a"), jwk("b")]}
    assert await kids(finder, "b", NOW + FLOOR - 1) == ["a"]
    assert len(source.fetched) == 1
    assert await kids(finder, "b", NOW + FLOOR) == ["a", "b"]
    assert len(source.fetched) == 2
    for step in range(50):
        await kids(finder, "stranger", NOW + FLOOR + step)
    assert len(source.fetched) == 2


async def test_keys_are_fetched_again_when_they_are_no_longer_fresh():
    source = fetcher("a")
    finder = KeyFinder(fetcher=source)
    await kids(finder, "a")
    source.documents[JWKS] = {"keys": [jwk("b")]}
    assert await kids(finder, "a", NOW + FRESH - 1) == ["a"]
    assert await kids(finder, "a", NOW + FRESH) == ["b"]


async def test_last_good_keys_are_kept_up_to_their_age_limit():
    source = fetcher("a")
    finder = KeyFinder(fetcher=source)
    await kids(finder, "a")
    documents: list[Any] = [{}, b"<html>", {"keys": "x"}, {"keys": [{}] * 200}, None]
    for broken in documents:
        if broken is None:
            del source.documents[JWKS]
        else:
            source.documents[JWKS] = broken
        assert await kids(finder, "a", NOW + LAST_GOOD) == ["a"]
    with pytest.raises(MintwardenError) as caught:
        await kids(finder, "a", NOW + LAST_GOOD + 1)
    assert caught.value.kind is ErrorKind.UNAVAILABLE


async def test_withdrawn_keys_are_gone():
    source = fetcher("a")
    finder = KeyFinder(fetcher=source)
    await kids(finder, "a")
    source.documents[JWKS] = {"keys": []}
    assert await kids(finder, "a", NOW + FRESH) == []


async def test_a_failure_is_not_repeated_below_the_floor():
    source = fetcher("a")
    documents, source.documents = source.documents, {}
    finder = KeyFinder(fetcher=source)
    for step in (0, 1, FLOOR - 1):
        with pytest.raises(MintwardenError):
            await kids(finder, "a", NOW + step)
    assert len(source.fetched) == 1
    source.documents = documents
    assert await kids(finder, "a", NOW + FLOOR) == ["a"]


async def test_a_clock_that_steps_back_does_not_stop_fetching():
    source = fetcher("a")
    finder = KeyFinder(fetcher=source)
    await kids(finder, "a")
    source.documents[JWKS] = {"keys": [jwk("b")]}
    assert await kids(finder, "b", NOW - FLOOR) == ["b"]


async def test_many_requests_share_one_fetch():
    source = fetcher("a")
    source.gate = asyncio.Event()
    finder = KeyFinder(fetcher=source)
    waiting = [asyncio.ensure_future(kids(finder, "a")) for _ in range(20)]
    await source.asked.wait()
    waiting[0].cancel()
    source.gate.set()
    assert await asyncio.gather(*waiting[1:]) == [["a"]] * 19
    assert source.fetched == [JWKS, JWKS], "the cancelled one, and one for all others"


async def test_who_has_a_fitting_key_does_not_wait_for_another_s_fetch():
    source = fetcher("a")
    finder = KeyFinder(fetcher=source)
    await kids(finder, "a")
    source.gate = asyncio.Event()
    source.asked.clear()
    slow = asyncio.ensure_future(kids(finder, "stranger", NOW + FLOOR))
    await source.asked.wait()
    assert await kids(finder, "a", NOW + FLOOR) == ["a"]
    source.gate.set()
    assert await slow == ["a"]


async def test_a_spiffe_bundle_gives_its_jwt_keys_only():
    source = fetcher()
    source.documents[JWKS] = {
        "spiffe_sequence": 7,
        "spiffe_refresh_hint": 300,
        "keys": [jwk("jwt", use="jwt-svid"), {"kty": "EC", "use": "x509-svid", "x5c": ["AA"]}, jwk("other", use="sig")],
    }
    assert await kids(KeyFinder(fetcher=source), "jwt", keys="bundle") == ["jwt"]


@pytest.mark.parametrize(
    ("hint", "seconds"),
    [(300, 300), (1, 30), (86_400, 3_600), (0, 300), (-5, 300), ("90", 300), (True, 300), (None, 300), (10**30, 3_600)],
)
async def test_keys_that_a_spiffe_bundle_withdraws_are_believed_as_long_as_it_says(hint: object, seconds: int):
    source = fetcher()
    source.documents[JWKS] = {"spiffe_refresh_hint": hint, "keys": [jwk("jwt", use="jwt-svid")]}
    finder = KeyFinder(fetcher=source)
    assert await kids(finder, "jwt", keys="bundle") == ["jwt"]
    source.documents[JWKS] = {"spiffe_refresh_hint": hint, "keys": []}
    assert await kids(finder, "jwt", NOW + seconds * 1000 - 1, keys="bundle") == ["jwt"]
    assert await kids(finder, "jwt", NOW + seconds * 1000, keys="bundle") == []

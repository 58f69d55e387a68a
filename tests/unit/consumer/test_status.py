"""Status lists at a protected resource: what is believed of them, for how long, and every hostile one by its name."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mintwarden.consumer import Guard, NoStatus, Refused
from mintwarden.consumer.fetch import Fetched
from mintwarden.consumer.status import AGAIN, AHEAD, KEPT, fetch_list
from mintwarden.consumer.status_list import LEAST, LONGEST, MOST, UNPACKED, UNSAID, lifetime
from mintwarden.mint.status_list import SIZE, compressed, encoded
from tests.unit.authn.loopback import Loopback, answer
from tests.unit.consumer.lists import KIND, URI, Lists, listing, lst, placed, segment, taken
from tests.unit.consumer.tokens import ISSUER, KEY, NOW, OTHER, b64, bound, published, resource, token

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors/status_list/status_list.json").read_text(encoding="utf-8")
)


async def refused(site: Lists, text: str, **more: Any) -> str:
    with pytest.raises(Refused) as caught:
        await taken(site.verifier(**more), text)
    assert caught.value.code == "invalid_token"
    return str(caught.value)


async def unknown(site: Lists, text: str | None = None) -> str:
    """Refused for want of a list, and let through where the resource server has said so: the token is not at fault."""
    assert await taken(site.verifier(fail_open=True), text or placed())
    with pytest.raises(NoStatus) as caught:
        await taken(site.verifier(), text or placed())
    return str(caught.value)


async def test_a_good_token_and_a_revoked_one():
    site = Lists(listing(b"\x02\x80"))
    at = site.verifier()
    for index in (0, 2, 7, 8, 14):
        assert await taken(at, placed(index))
    for index in (1, 15):
        with pytest.raises(Refused, match="the token was revoked"):
            await taken(at, placed(index))
    assert site.asked == [URI]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
async def test_the_draft_s_examples(vector: dict[str, Any]):
    site = Lists(listing({"bits": vector["bits"], "lst": vector["lst"]}))
    at = site.verifier()
    for index, status in enumerate(vector["status"]):
        if status == 0:
            assert await taken(at, placed(index))
        else:
            with pytest.raises(Refused):
                await taken(at, placed(index))


@pytest.mark.parametrize(("bits", "packed"), [(1, b"\x01"), (2, b"\x01"), (4, b"\x01"), (8, b"\x01")])
async def test_statuses_of_every_width(bits: int, packed: bytes):
    site = Lists(listing({"bits": bits, "lst": lst(packed)}))
    assert "revoked" in await refused(site, placed(0))
    if bits < 8:
        assert await taken(site.verifier(), placed(1))
    assert "no place" in await refused(site, placed(8 // bits))


async def test_a_suspended_token_and_a_status_that_nobody_knows():
    site = Lists(listing({"bits": 4, "lst": lst(b"\x32")}))
    assert await refused(site, placed(0)) == "the token is suspended"
    assert "not known here" in await refused(site, placed(1))


async def test_a_list_of_ours_is_read_at_its_worst():
    """A million tokens, of which a random half was revoked: nothing compresses that."""
    worst = bytearray(hashlib.shake_256(b"worst").digest(SIZE // 8))
    worst[0], worst[-1] = 0b10, 0b1000_0000
    text = listing({"bits": 1, "lst": encoded(compressed(bytes(worst)))})
    assert 200_000 < len(text) < MOST
    at = Lists(text).verifier()
    assert await taken(at, placed(0))
    for index in (1, SIZE - 1):
        with pytest.raises(Refused, match="revoked"):
            await taken(at, placed(index))


BOMB = zlib.compress(bytes(200 << 20), 9)


@pytest.fixture(scope="module")
def bomb() -> str:
    return listing({"bits": 1, "lst": b64(BOMB)})


async def test_a_bomb_is_not_unpacked(bomb: str):
    assert len(bomb) < MOST
    site = Lists(bomb)
    tracemalloc.start()
    try:
        assert "too long when it is unpacked" in await unknown(site)
        assert tracemalloc.get_traced_memory()[1] < 8 * UNPACKED
    finally:
        tracemalloc.stop()


async def test_as_much_as_is_unpacked_and_one_more():
    assert await taken(Lists(listing(bytes(UNPACKED))).verifier(), placed(8 * UNPACKED - 1))
    assert "too long when it is unpacked" in await unknown(Lists(listing(bytes(UNPACKED + 1))))


async def test_a_list_that_is_too_long_as_it_is_sent():
    assert "not a compact JWS" in await unknown(Lists(listing() + "A" * MOST))


def compact(header: Any, claims: Any = b"{}", signature: str = "AA") -> str:
    return f"{segment(header)}.{segment(claims)}.{signature}"


def tampered() -> str:
    head, _, tail = listing().split(".")
    return f"{head}.{listing(b'').split('.')[1]}.{tail}"


HEADER = {"typ": "statuslist+jwt", "alg": "ES256", "kid": "one"}
HOSTILE: dict[str, str | bytes] = {
    "an access token": token(),
    "an access token that says what lists say": listing(header={"typ": "at+jwt"}),
    "a plain JWT": listing(header={"typ": "JWT"}),
    "no type": listing(header={"typ": ...}),
    "no signature": compact({**HEADER, "alg": "none"}, signature=""),
    "a symmetric algorithm": compact({**HEADER, "alg": "HS256"}),
    "another's signature": listing(key=OTHER),
    "another body": tampered(),
    "an unknown key": listing(header={"kid": "two"}),
    "no key": listing(header={"kid": ...}),
    "a list for a key": compact({**HEADER, "kid": ["one"]}),
    "a key of its own": listing(header={"jwk": OTHER.as_dict(private=False)}, key=OTHER),
    "something critical": compact({**HEADER, "crit": ["x"]}),
    "a member that stands twice": compact(b'{"typ":"statuslist+jwt","alg":"ES256","kid":"one","kid":"one"}'),
    "another list": listing(sub=f"{ISSUER}/status/8"),
    "the list with a slash": listing(sub=URI + "/"),
    "no subject": listing(sub=...),
    "another issuer": listing(iss="https://evil.example"),
    "an audience": listing(aud=ISSUER),
    "no time": listing(iat=...),
    "a time that is none": listing(iat="now"),
    "a time that is true": listing(iat=True),
    "a time to come": listing(iat=NOW + 120),
    "a beginning to come": listing(nbf=NOW + 120),
    "its end": listing(exp=NOW),
    "an end that is none": listing(exp="never"),
    "an end that is null": listing(exp=None),
    "a `ttl` of nothing": listing(ttl=0),
    "a `ttl` before": listing(ttl=-60),
    "a `ttl` that is none": listing(ttl="60"),
    "a `ttl` that is null": listing(ttl=None),
    "a `ttl` that is true": listing(ttl=True),
    "no list": listing(...),
    "a list of lists": listing([1, "eNpjAAAAAQAB"]),
    "no bits": listing({"lst": lst(b"\0")}),
    "three bits": listing({"bits": 3, "lst": lst(b"\0")}),
    "no bit": listing({"bits": 0, "lst": lst(b"\0")}),
    "bits that are true": listing({"bits": True, "lst": lst(b"\0")}),
    "bits in a fraction": listing({"bits": 1.0, "lst": lst(b"\0")}),
    "no statuses": listing({"bits": 1}),
    "statuses that are a number": listing({"bits": 1, "lst": 0}),
    "padding": listing({"bits": 1, "lst": lst(b"\0\0") + "=="}),
    "what is not base64url": listing({"bits": 1, "lst": "+/+/"}),
    "letters beyond it": listing({"bits": 1, "lst": "\u00e4" * 4}),
    "nothing compressed": listing({"bits": 1, "lst": b64(b"\0")}),
    "raw deflate": listing({"bits": 1, "lst": b64(zlib.compress(b"\0")[2:-4])}),
    "gzip": listing({"bits": 1, "lst": b64(gzip.compress(b"\0"))}),
    "half of it": listing({"bits": 1, "lst": b64(zlib.compress(b"\0" * 8)[:-5])}),
    "a checksum that is wrong": listing({"bits": 1, "lst": b64(zlib.compress(b"\0")[:-1] + b"\7")}),
    "something after it": listing({"bits": 1, "lst": b64(zlib.compress(b"\0") + b"more")}),
    "nothing": b" ",
    "a page": b"<html>",
    "letters that are none": b"\xff\xfe",
    "no end of it": compact({**HEADER, "x": "a" * MOST}),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_list_with(name: str):
    site = Lists(HOSTILE[name])
    assert await unknown(site)
    assert site.asked == [URI, URI], "by one verifier and by the other"


@pytest.mark.parametrize(
    "changes",
    [{"exp": ...}, {"ttl": ...}, {"iss": ...}, {"iat": NOW + 30}, {"iat": NOW - 30.5}, {"ttl": 0.5}, {"x": 1}],
)
async def test_a_list_that_is_good(changes: dict[str, Any]):
    assert await taken(Lists(listing(**changes)).verifier(), placed())


@pytest.mark.parametrize("kind", ["", "text/html", "application/jwt", "application/statuslist+cwt"])
async def test_an_answer_of_another_kind(kind: str):
    assert "the answer is not" in await unknown(Lists(content_type=kind))


async def test_an_answer_of_its_kind_in_other_letters():
    assert await taken(Lists(content_type="Application/StatusList+JWT; charset=x").verifier(), placed())


async def test_an_algorithm_that_the_resource_server_does_not_take():
    site = Lists()
    with pytest.raises(NoStatus):
        await taken(site.verifier(algorithms=frozenset({"EdDSA"})), placed())


PLACES: dict[str, Any] = {
    "no object": "x",
    "nothing in it": {},
    "another mechanism": {"identifier_list": {"id": "1", "uri": URI}},
    "a place that is none": {"status_list": [0, URI]},
    "no index": {"status_list": {"uri": URI}},
    "no address": {"status_list": {"idx": 0}},
    "an address that is none": {"status_list": {"idx": 0, "uri": [URI]}},
    "an index before": {"status_list": {"idx": -1, "uri": URI}},
    "an index that is true": {"status_list": {"idx": True, "uri": URI}},
    "an index in a fraction": {"status_list": {"idx": 0.0, "uri": URI}},
    "an index in letters": {"status_list": {"idx": "0", "uri": URI}},
    "an index that is null": {"status_list": {"idx": None, "uri": URI}},
    "an index beyond": {"status_list": {"idx": 8, "uri": URI}},
    "an index far beyond": {"status_list": {"idx": 1 << 200, "uri": URI}},
}


@pytest.mark.parametrize("more", [{}, {"fail_open": True}, {"required": False}], ids=str)
@pytest.mark.parametrize("name", PLACES)
async def test_a_token_whose_place_is(name: str, more: dict[str, Any]):
    await refused(Lists(), token(status=PLACES[name]), **more)


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/status/0",
        "https://tokens.example.evil.example/status/0",
        "https://tokens.example@evil.example/status/0",
        "https://evil.example\\@tokens.example/status/0",
        "https://tokens.example:8443/status/0",
        "http://tokens.example/status/0",
        "//tokens.example/status/0",
        "/status/0",
        "https://tokens.example/status/0#x",
        "https://tokens.example/status/0\r\nHost: evil.example",
        "https://tokens.example /status/0",
        "https://[tokens.example/status/0",
        "file:///etc/passwd",
        "",
    ],
)
async def test_nothing_is_fetched_from_anywhere_but_the_issuer(uri: str):
    for more in ({}, {"fail_open": True}):
        site = Lists()
        assert "not at its issuer's" in await refused(site, placed(uri=uri), **more)
        assert site.asked == []


async def test_a_token_without_a_place_is_refused_unless_it_is_said_that_it_need_not_have_one():
    site = Lists()
    assert "no place in a status list" in await refused(site, token())
    assert "no place in a status list" in await refused(site, token(), fail_open=True)
    assert await taken(site.verifier(required=False), token())
    assert site.asked == []


async def test_nothing_is_asked_about_what_is_no_good_anyway():
    site = Lists()
    for text in (placed(aud="https://other.example"), placed(exp=NOW), placed(key=OTHER)):
        await refused(site, text)
    stolen = bound(status={"status_list": {"idx": 0, "uri": URI}})
    await refused(site, stolen)
    assert site.asked == []


async def test_a_list_is_kept_for_its_ttl_and_shared():
    site = Lists()
    lists = site.status()
    one, other = site.verifier(), site.verifier()
    one._status = other._status = lists
    for at in (one, other) * 3:
        assert await taken(at, placed())
    site.now += 60 * AHEAD - 1
    assert await taken(one, placed())
    assert site.asked == [URI]
    site.lists[URI] = listing(b"\x01", iat=int(site.now))
    site.now += 60
    for at in (one, other):
        with pytest.raises(Refused, match="revoked"):
            await taken(at, placed())
    assert site.asked == [URI, URI]


async def test_requests_of_one_moment_wait_for_one_fetch_and_each_list_has_its_own():
    site = Lists()
    second = f"{ISSUER}/status/8"
    site.lists[second] = listing(sub=second)
    at = site.verifier()
    assert all(
        await asyncio.gather(*(taken(at, placed(index % 8, uri)) for index in range(40) for uri in (URI, second)))
    )
    assert sorted(site.asked) == [URI, second]


class Gate:
    """A fetch that ends when it is told to."""

    def __init__(self, site: Lists) -> None:
        self.site, self.open, self.begun = site, asyncio.Event(), asyncio.Event()

    async def fetch(self, url: str) -> Fetched:
        self.begun.set()
        await self.open.wait()
        return await self.site.fetch_list(url)


async def test_whoever_asked_first_may_go_away():
    site = Lists()
    gate = Gate(site)
    at = site.verifier(fetch=gate.fetch)
    first, second = (asyncio.create_task(taken(at, placed())) for _ in range(2))
    await gate.begun.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate.open.set()
    assert await second
    assert site.asked == [URI]


async def test_a_list_is_fetched_anew_ahead_of_time_and_nobody_waits():
    site = Lists()
    gate = Gate(site)
    at = site.verifier(fetch=gate.fetch)
    gate.open.set()
    assert await taken(at, placed())
    gate.open.clear()
    gate.begun.clear()
    site.now += 60 * AHEAD
    site.lists[URI] = listing(b"\x01")
    assert await taken(at, placed())  # while the fetch is under way
    await gate.begun.wait()
    assert await taken(at, placed())
    assert site.asked == [URI]
    gate.open.set()
    while len(site.asked) < 2 or at._status._lists[URI].fetching:
        await asyncio.sleep(0)
    with pytest.raises(Refused, match="revoked"):
        await taken(at, placed())


async def test_while_no_list_can_be_had_the_last_one_counts_until_its_time_is_over():
    site = Lists()
    at = site.verifier()
    assert await taken(at, placed())
    site.down = True
    site.now += 59
    assert await taken(at, placed())
    site.now += 1
    with pytest.raises(NoStatus, match="nobody answers"):
        await taken(at, placed())


async def test_a_list_is_asked_for_again_after_a_while_whatever_tokens_say():
    site = Lists()
    site.down = True
    at = site.verifier()
    for _ in range(20):
        with pytest.raises(NoStatus):
            await taken(at, placed())
    assert site.asked == [URI]
    site.down = False
    site.now += AGAIN
    assert await taken(at, placed())


async def test_no_list_is_believed_beyond_its_end_however_long_it_may_be_kept():
    site = Lists(listing(exp=NOW + 30, ttl=3000))
    at = site.verifier()
    assert await taken(at, placed())
    site.now += 30
    with pytest.raises(NoStatus, match="it has ended"):
        await taken(at, placed())
    assert len(site.asked) == 2


async def test_what_was_revoked_stays_so_where_lists_may_be_lacking():
    """Whoever keeps the lists away makes no revoked token good."""
    site = Lists(listing(b"\x01"))
    at = site.verifier(fail_open=True)
    assert await taken(at, placed(1))
    site.down = True
    site.now += 80_000
    assert await taken(at, placed(1))
    with pytest.raises(Refused, match="revoked"):
        await taken(at, placed(0))
    site.now += AGAIN
    site.down, site.lists[URI] = False, listing(key=OTHER)
    with pytest.raises(Refused, match="revoked"):
        await taken(at, placed(0))


async def test_a_list_that_could_not_be_had_is_told_to_whoever_runs_the_api(caplog: pytest.LogCaptureFixture):
    site = Lists(listing(key=OTHER))
    assert await taken(site.verifier(fail_open=True), placed())
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == f"the status list {URI!r} cannot be had: the signature does not verify"


async def test_a_key_that_left_the_key_set_signs_no_list():
    site = Lists()
    at = site.verifier()
    site.documents[f"{ISSUER}/jwks.json"] = published(("one", KEY), ("old", OTHER))
    assert await taken(at, placed())
    site.lists[URI] = listing(header={"kid": "old"}, key=OTHER)
    site.now += 60
    assert await taken(at, placed())
    site.documents[f"{ISSUER}/jwks.json"] = published(("one", KEY))
    site.now += 3600
    with pytest.raises(NoStatus, match="its key is not among"):
        await taken(at, placed())


async def test_so_many_lists_are_kept_and_no_more():
    site = Lists()
    at = site.verifier()
    uris = [f"{ISSUER}/status/{number}" for number in range(KEPT + 1)]
    site.lists |= {uri: listing(sub=uri) for uri in uris}
    for uri in [*uris[:KEPT], uris[0], uris[KEPT]]:
        assert await taken(at, placed(uri=uri))
    assert len(at._status._lists) == KEPT
    assert uris[0] in at._status._lists, "asked about lately"
    assert uris[1] not in at._status._lists


LIVES = [
    (60, {}, 60),
    (60, {"cache-control": "max-age=5"}, 60),
    (60, {"cache-control": "no-store"}, 60),
    (60, {"age": "50"}, 10),
    (60, {"age": "500"}, LEAST),
    (60, {"age": "soon"}, 60),
    (0.01, {}, LEAST),
    (10**400, {}, LONGEST),
    (float("inf"), {}, LONGEST),
    (None, {}, UNSAID),
    (None, {"cache-control": "public, Max-Age=120, must-revalidate"}, 120),
    (None, {"cache-control": 'max-age="120"', "age": "20"}, 100),
    (None, {"cache-control": "max-age=99999999"}, LONGEST),
    (None, {"cache-control": "max-age=-1"}, LEAST),
    (None, {"cache-control": "max-age=120, no-cache"}, LEAST),
    (None, {"cache-control": "no-store", "expires": "Thu, 26 Nov 2026 12:00:00 GMT"}, LEAST),
    (None, {"expires": "Thu, 26 Nov 2026 12:02:00 GMT", "date": "Thu, 26 Nov 2026 12:00:00 GMT"}, 120),
    (None, {"expires": "0"}, LEAST),
    (None, {"expires": "Thu, 26 Nov 2026 12:02:00", "date": "Thu, 26 Nov 2026 12:00:00 GMT"}, LEAST),
]


@pytest.mark.parametrize(("ttl", "headers", "seconds"), LIVES, ids=str)
def test_for_how_long_a_list_is_kept(ttl: float | None, headers: dict[str, str], seconds: float):
    assert lifetime(ttl, headers) == seconds


async def test_the_answer_s_headers_count_where_the_list_says_nothing():
    site = Lists(listing(ttl=...), cache_control="public, max-age=10")
    at = site.verifier()
    for wait in (0, 7, 3):
        site.now += wait
        assert await taken(at, placed())
    assert site.asked == [URI, URI]


async def test_the_guard_s_answers():
    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    site = Lists(listing(b"\x02"))
    guard = Guard(application, resource=resource(), verifier=site.verifier())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=guard), base_url="https://mcp.example") as api:

        async def called(index: int) -> httpx2.Response:
            return await api.post("/mcp", headers={"authorization": f"Bearer {placed(index)}"})

        assert (await called(0)).status_code == 200
        gone = await called(1)
        assert gone.status_code == 401
        challenge = gone.headers.get_list("www-authenticate")[0]
        assert 'error="invalid_token", error_description="the token was revoked"' in challenge
        site.down = True
        site.now += 60
        lacking = await called(0)
        assert (lacking.status_code, lacking.headers["retry-after"]) == (503, "5")
        assert lacking.json() == {"error": "temporarily_unavailable"}
        assert "www-authenticate" not in lacking.headers
        assert (await called(1)).status_code == 401


async def test_a_list_is_fetched_as_it_is_sent_and_from_nobody_else():
    good = listing().encode()
    packed = gzip.compress(good)
    routes = {
        "/good": answer(body=good, kind=KIND, cache_control="max-age=7"),
        "/packed": answer(body=packed, kind=KIND, content_encoding="gzip"),
        "/long": answer(body=bytes(MOST + 1), kind=KIND),
        "/gone": answer("404 Not Found", kind=KIND),
        "/moved": answer("302 Found", kind=KIND, location="/good"),
    }
    async with Loopback(routes) as site:
        found = await fetch_list(f"{site.url}/good")
        assert (found.body, found.headers["cache-control"]) == (good, "max-age=7")
        for path, says in (("packed", "compressed"), ("long", "too long"), ("gone", "404"), ("moved", "302")):
            with pytest.raises(ValueError, match=says):
                await fetch_list(f"{site.url}/{path}")
        assert all(f"accept: {KIND}".encode() in head.lower() for _, head, _ in site.seen)
    with pytest.raises(ValueError, match="not an https URL"):
        await fetch_list("http://tokens.example.com/status/0")

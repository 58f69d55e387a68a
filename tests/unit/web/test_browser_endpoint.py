"""Endpoints for browsers: what they take apart, what they refuse, and that every answer is a guarded page."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from mintwarden.issue.authorization.request import locales_of
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.admin.limit import Buckets
from mintwarden.web.admit import Gate
from mintwarden.web.pages.cookies import Cookies
from mintwarden.web.pages.endpoint import (
    BrowserEndpoint,
    BrowserEndpoints,
    Values,
    Visit,
    redirect,
    require_own_origin,
)
from mintwarden.web.pages.render import Pages
from mintwarden.web.peer import PeerReader
from mintwarden.web.reply import Reply
from tests.unit.web.stand_ins import FORM_TYPE, FixedClock, Monotonic, Recorder, speak

ISSUER = "https://tokens.example.com/tenant"


class Answering:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.visits: list[Visit] = []

    async def __call__(self, visit: Visit) -> Reply:
        self.visits.append(visit)
        if self.error is not None:
            raise self.error
        return redirect("/next")


def endpoint(
    answer: Answering,
    recorder: Recorder | None = None,
    *,
    queued: int = 8,
    visits: Buckets | None = None,
    gate: Gate | None = None,
    locales: Callable[[Values], Sequence[str]] | None = None,
) -> BrowserEndpoint:
    numbers = itertools.count(1)
    shared = BrowserEndpoints(
        pages=Pages(),
        cookies=Cookies(https=True),
        gate=gate or Gate(in_flight=queued, queued=queued, timeout=10.0, monotonic=Monotonic()),
        clock=FixedClock(),
        peer=PeerReader(proxies=()),
        observer=recorder or Recorder(),
        references=lambda: f"ref-{next(numbers)}",
        monotonic=Monotonic(),
        max_body=100,
        visits=visits,
    )
    return shared.endpoint(answer, route="sign_in", path="/signin", methods=("GET", "POST"), locales=locales)


async def test_a_visit_is_taken_apart() -> None:
    answer, recorder = Answering(), Recorder()
    reply = await speak(
        endpoint(answer, recorder),
        b"a=1&b=%C3%A4",
        path="/signin/callback/corp",
        query=b"i=abc",
        headers=(
            FORM_TYPE,
            (b"cookie", b"__Host-mintwarden=handle"),
            (b"origin", b"https://tokens.example.com"),
            (b"accept-language", b"de"),
        ),
    )
    assert (reply.status, reply.headers["location"]) == (303, "/next")
    assert reply.headers["cache-control"] == "no-store"
    (visit,) = answer.visits
    assert (visit.path, visit.one("i"), visit.posted("b"), visit.one("x")) == ("callback/corp", "abc", "ä", "")
    assert visit.cookies == {"mintwarden": "handle"}
    assert (visit.origin, visit.reader.accept_language) == ("https://tokens.example.com", "de")
    assert [(line.route, line.status) for line in recorder.lines] == [("sign_in", 303)]


@pytest.mark.parametrize(
    ("lines", "spoken"),
    [
        ([b"tlh", b"de"], "de"),
        ([b"en;q=0.5", b"de;q=0.8"], "de"),
        ([b"de, fr", b"en"], "de"),
        ([b"", b"de"], "de"),
        ([b"de;q=0", b"fr"], "en"),
        ([b"x" * 2000, b"de"], "en"),
    ],
)
async def test_several_lines_of_languages_are_one_list(lines: list[bytes], spoken: str) -> None:
    """RFC 9110 section 5.3; the latter lines are less wanted where nothing else is said, and too much is not read."""
    answer = Answering(MintwardenError(ErrorKind.NOT_FOUND, "gone"))
    reply = await speak(endpoint(answer), headers=(FORM_TYPE, *((b"accept-language", line) for line in lines)))
    assert (reply.status, f'lang="{spoken}"'.encode() in reply.body) == (404, True)


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({"method": "PUT"}, 405),
        ({"body": b"<x/>", "headers": ((b"content-type", b"text/xml"),)}, 415),
        ({"body": b"a=1&a=2"}, 400),
        ({"query": b"i=1&i=2"}, 400),
        ({"body": b"a=" + b"x" * 200}, 413),
        ({"body": b"", "hang": False, "headers": ((b"content-type", b"text/plain"),)}, 415),
    ],
)
async def test_what_is_malformed_gets_a_page(how: dict[str, Any], status: int) -> None:
    answer = Answering()
    reply = await speak(endpoint(answer), **({"body": b""} | how))
    assert reply.status == status
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
    assert answer.visits == []


async def test_our_own_trouble_is_told_by_reference_alone() -> None:
    recorder = Recorder()
    for error, status in (
        (RuntimeError("secret"), 500),
        (MintwardenError(ErrorKind.STORE, "secret"), 503),
    ):
        reply = await speak(endpoint(Answering(error), recorder))
        assert reply.status == status
        assert b"secret" not in reply.body
        assert b"ref-1" in reply.body
    assert len(recorder.errors) == 2
    reply = await speak(endpoint(Answering(MintwardenError(ErrorKind.INVALID_REQUEST, "not `<b>`"))))
    assert reply.status == 400
    assert b"not `&lt;b&gt;`" in reply.body


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({"queued": 0}, 503),
        ({"visits": Buckets(rate=1.0, burst=0, monotonic=Monotonic())}, 429),
        ({"error": RuntimeError("unforeseen")}, 500),
        ({"error": MintwardenError(ErrorKind.NOT_FOUND, "gone")}, 404),
    ],
)
async def test_whatever_goes_wrong_is_told_in_the_language_that_the_address_asks_for(
    how: dict[str, Any], status: int
) -> None:
    """Where clients say what is read, and nowhere else: otherwise the browser does."""
    answer, english = Answering(how.pop("error", None)), (b"accept-language", b"en")
    for locales, expected in ((locales_of, b'lang="de"'), (None, b'lang="en"')):
        at = endpoint(answer, locales=locales, **how)
        reply = await speak(at, query=b"ui_locales=xx+de", headers=(FORM_TYPE, english))
        assert (reply.status, expected in reply.body) == (status, True)
    repeated = await speak(
        endpoint(answer, locales=locales_of), query=b"ui_locales=de&ui_locales=de", headers=(FORM_TYPE, english)
    )
    assert (repeated.status, b'lang="en"' in repeated.body) == (400, True)


async def test_what_the_answer_learns_of_who_reads_holds_for_what_then_goes_wrong() -> None:
    async def learns(visit: Visit) -> Reply:
        visit.read_in(("de",))
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "wrong")

    at = endpoint(cast("Any", learns), locales=locales_of)
    assert b'lang="de"' in (await speak(at, query=b"ui_locales=en")).body


async def test_overload_is_refused_with_a_page() -> None:
    reply = await speak(endpoint(Answering(), queued=0))
    assert reply.status == 503
    assert int(reply.headers["retry-after"]) > 1


async def test_a_form_on_another_site() -> None:
    answer = Answering()
    await speak(endpoint(answer), headers=(FORM_TYPE, (b"origin", b"https://evil.example")))
    await speak(endpoint(answer), headers=(FORM_TYPE, (b"origin", b"https://tokens.example.com")))
    await speak(endpoint(answer), headers=(FORM_TYPE, (b"origin", b"null")))
    other, own, none = answer.visits
    require_own_origin(own, ISSUER)
    for visit in (other, none):
        with pytest.raises(MintwardenError) as caught:
            require_own_origin(visit, ISSUER)
        assert caught.value.kind is ErrorKind.INVALID_REQUEST


async def test_a_request_that_takes_too_long_gets_a_page() -> None:
    async def never(_visit: Visit) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError

    stopwatch = Monotonic()
    gate = Gate(in_flight=1, queued=1, timeout=10.0, monotonic=stopwatch)
    shared = BrowserEndpoints(
        pages=Pages(),
        cookies=Cookies(https=True),
        gate=gate,
        clock=FixedClock(),
        peer=PeerReader(proxies=()),
        observer=Recorder(),
        references=lambda: "ref",
        monotonic=stopwatch,
        max_body=100,
    )
    made = shared.endpoint(never, route="sign_in", path="/signin")
    working = asyncio.create_task(speak(made, method="GET", headers=()))
    waiting = asyncio.create_task(speak(made, method="GET", headers=()))
    for _ in range(5):
        await asyncio.sleep(0)
    stopwatch.seconds = 11.0
    gate.sweep()
    for task in (working, waiting):
        reply = await task
        assert reply.status == 503
        assert reply.headers["content-type"].startswith("text/html")
        assert reply.headers["retry-after"]


async def test_a_slow_form_keeps_nobody_else_out() -> None:
    stopwatch, answer = Monotonic(), Answering()
    gate = Gate(in_flight=1, queued=0, timeout=10.0, monotonic=stopwatch)
    made = endpoint(answer, gate=gate)
    slow = asyncio.create_task(speak(made, [b"a=1"], hang=True))
    await asyncio.sleep(0)
    assert (await speak(made, b"a=2")).status == 303
    stopwatch.seconds = 11.0
    gate.sweep()
    reply = await slow
    assert (reply.status, reply.headers["connection"]) == (408, "close")
    assert [visit.posted("a") for visit in answer.visits] == ["2"]
    assert (gate.begun, gate.in_flight, len(gate._expired)) == (0, 0, 0)


async def test_a_body_that_breaks_off() -> None:
    answer = Answering()
    app = endpoint(answer)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/signin",
        "query_string": b"",
        "headers": [FORM_TYPE],
        "client": None,
    }
    await app(scope, receive, send)
    assert sent[0]["status"] == 400
    assert answer.visits == []


async def test_an_address_that_comes_too_often_waits() -> None:
    stopwatch = Monotonic()
    visits = Buckets(rate=0.5, burst=2, monotonic=stopwatch)
    made = endpoint(Answering(), visits=visits)
    answers = [await speak(made, method="GET", headers=()) for _ in range(3)]
    assert [answer.status for answer in answers] == [303, 303, 429]
    assert answers[-1].headers["retry-after"] == "2"
    stopwatch.seconds = 2.0
    assert (await speak(made, method="GET", headers=())).status == 303


async def test_a_subscriber_with_a_network_of_addresses_is_one_visitor() -> None:
    visits = Buckets(rate=0.5, burst=2, monotonic=Monotonic())
    made = endpoint(Answering(), visits=visits)
    come = [("2001:db8:1:2::1", 303), ("2001:db8:1:2:ffff::7", 303), ("2001:db8:1:2::3", 429), ("2001:db8:1:3::1", 303)]
    for address, status in come:
        assert (await speak(made, method="GET", headers=(), client=(address, 4711))).status == status

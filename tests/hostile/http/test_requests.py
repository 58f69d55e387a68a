"""Requests that no well-behaved client sends: each named, each refused, none of them seen by the line."""

from __future__ import annotations

import json

import pytest

from tests.hostile.http.wire import post, talk

FORM = b"grant_type=client_credentials"

BODIES = {
    "repeated parameter": FORM + b"&scope=a&scope=b",
    "repeated under another spelling": FORM + b"&s%63ope=a&scope=b",
    "null byte": FORM + b"&scope=a%00b",
    "raw null byte": FORM + b"&scope=a\x00b",
    "newline": FORM + b"&scope=a%0aLOG+INJECTED",
    "carriage return": FORM + b"&scope=a%0d%0aSet-Cookie:+x",
    "escape sequence": FORM + b"&scope=%1b%5b2J",
    "overlong utf-8": FORM + b"&scope=%c0%af",
    "lone surrogate": FORM + b"&scope=%ed%a0%80",
    "invalid utf-8": FORM + b"&scope=%ff",
    "raw utf-8": FORM + "&scope=é".encode(),
    "latin-1": FORM + b"&scope=\xe9",
    "half an escape": FORM + b"&scope=%4",
    "no escape at all": FORM + b"&scope=%gg",
    "direction override": FORM + b"&scope=%e2%80%ae",
    "byte order mark": b"\xef\xbb\xbf" + FORM,
    "a hundred parameters": b"&".join(b"p%d=1" % n for n in range(100)),
    "json": b'{"grant_type": "client_credentials"}\x00',
    "nameless parameter": FORM + b"&=x",
}


@pytest.mark.parametrize("body", list(BODIES.values()), ids=list(BODIES))
async def test_bodies(served, body):
    answer = await talk(served.base, post(body))
    assert answer is not None
    assert answer.status == 400
    assert json.loads(answer.body)["error"] == "invalid_request"
    assert served.bench.stub.requests == []


HEADERS = {
    "two content types": (400, [b"content-type: application/x-www-form-urlencoded"]),
    "two authorizations": (400, [b"authorization: Basic YTpi", b"authorization: Basic YTpj"]),
    "compressed body": (415, [b"content-encoding: gzip"]),
    "two lengths": (400, [b"content-length: 5"]),
    "length and chunks": (400, [b"transfer-encoding: chunked"]),
    "space before the colon": (400, [b"x-a : b"]),
    "folded line": (400, [b"x-a: b\r\n c"]),
    "null in a header": (400, [b"x-a: b\x00c"]),
    "negative length": (400, [b"content-length: -1"]),
    "many headers": (400, [b"x-%d: y" % n for n in range(100)]),
}


@pytest.mark.parametrize(("status", "headers"), list(HEADERS.values()), ids=list(HEADERS))
async def test_headers(served, status, headers):
    answer = await talk(served.base, post(FORM, *headers))
    assert answer is not None
    assert answer.status == status
    assert served.bench.stub.requests == []


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /token HTTP/1.1\r\nhost: x\r\n\r\n", 405),
        (b"PUT /token HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", 405),
        (b"TRACE /token HTTP/1.1\r\nhost: x\r\n\r\n", 405),
        (b"POST /token?client_secret=x HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", 400),
        (b"POST /token/../token HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", 404),
        (b"POST //token HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", 404),
        (b"NONSENSE\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400),  # a TLS hello
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    ],
)
async def test_request_lines(served, request_bytes, status):
    answer = await talk(served.base, request_bytes)
    assert answer is not None
    assert answer.status == status


async def test_a_head_beyond_the_limit_is_refused(served):
    answer = await talk(served.base, b"POST /token HTTP/1.1\r\nx: " + b"a" * 40_000)
    assert answer is not None
    assert answer.status in (400, 431)


async def test_a_body_beyond_the_limit_is_refused(served):
    answer = await talk(served.base, post(b"a=" + b"x" * 5000))
    assert answer is not None
    assert answer.status == 413
    endless = await talk(served.base, post(b"a=" + b"x" * 4200, length=10**12))
    assert endless is not None
    assert endless.status == 413


async def test_chunks_are_put_together(served):
    head = b"POST /token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n"
    body = b"7\r\nscope=a\r\n2\r\n%3\r\n1\r\nA\r\n0\r\n\r\n"
    answer = await talk(served.base, head + b"transfer-encoding: chunked\r\n\r\n", body)
    assert answer is not None
    assert answer.status == 200
    assert served.bench.stub.requests[0].one("scope") == "a:"


async def test_pipelined_requests_are_answered_in_order(served):
    answer = await talk(served.base, post(FORM + b"&scope=a&scope=a") + post(FORM))
    assert answer is not None
    assert answer.status == 400


async def test_forwarded_headers_of_strangers_are_not_believed(served):
    spoofed = [b"x-forwarded-for: 10.0.0.1", b"forwarded: for=10.0.0.1", b"x-real-ip: 10.0.0.1"]
    answer = await talk(served.base, post(FORM, *spoofed))
    assert answer is not None
    assert served.bench.stub.requests[0].address == "127.0.0.1"

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from mintwarden.policy.bundle.kinds import origin
from mintwarden.policy.bundle.problem import Place, Problems
from mintwarden.web.origins import CrossOrigin
from mintwarden.web.reply import Receive, Reply, Scope, Send, send_reply

GOOD, EVIL = "https://app.example", "https://evil.example"


async def inner(scope: Scope, _receive: Receive, send: Send) -> None:
    await send_reply(send, Reply(200 if scope["method"] == "POST" else 405, ((b"dpop-nonce", b"n"),), b"{}"))


def http() -> httpx2.AsyncClient:
    app = CrossOrigin(inner, methods={"/token": b"POST"}, known=lambda name: name == GOOD)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://tokens")


def told(answer: httpx2.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


async def test_a_known_origin_reads_the_answer_and_its_nonce() -> None:
    async with http() as asked:
        answer = await asked.post("/token", headers={"origin": GOOD})
    assert answer.status_code == 200
    assert told(answer) == {
        "access-control-allow-origin": GOOD,
        "access-control-expose-headers": "dpop-nonce, retry-after, www-authenticate",
    }
    assert answer.headers["vary"] == "origin"


async def test_a_browser_that_asks_first_is_told_what_a_script_may_send() -> None:
    headers = {"origin": GOOD, "access-control-request-method": "POST", "access-control-request-headers": "dpop"}
    async with http() as asked:
        answer = await asked.options("/token", headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert told(answer) == {
        "access-control-allow-origin": GOOD,
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": "accept, authorization, content-type, dpop",
        "access-control-max-age": "600",
    }


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": EVIL},
        {"origin": "null"},
        {"origin": GOOD + "."},
        {"origin": GOOD + ":443"},
        {"origin": GOOD.upper()},
        {"origin": f"{GOOD} {EVIL}"},
        {"origin": "\xe9"},
        [("origin", GOOD), ("origin", EVIL)],
    ],
    ids=str,
)
async def test_anybody_else_is_told_nothing(headers: Any) -> None:
    async with http() as asked:
        sent = [(name.encode(), value.encode("latin-1")) for name, value in dict(headers).items()]
        sent = [(n.encode(), v.encode()) for n, v in headers] if isinstance(headers, list) else sent
        answers = [
            await asked.post("/token", headers=sent),
            await asked.options("/token", headers=[*sent, (b"access-control-request-method", b"POST")]),
        ]
    assert [answer.status_code for answer in answers] == [200, 405]
    assert [told(answer) for answer in answers] == [{}, {}]


async def test_other_addresses_are_as_they_were() -> None:
    headers = {"origin": GOOD, "access-control-request-method": "POST"}
    async with http() as asked:
        answers = [await asked.post("/authorize", headers=headers), await asked.options("/logout", headers=headers)]
    assert [told(answer) for answer in answers] == [{}, {}]


async def test_options_without_a_question_are_no_question() -> None:
    async with http() as asked:
        answer = await asked.options("/token", headers={"origin": GOOD})
    assert answer.status_code == 405


@pytest.mark.parametrize(
    "text", [GOOD, "https://app.example:8443", "http://127.0.0.1:5173", "http://[::1]:3000", "http://localhost:1"]
)
def test_an_origin(text: str) -> None:
    problems = Problems()
    assert origin(text, Place("f", ()), problems) == text
    assert len(problems) == 0


@pytest.mark.parametrize(
    "text",
    ["", "*", "null", "https://*.example", GOOD + "/", GOOD + "/x", GOOD + "?", GOOD + "#", GOOD + ":443", "HTTPS://app.example",
     "https://App.example", "http://app.example", "https://u@app.example", "https://", "app.example", "https://app.example:x",
     "https://app.example:0443", "http://localhost:80", "https://app.example,https://evil.example", "com.example:/", "https://app .example", 1, None],
)  # fmt: skip
def test_what_is_no_origin(text: Any) -> None:
    problems = Problems()
    origin(text, Place("f", ()), problems)
    assert len(problems) == 1

"""Things that stand in for the rest of the program in the web room's tests, and a way to speak ASGI to it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import msgspec

from mintwarden.model.asked import Asked
from mintwarden.model.clock import Millis
from mintwarden.model.decision import Decision, Lifetime, Obligation, ScopeDecision
from mintwarden.model.request import TokenRequest
from mintwarden.model.token import SignedToken
from mintwarden.model.values import EntityUid
from mintwarden.web.admit import Gate
from mintwarden.web.form_endpoint import FormEndpoint
from mintwarden.web.observe import Served
from mintwarden.web.peer import PeerReader
from mintwarden.web.token import TokenAnswers

NOW = Millis(1_795_000_000_000)
DECISION_ID = "01999999-0000-7000-8000-000000000001"
FORM_TYPE = (b"content-type", b"application/x-www-form-urlencoded")


class FixedClock:
    def now(self) -> Millis:
        return NOW


class Recorder:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.lines: list[Served] = []
        self.errors: list[tuple[str, BaseException]] = []

    def served(self, what: Served) -> None:
        self.lines.append(what)

    def failed(self, reference: str, error: BaseException) -> None:
        self.errors.append((reference, error))


def asked(**changes: Any) -> Asked:
    base = {
        "grant": "client_credentials",
        "client_id": "batch",
        "subject": EntityUid("Workload", "batch"),
        "audience": "payments",
        "scopes": ("payments:read", "payments:settle"),
    }
    return Asked(**(base | changes))


def decision(*scopes: ScopeDecision) -> Decision:
    granted = any(s.granted for s in scopes)
    return Decision(
        bundle="b" * 64,
        decided_at=NOW,
        audience="payments",
        subject=EntityUid("Workload", "batch"),
        actors=(),
        scopes=scopes,
        granted=granted,
        lifetime=Lifetime(300, "default:payments", ()) if granted else None,
    )


def granted(**changes: Any) -> Any:
    token = SignedToken(compact="aaa.bbb.ccc", decision_id=DECISION_ID, expires_in=300, token_type="Bearer")
    made = decision(
        ScopeDecision(scope="payments:read", granted=True, route="r1"),
        ScopeDecision(scope="payments:settle", granted=False, reason="no_route"),
    )
    return SimpleNamespace(
        token=token,
        id_token=None,
        refresh_token="",
        decision=made,
        decision_id=DECISION_ID,
        asked=asked(**changes),
    )


def refused(*unmet: Obligation, **changes: Any) -> Any:
    reason: Any = "obligation_unmet" if unmet else "no_route"
    made = decision(ScopeDecision(scope="payments:read", granted=False, reason=reason, unmet=unmet))
    return SimpleNamespace(token=None, decision=made, decision_id=DECISION_ID, asked=asked(**changes))


class Stub:
    """An `issue` that answers what it is told to, and remembers what it was asked."""

    def __init__(self, answer: Callable[[TokenRequest], Awaitable[Any]] | Any = None) -> None:
        self.answer = granted() if answer is None else answer
        self.requests: list[TokenRequest] = []

    async def __call__(self, request: TokenRequest) -> Any:
        self.requests.append(request)
        if callable(self.answer):
            return await self.answer(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Monotonic:
    """A stopwatch that tests move."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Bench(NamedTuple):
    endpoint: FormEndpoint
    stub: Stub
    gate: Gate
    recorder: Recorder
    monotonic: Monotonic


def bench(
    answer: Any = None,
    *,
    in_flight: int = 8,
    queued: int = 8,
    max_body: int = 4096,
    proxies: Sequence[str] = (),
    disclose: Any = "nothing",
) -> Bench:
    stub, recorder, monotonic = Stub(answer), Recorder(), Monotonic()
    gate = Gate(in_flight=in_flight, queued=queued, timeout=10.0, monotonic=monotonic)
    numbers = itertools.count(1)
    endpoint = FormEndpoint(
        TokenAnswers(issue=stub, disclosure=lambda _audience: disclose),
        route="token",
        gate=gate,
        clock=FixedClock(),
        peer=PeerReader(proxies=proxies),
        observer=recorder,
        references=lambda: f"ref-{next(numbers)}",
        monotonic=monotonic,
        max_body=max_body,
    )
    return Bench(endpoint, stub, gate, recorder, monotonic)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


async def speak(
    app: Any,
    body: bytes | Sequence[bytes] = b"",
    *,
    method: str = "POST",
    path: str = "/token",
    query: bytes = b"",
    headers: Sequence[tuple[bytes, bytes]] = (FORM_TYPE,),
    client: tuple[str, int] | None = ("192.0.2.7", 4711),
    hang: bool = False,
) -> Answer:
    """One request; with `hang` the body never ends."""
    chunks = [body] if isinstance(body, bytes) else list(body)
    sent: list[Any] = []

    async def receive() -> Any:
        if chunks:
            return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks) or hang}
        if hang:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query,
        "headers": list(headers),
        "client": client,
    }
    await app(scope, receive, send)
    start, *rest = sent
    plain = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], plain, b"".join(message["body"] for message in rest))
